//! What is believed of a document: what its digest and it itself say, and the registry only where they agree.
//!
//! In: bytes as a registry sent them, and what it says they are. Out: their media type, or a failure.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::failure::{Context, Failure, Kind, Result};
use crate::image::descriptor::{MANIFESTS, OCI_INDEX, OCI_MANIFEST};
use crate::image::digest::Digest;

/// That they are what was asked for.
pub(super) fn same(digest: &Digest, bytes: &[u8]) -> Result<()> {
    match Digest::of(bytes) {
        found if found == *digest => Ok(()),
        found => Err(Failure::new(
            Kind::Image,
            format!("the registry sent {found} where {digest} was asked for"),
        )),
    }
}

/// What a document says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
}

/// The media type of a manifest or index, where the registry and the document agree on it. One that
/// could be read as both is refused: its digest would not say what it is (CVE-2021-41190).
pub(super) fn kind(said: &str, bytes: &[u8]) -> Result<String> {
    let shape: Shape = serde_json::from_slice(bytes)
        .or_fail(Kind::Image, || "its index or manifest cannot be read")?;
    if shape.manifests.is_some() && shape.layers.is_some() {
        return Err(Failure::new(Kind::Image, "it is index and manifest in one"));
    }
    let said = MANIFESTS.contains(&said).then_some(said);
    match (said, &shape.media_type) {
        (Some(said), Some(own)) if said != own => {
            let what = format!("it is said to be {said:?}, and calls itself {own:?}");
            Err(Failure::new(Kind::Image, what))
        }
        (Some(said), _) => Ok(said.to_owned()),
        (None, Some(own)) => Ok(own.clone()),
        // Of the OCI's documents the media type may be left out.
        (None, None) if shape.manifests.is_some() => Ok(OCI_INDEX.to_owned()),
        (None, None) => Ok(OCI_MANIFEST.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_and_document_must_agree_on_what_it_is() {
        let plain = br#"{"schemaVersion":2,"layers":[]}"#;
        assert_eq!(kind("", plain).unwrap(), OCI_MANIFEST);
        assert_eq!(kind("", br#"{"manifests":[]}"#).unwrap(), OCI_INDEX);
        assert_eq!(kind(OCI_MANIFEST, plain).unwrap(), OCI_MANIFEST);
        let own = format!(r#"{{"mediaType":"{OCI_INDEX}"}}"#);
        assert_eq!(kind("text/plain", own.as_bytes()).unwrap(), OCI_INDEX);
        assert!(kind(OCI_MANIFEST, own.as_bytes()).is_err());
        assert!(kind(OCI_INDEX, br#"{"manifests":[],"layers":[]}"#).is_err());
        assert!(kind(OCI_INDEX, b"<html>").is_err());
    }

    #[test]
    fn what_was_not_asked_for_is_not_taken() {
        assert!(same(&Digest::of(b"a"), b"a").is_ok());
        assert!(same(&Digest::of(b"a"), b"b").is_err());
    }
}
