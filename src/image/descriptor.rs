//! What points to a blob: media type, digest, size; and what the blob then is.
//!
//! Both spellings of media types, the OCI's and Docker's, mean the same here. The size and digest
//! of a [`Descriptor`] are claims until somebody has compared them with content.

use containerd_client::types;
use oci_spec::image::{ImageIndex, ImageManifest};

use super::Flaw;
use super::digest::{Digest, ParseDigestError};

/// Media types of the documents we write ourselves (OCI image specification, "Media Types").
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// See [`OCI_MANIFEST`].
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// See [`OCI_MANIFEST`].
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// See [`OCI_MANIFEST`].
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// See [`OCI_MANIFEST`].
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// See [`OCI_MANIFEST`].
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker's names of the same documents (distribution, "Image Manifest Version 2, Schema 2").
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What an image begins with, in the order of preference.
pub(crate) const MANIFESTS: [&str; 4] = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST];
/// What configurations of container images are; others belong to charts, signatures and the like.
const CONFIGS: [&str; 2] = [OCI_CONFIG, "application/vnd.docker.container.image.v1+json"];
/// What layers are that a registry has itself and containerd unpacks.
const LAYERS: [&str; 6] = [
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// A pointer to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What the blob is said to be.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// What a descriptor of an image may point to.
pub(crate) enum Document {
    Index(Box<ImageIndex>),
    Manifest(Box<ImageManifest>),
}

/// Why a blob is neither index nor manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDocument {
    #[error("{0:?} is not the media type of an image")]
    MediaType(String),
    #[error("it is no valid image document")]
    Json(#[from] serde_json::Error),
}

impl Descriptor {
    /// A pointer to `size` bytes.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
        }
    }

    /// The descriptor in an OCI document.
    pub(crate) fn of(descriptor: &oci_spec::image::Descriptor) -> Result<Self, Flaw> {
        let text = descriptor.digest().to_string();
        let digest = text.parse().map_err(|source| Flaw::Digest {
            what: "one of its blobs",
            text,
            source,
        })?;
        let media_type = descriptor.media_type().to_string();
        Ok(Self::new(&media_type, digest, descriptor.size()))
    }

    /// The descriptor in an answer of containerd.
    pub(crate) fn received(message: &types::Descriptor) -> Result<Self, ParseDigestError> {
        Ok(Self {
            media_type: message.media_type.clone(),
            digest: message.digest.parse()?,
            size: u64::try_from(message.size).unwrap_or(0),
        })
    }

    /// The descriptor for a request to containerd.
    pub(crate) fn message(&self) -> types::Descriptor {
        types::Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.to_string(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            ..Default::default()
        }
    }

    /// Whether it is said to be the configuration of a container image.
    pub(crate) fn is_config(&self) -> bool {
        CONFIGS.contains(&self.media_type.as_str())
    }

    /// Whether it is said to be a layer.
    pub(crate) fn is_layer(&self) -> bool {
        LAYERS.contains(&self.media_type.as_str())
    }

    /// Reads `bytes` as what this descriptor says they are.
    pub(crate) fn document(&self, bytes: &[u8]) -> Result<Document, NoDocument> {
        match self.media_type.as_str() {
            OCI_MANIFEST | DOCKER_MANIFEST => {
                Ok(Document::Manifest(Box::new(serde_json::from_slice(bytes)?)))
            }
            OCI_INDEX | DOCKER_INDEX => {
                Ok(Document::Index(Box::new(serde_json::from_slice(bytes)?)))
            }
            other => Err(NoDocument::MediaType(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(media_type: &str, text: &str) -> Result<Document, NoDocument> {
        Descriptor::new(media_type, Digest::of(b""), 0).document(text.as_bytes())
    }

    #[test]
    fn dockers_and_the_ocis_media_types_mean_the_same() {
        let index = r#"{"schemaVersion": 2, "manifests": []}"#;
        for media_type in [OCI_INDEX, DOCKER_INDEX] {
            assert!(matches!(read(media_type, index), Ok(Document::Index(_))));
        }
        for media_type in [OCI_MANIFEST, DOCKER_MANIFEST] {
            assert!(matches!(read(media_type, index), Err(NoDocument::Json(_))));
        }
        let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(matches!(read(old, index), Err(NoDocument::MediaType(_))));
    }

    proptest! {
        #[test]
        fn documents_survive_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for media_type in [OCI_INDEX, OCI_MANIFEST] {
                let _ = Descriptor::new(media_type, Digest::of(b""), 0).document(&bytes);
            }
        }
    }
}
