//! Which image a user means: what was typed, before anybody has looked.
//!
//! Text goes in; a [`Wanted`] knows whether a record or an image is the one. No I/O.

use std::str::FromStr;

use containerd_client::services::v1 as api;

use super::{Image, Reference};
use crate::failure::{Failure, Kind, Result};

/// The fewest digits that are taken for an image id; fewer are names.
const MIN_ID: usize = 4;

/// Which image a user means: a name, the beginning of an id, or what may be either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    text: String,
    reference: Option<Reference>,
    id: Option<String>,
}

/// What helps in any case.
pub(super) const SEE: &str = "see what is here: airtight image ls";

impl Wanted {
    /// The name, if what was typed can be one.
    pub fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// What was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a record of this name and target is meant by name.
    pub(super) fn names(&self, record: &api::Image) -> bool {
        let Some(wanted) = &self.reference else {
            return false;
        };
        let Ok(stored) = record.name.parse::<Reference>() else {
            return record.name == self.text;
        };
        let target = record.target.as_ref().map_or("", |t| t.digest.as_str());
        match wanted.digest() {
            None => stored == *wanted,
            Some(digest) => {
                stored.repository() == wanted.repository()
                    && (wanted.tag().is_none() || stored.tag() == wanted.tag())
                    && digest.to_string() == target
            }
        }
    }

    /// Whether it may be the beginning of an id.
    pub(super) fn may_be_id(&self) -> bool {
        self.id.is_some()
    }

    /// Whether one of the image's digests begins with the wanted id.
    pub(super) fn identifies(&self, image: &Image) -> bool {
        let digests = [&image.config_blob, &image.manifest, &image.target];
        let begins = |id: &String| digests.iter().any(|d| d.digest.hex().starts_with(id));
        self.id.as_ref().is_some_and(begins)
    }

    /// The failure of having found nothing, for who does not want to have it.
    pub(super) fn missing(&self) -> Failure {
        Failure::new(Kind::Image, format!("image {:?} is not here", self.text))
            .because("containerd has no such name or id in this namespace")
    }

    /// The same for who does.
    pub(super) fn not_found(&self) -> Failure {
        let failure = self.missing();
        let failure = match &self.reference {
            Some(reference) => failure.hint(format!(
                "pull it: airtight image pull {}",
                reference.familiar()
            )),
            None => failure,
        };
        failure
            .hint("or import it: airtight image import FILE")
            .hint(SEE)
    }
}

impl FromStr for Wanted {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is_id = (MIN_ID..=64).contains(&hex.len()) && hex.bytes().all(digits);
        let reference = match text.parse() {
            Ok(reference) => Some(reference),
            Err(_) if is_id => None,
            Err(failure) => return Err(failure),
        };
        Ok(Self {
            text: text.to_owned(),
            reference,
            id: is_id.then(|| hex.to_owned()),
        })
    }
}

impl From<Reference> for Wanted {
    fn from(reference: Reference) -> Self {
        Self {
            text: reference.to_string(),
            reference: Some(reference),
            id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::digest::Digest;
    use containerd_client::types;

    fn record(name: &str, digest: &str) -> api::Image {
        api::Image {
            name: name.to_owned(),
            target: Some(types::Descriptor {
                digest: digest.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn wanted(text: &str) -> Wanted {
        text.parse().unwrap()
    }

    #[test]
    fn hexadecimal_text_may_be_an_id_and_a_name() {
        let both = wanted("cafe");
        assert!(both.id.is_some() && both.reference.is_some());
        assert!(wanted("abc").id.is_none());
        let whole = "0".repeat(64);
        assert!(wanted(&whole).reference.is_none());
        assert_eq!(wanted(&format!("sha256:{whole}")).id, Some(whole));
        assert!("0".repeat(65).parse::<Wanted>().unwrap().id.is_none());
        assert!("Not A Name".parse::<Wanted>().is_err());
    }

    #[test]
    fn a_name_that_another_tool_stored_short_is_found_by_its_long_form() {
        let short = record("busybox:test", "");
        assert!(wanted("docker.io/library/busybox:test").names(&short));
        assert!(!wanted("busybox:other").names(&short));
    }

    #[test]
    fn a_name_with_a_digest_finds_the_tag_that_points_there() {
        let digest = Digest::of(b"x").to_string();
        let tagged = record("docker.io/library/busybox:1", &digest);
        assert!(wanted(&format!("busybox@{digest}")).names(&tagged));
        assert!(wanted(&format!("busybox:1@{digest}")).names(&tagged));
        assert!(!wanted(&format!("busybox:2@{digest}")).names(&tagged));
        assert!(!wanted(&format!("other@{digest}")).names(&tagged));
        let moved = record("docker.io/library/busybox:1", "sha256:0");
        assert!(!wanted(&format!("busybox@{digest}")).names(&moved));
    }
}
