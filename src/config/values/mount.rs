//! Mounts: `--volume`, `--mount` and `--tmpfs` become the same type.

use std::path::PathBuf;

use serde::Serialize;

use super::bytes::Bytes;
use super::{Invalid, clean_absolute};
use crate::fence::Fence;

/// One mount that the user asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Clean absolute path inside, not `/`.
    pub target: String,
    /// What is mounted there.
    pub source: MountSource,
    /// Options of mount(8), as the OCI spec takes them.
    pub options: Vec<String>,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A host path; with `make_missing`, a directory is made when nothing is there.
    Bind {
        /// Absolute.
        host: PathBuf,
        /// docker makes it for `--volume` and refuses it for `--mount`.
        make_missing: bool,
        /// Where it must lead, when a DAG's author named it.
        fence: Option<Fence>,
    },
    /// An empty directory on disk that ends with the run, filled from the image.
    Anonymous,
    /// Memory.
    Tmpfs,
}

impl Mount {
    /// The same, kept behind `fence` when its source is a host path.
    pub fn behind(mut self, fence: &Fence) -> Self {
        if let MountSource::Bind { fence: own, .. } = &mut self.source {
            *own = Some(fence.clone());
        }
        self
    }
}

/// How mounts made on one side appear on the other (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation(&'static str);

impl Propagation {
    /// The mode called `word`.
    pub fn named(word: &str) -> Option<Self> {
        let known = [
            "private", "rprivate", "slave", "rslave", "shared", "rshared",
        ];
        known.into_iter().find(|known| *known == word).map(Self)
    }

    /// What is mounted inside appears on the host.
    pub fn reaches_the_host(self) -> bool {
        matches!(self.0, "shared" | "rshared")
    }
}

/// Flags that a bind or tmpfs mount may carry.
const FLAGS: &[&str] = &[
    "ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec",
];
/// Hints for other systems (macOS file sharing, SELinux relabelling) that docker accepts anywhere.
const IGNORED: &[&str] = &["z", "Z", "cached", "delegated", "consistent", "nocopy"];

/// `--volume`: `HOST:CONTAINER[:OPTIONS]`, or `CONTAINER` for an anonymous volume.
pub fn parse_volume(text: &str) -> Result<Mount, Invalid> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, target, options) = match parts[..] {
        [target] => return anonymous(target),
        [host, target] => (host, target, ""),
        [host, target, options] => (host, target, options),
        _ => {
            return Err(Invalid::new(
                "more than two colons; --mount takes paths with colons",
            ));
        }
    };
    if host.is_empty() {
        return Err(Invalid::new("the host path is empty"));
    }
    if !host.starts_with('/') {
        return Err(Invalid::new(format!(
            "{host:?} is not an absolute host path, and airtight keeps no named volumes"
        )));
    }
    let mut mount = bind(host, target, true)?;
    add_options(
        &mut mount,
        options.split(',').filter(|word| !word.is_empty()),
    )?;
    Ok(mount)
}

/// `--tmpfs`: `DIR[:OPTIONS]`; docker's defaults are nosuid, nodev and noexec.
pub fn parse_tmpfs(text: &str) -> Result<Mount, Invalid> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut mount = tmpfs(target)?;
    for word in options.split(',').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some(("size", size)) => mount.options.push(size_option(size)?),
            Some((name @ ("mode" | "uid" | "gid" | "nr_inodes"), value)) => {
                mount.options.push(number_option(name, value)?);
            }
            _ => add_options(&mut mount, [word])?,
        }
    }
    Ok(mount)
}

/// `--mount`: comma-separated `key=value`, a field in double quotes may contain commas.
pub fn parse_mount(text: &str) -> Result<Mount, Invalid> {
    let (mut kind, mut source, mut target) = ("volume".to_owned(), None, None);
    let mut flags: Vec<String> = Vec::new();
    let mut memory: Vec<String> = Vec::new();
    for field in fields(text)? {
        let (key, value) = field.split_once('=').unwrap_or((&field, ""));
        match key {
            "type" => kind = value.to_owned(),
            "source" | "src" => source = Some(value.to_owned()),
            "target" | "destination" | "dst" => target = Some(value.to_owned()),
            "readonly" | "ro" if matches!(value, "" | "true" | "1") => flags.push("ro".into()),
            "readonly" | "ro" if matches!(value, "false" | "0") => flags.push("rw".into()),
            "bind-propagation" => flags.push(value.to_owned()),
            "tmpfs-size" => memory.push(size_option(value)?),
            "tmpfs-mode" => memory.push(number_option("mode", value)?),
            "consistency" => {}
            _ if value.is_empty() => flags.push(key.to_owned()),
            _ => return Err(Invalid::new(format!("unknown field {key:?}"))),
        }
    }
    let target = target.ok_or_else(|| Invalid::new("target=… is missing"))?;
    let mut mount = match (kind.as_str(), source) {
        ("bind", Some(source)) if source.starts_with('/') => bind(&source, &target, false)?,
        ("bind", Some(_)) => return Err(Invalid::new("the source must be an absolute host path")),
        ("bind", None) => return Err(Invalid::new("source=… is missing")),
        ("tmpfs", None) => tmpfs(&target)?,
        ("tmpfs", Some(_)) => return Err(Invalid::new("a tmpfs has no source")),
        ("volume", None) => anonymous(&target)?,
        ("volume", Some(_)) => {
            return Err(Invalid::new(
                "airtight keeps no named volumes; use type=bind",
            ));
        }
        _ => {
            return Err(Invalid::new(format!(
                "unknown type {kind:?}; use bind or tmpfs"
            )));
        }
    };
    if mount.source != MountSource::Tmpfs && !memory.is_empty() {
        return Err(Invalid::new("tmpfs-size and tmpfs-mode need type=tmpfs"));
    }
    mount.options.extend(memory);
    add_options(&mut mount, flags.iter().map(String::as_str))?;
    Ok(mount)
}

fn bind(host: &str, target: &str, make_missing: bool) -> Result<Mount, Invalid> {
    if host.contains('\0') {
        return Err(Invalid::new("the host path contains a NUL byte"));
    }
    let source = MountSource::Bind {
        host: PathBuf::from(host),
        make_missing,
        fence: None,
    };
    Ok(Mount {
        target: target_path(target)?,
        source,
        options: vec!["rbind".into()],
    })
}

fn anonymous(target: &str) -> Result<Mount, Invalid> {
    let options = vec!["rbind".into()];
    Ok(Mount {
        target: target_path(target)?,
        source: MountSource::Anonymous,
        options,
    })
}

fn tmpfs(target: &str) -> Result<Mount, Invalid> {
    let options = ["noexec", "nosuid", "nodev"].map(String::from).to_vec();
    Ok(Mount {
        target: target_path(target)?,
        source: MountSource::Tmpfs,
        options,
    })
}

/// Where a mount may go: anywhere but on the root, on `/proc` or on what airtight itself mounts.
fn target_path(path: &str) -> Result<String, Invalid> {
    let clean = clean_absolute(path)?;
    let below = |dir: &str| clean == dir || clean.starts_with(&format!("{dir}/"));
    if clean == "/" {
        return Err(Invalid::new("the target must not be the root directory"));
    }
    if clean == "/proc" {
        return Err(Invalid::new("the target must not be /proc"));
    }
    if below("/.airtight") {
        return Err(Invalid::new("/.airtight is airtight's own"));
    }
    Ok(clean)
}

/// Adds flags and propagation modes; a flag takes the place of its opposite.
fn add_options<'a>(
    mount: &mut Mount,
    words: impl IntoIterator<Item = &'a str>,
) -> Result<(), Invalid> {
    for word in words {
        if IGNORED.contains(&word) {
            continue;
        }
        let propagation = Propagation::named(word);
        if propagation.is_some() && !matches!(mount.source, MountSource::Bind { .. }) {
            return Err(Invalid::new(format!("{word:?} is for bind mounts")));
        }
        if propagation.is_none() && !FLAGS.contains(&word) {
            return Err(Invalid::new(format!("unknown option {word:?}")));
        }
        set(&mut mount.options, word);
    }
    Ok(())
}

/// Adds a flag in the place of its opposite.
pub fn set(options: &mut Vec<String>, word: &str) {
    let opposite = match word {
        "ro" => "rw".to_owned(),
        "rw" => "ro".to_owned(),
        _ => word
            .strip_prefix("no")
            .map_or_else(|| format!("no{word}"), str::to_owned),
    };
    options.retain(|option| *option != opposite && option != word);
    options.push(word.to_owned());
}

fn size_option(size: &str) -> Result<String, Invalid> {
    // A percentage of memory is tmpfs(5)'s own form.
    let percent = size
        .strip_suffix('%')
        .is_some_and(|n| n.parse::<u8>().is_ok_and(|n| n <= 100));
    if percent {
        return Ok(format!("size={size}"));
    }
    Ok(format!("size={}", size.parse::<Bytes>()?.0))
}

fn number_option(name: &str, value: &str) -> Result<String, Invalid> {
    if value.is_empty() || value.len() > 10 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Invalid::new(format!("{name} must be a number")));
    }
    Ok(format!("{name}={value}"))
}

/// Comma-separated fields; what is in double quotes may contain commas, and a doubled quote is one
/// (RFC 4180, as docker reads them).
fn fields(text: &str) -> Result<Vec<String>, Invalid> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if quoted {
        return Err(Invalid::new("a double quote is not closed"));
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(mount: &Mount) -> Vec<&str> {
        mount.options.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_volume_is_host_container_and_options() {
        let mount = parse_volume("/src:/dst//x/:ro,rslave").unwrap();
        assert_eq!(mount.target, "/dst/x");
        assert_eq!(options(&mount), ["rbind", "ro", "rslave"]);
        let source = MountSource::Bind {
            host: "/src".into(),
            make_missing: true,
            fence: None,
        };
        assert_eq!(mount.source, source);
    }

    #[test]
    fn a_lone_path_is_an_anonymous_volume() {
        assert_eq!(
            parse_volume("/data").unwrap().source,
            MountSource::Anonymous
        );
    }

    #[test]
    fn what_is_no_volume_is_refused() {
        for bad in [
            "",
            "a:/b",
            "/a:b",
            "/a:/",
            "/a:/proc",
            "/a:/b/../c",
            "/a:/b:bogus",
            "/a:/b:ro:x",
            ":/b",
            "/a:/.airtight",
        ] {
            assert!(parse_volume(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_tmpfs_has_docker_s_flags_unless_told_otherwise() {
        assert_eq!(
            options(&parse_tmpfs("/t").unwrap()),
            ["noexec", "nosuid", "nodev"]
        );
        let mount = parse_tmpfs("/t:size=1m,exec,mode=1777").unwrap();
        assert_eq!(
            options(&mount),
            ["nosuid", "nodev", "size=1048576", "exec", "mode=1777"]
        );
        for bad in ["t", "/t:size=x", "/t:mode=rwx", "/t:rslave", "/t:size=200%"] {
            assert!(parse_tmpfs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mount_takes_named_fields() {
        let mount = parse_mount("type=bind,\"source=/a,b:c\",target=/d,readonly").unwrap();
        let source = MountSource::Bind {
            host: "/a,b:c".into(),
            make_missing: false,
            fence: None,
        };
        assert_eq!(
            (mount.source.clone(), options(&mount)),
            (source, vec!["rbind", "ro"])
        );
        let mount = parse_mount("type=bind,\"source=/q\"\"\",target=/d").unwrap();
        assert!(
            matches!(mount.source, MountSource::Bind { host, .. } if host.to_str() == Some("/q\""))
        );
        let mount = parse_mount("type=tmpfs,dst=/t,tmpfs-size=64m").unwrap();
        assert_eq!(mount.source, MountSource::Tmpfs);
        for bad in [
            "type=bind,target=/x",
            "type=bind,source=a,target=/x",
            "type=bind,source=/a",
            "type=tmpfs,source=/a,target=/x",
            "type=npipe,target=/x",
            "type=bind,source=/a,target=/x,tmpfs-size=1m",
            "\"type=bind",
        ] {
            assert!(parse_mount(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_mount_or_refused(text in ".*") {
            for parse in [parse_volume, parse_mount, parse_tmpfs] {
                if let Ok(mount) = parse(&text) {
                    prop_assert!(mount.target.starts_with('/') && mount.target != "/");
                    prop_assert!(!mount.target.split('/').any(|part| part == ".."));
                }
            }
        }
    }
}
