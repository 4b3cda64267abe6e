//! Names of images: what a user types, read as Docker reads it, and what containerd stores.
//!
//! `busybox` goes in, `docker.io/library/busybox:latest` comes out. The grammar and the rules for
//! short names are those of the distribution project's `reference` package, which Docker and
//! containerd share. A [`Reference`] never exists in a form that containerd would not accept.

use std::fmt;
use std::str::FromStr;

use super::digest::{Digest, ParseDigestError};
use crate::failure::{Failure, Result};

/// Where a name without a registry belongs.
const DEFAULT_DOMAIN: &str = "docker.io";
/// Docker's old spelling of the same registry.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// Where the default registry keeps names without a slash.
const OFFICIAL: &str = "library/";
/// The tag of a name that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// The longest name without tag and digest (distribution, `NameTotalLengthMax`).
const MAX_NAME: usize = 255;
/// The longest tag (OCI distribution specification, "Pulling manifests").
const MAX_TAG: usize = 128;

/// A complete image name: registry, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Flaw {
    #[error("it is empty")]
    Empty,
    #[error("the repository's name has upper-case letters")]
    UpperCase,
    #[error(
        "a repository's name is made of lower-case letters and digits, joined by '.', '_', '__' or '-', in parts separated by '/'"
    )]
    Path,
    #[error("the registry is not a host name with an optional port")]
    Domain,
    #[error("it is longer than 255 characters")]
    TooLong,
    #[error(
        "a tag has 1 to 128 letters, digits, '_', '.' or '-', and begins with none of the last two"
    )]
    Tag,
    #[error("what follows '@' is {0}")]
    Digest(ParseDigestError),
    #[error("64 hexadecimal digits name an image id, not a repository")]
    LooksLikeId,
}

impl Reference {
    /// Registry and repository, without tag and digest: `docker.io/library/busybox`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The registry as names have it: `docker.io`, `host:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within its registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if the name has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the name has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The repository as people write it: `busybox`, `foo/bar`, `host:5000/x`.
    pub fn familiar_repository(&self) -> String {
        let official = self
            .path
            .strip_prefix(OFFICIAL)
            .filter(|rest| !rest.contains('/'));
        let short = official.unwrap_or(&self.path);
        // `docker.io/foo.bar/x` without its registry would read as one on the host foo.bar.
        if self.domain == DEFAULT_DOMAIN && split_domain(short).0 == DEFAULT_DOMAIN {
            short.to_owned()
        } else {
            self.repository()
        }
    }

    /// The whole name as people write it: `busybox:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_repository(), self.suffix())
    }

    /// `:tag`, `@digest`, or both.
    fn suffix(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        let digest = self.digest.iter().map(|digest| format!("@{digest}"));
        tag.chain(digest).collect()
    }
}

/// The canonical name, as containerd stores it.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|flaw| {
            let failure = Failure::usage(format!("invalid image name {text:?}"));
            match flaw {
                Flaw::UpperCase => failure
                    .because(flaw)
                    .hint(format!("did you mean {:?}?", text.to_lowercase())),
                flaw => failure.because(flaw),
            }
        })
    }
}

fn parse(text: &str) -> std::result::Result<Reference, Flaw> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(Flaw::Digest)?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(rest);
    if name.is_empty() {
        return Err(Flaw::Empty);
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(Flaw::Tag);
    }
    let (domain, path) = split_domain(name);
    check_domain(domain)?;
    check_path(path)?;
    if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Flaw::LooksLikeId);
    }
    let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    if domain.len() + 1 + path.len() > MAX_NAME {
        return Err(Flaw::TooLong);
    }
    let default = || digest.is_none().then_some(DEFAULT_TAG);
    Ok(Reference {
        domain: domain.to_owned(),
        path,
        tag: tag.or_else(default).map(str::to_owned),
        digest,
    })
}

/// Splits at the last colon, unless it belongs to the registry's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// The part before the first slash is a registry only if it looks like one: a dot, a port, capitals
/// or `localhost`.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            let legacy = first == LEGACY_DOMAIN;
            (if legacy { DEFAULT_DOMAIN } else { first }, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    }
}

/// A host name or a bracketed IPv6 address, and perhaps a port.
fn check_domain(domain: &str) -> std::result::Result<(), Flaw> {
    let (host_is_good, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(Flaw::Domain)?;
            let good = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            (good && !address.is_empty(), port)
        }
        None => {
            let (host, port) = domain.split_at(domain.find(':').unwrap_or(domain.len()));
            (host.split('.').all(is_host_label), port)
        }
    };
    let number = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port_is_good = port.is_empty() || port.strip_prefix(':').is_some_and(number);
    if host_is_good && port_is_good {
        Ok(())
    } else {
        Err(Flaw::Domain)
    }
}

fn is_host_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|&b| b.is_ascii_alphanumeric() || b == b'-')
}

fn check_path(path: &str) -> std::result::Result<(), Flaw> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(Flaw::UpperCase);
    }
    if path.split('/').all(is_path_component) {
        Ok(())
    } else {
        Err(Flaw::Path)
    }
}

/// Letters and digits, joined by one dot, one or two underscores, or any number of hyphens.
fn is_path_component(part: &str) -> bool {
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().is_some_and(word)
        && bytes.last().is_some_and(word)
        && bytes
            .chunk_by(|a, b| word(a) == word(b))
            .all(|run| match run {
                [b'.'] | [b'_'] | [b'_', b'_'] => true,
                run => run.iter().all(word) || run.iter().all(|&b| b == b'-'),
            })
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_TAG).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn canonical(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    fn why(text: &str) -> String {
        text.parse::<Reference>().unwrap_err().to_string()
    }

    #[test]
    fn short_names_are_completed_as_docker_completes_them() {
        for (short, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("foo/bar", "docker.io/foo/bar:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/foo/bar", "docker.io/foo/bar:latest"),
            ("host:5000/x:tag", "host:5000/x:tag"),
            ("host:5000", "docker.io/library/host:5000"),
            ("localhost/x", "localhost/x:latest"),
            ("LOCAL/x", "LOCAL/x:latest"),
            ("quay.example/a/b/c", "quay.example/a/b/c:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("[fe80::1]/x", "[fe80::1]/x:latest"),
            ("a__b.c---d", "docker.io/library/a__b.c---d:latest"),
        ] {
            assert_eq!(canonical(short), full);
        }
    }

    #[test]
    fn a_digest_replaces_the_default_tag_and_stands_beside_a_given_one() {
        let name = canonical(&format!("name@{DIGEST}"));
        assert_eq!(name, format!("docker.io/library/name@{DIGEST}"));
        let name = canonical(&format!("name:tag@{DIGEST}"));
        assert_eq!(name, format!("docker.io/library/name:tag@{DIGEST}"));
    }

    #[test]
    fn the_familiar_form_drops_the_default_registry_only() {
        for name in ["busybox:latest", "foo/bar:1", "host:5000/x:tag"] {
            assert_eq!(name.parse::<Reference>().unwrap().familiar(), name);
        }
        let deep: Reference = "docker.io/library/a/b:1".parse().unwrap();
        assert_eq!(deep.familiar(), "library/a/b:1");
        let dotted: Reference = "docker.io/foo.bar/x:1".parse().unwrap();
        assert_eq!(dotted.familiar(), "docker.io/foo.bar/x:1");
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        assert!(why("Busybox").contains("upper-case"), "{}", why("Busybox"));
        assert!(why("").contains("empty"));
        assert!(why(":tag").contains("empty"));
        assert!(why("busybox:").contains("tag"));
        assert!(why(&format!("busybox:{}", "x".repeat(129))).contains("tag"));
        assert!(why("busybox:-x").contains("tag"));
        assert!(why("busybox@").contains("sha256"));
        assert!(why("busybox@sha512:00").contains("sha256"));
        assert!(why(&"x".repeat(256)).contains("255"));
        assert!(why("-host.example/x").contains("registry"));
        assert!(why("host.example:x/y").contains("registry"));
        assert!(why("[::1]5000x/y").contains("registry"));
        assert!(why(&DIGEST["sha256:".len()..]).contains("id"));
        for bad in [
            "a//b", "/a", "a/", "a..b", "a___b", "a b", "ü", "_a", "a:b:c/",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn upper_case_names_get_the_lower_case_one_as_a_hint() {
        let failure = "Foo/Bar".parse::<Reference>();
        // `Foo` has a capital, so it is read as a registry; `Bar` is the flaw.
        assert!(failure.unwrap_err().hints()[0].contains("foo/bar"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
            let _ = text.parse::<Reference>();
        }

        #[test]
        fn a_canonical_name_and_its_familiar_form_mean_the_same(
            text in "([a-z]{1,3}(\\.[a-z]{1,3}|:[0-9]{1,4})?/)?[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?(/[a-z]{1,3})?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,5})?"
        ) {
            let name: Reference = text.parse().unwrap();
            prop_assert_eq!(&name.to_string().parse::<Reference>().unwrap(), &name);
            prop_assert_eq!(&name.familiar().parse::<Reference>().unwrap(), &name);
        }
    }
}
