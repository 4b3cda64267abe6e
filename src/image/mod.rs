//! Images: what they are called, finding, pulling, importing, unpacking, listing and removing them.
//!
//! A name ([`Reference`], [`Wanted`]) goes in; an [`Image`] comes out of [`find()`], and
//! [`unpack`] turns it into snapshots. Blobs live in containerd's content store and nowhere else:
//! nothing here writes into a file system of this host, and nothing here knows of tasks.

pub mod descriptor;
pub mod digest;
mod facets;
pub mod find;
pub mod import;
mod labels;
mod lease;
pub mod list;
pub mod platform;
pub mod progress;
pub mod pull;
mod record;
pub mod reference;
pub mod remove;
mod store;
pub mod unpack;
pub mod wanted;

use std::collections::BTreeMap;

use oci_spec::image::{ImageConfiguration, ImageManifest};

use descriptor::Descriptor;
use digest::{Digest, chain_ids};

pub use find::find;
pub use lease::left_over as leases_left_over;
pub(crate) use lease::under_lease;
pub use reference::Reference;
pub use unpack::ensure_unpacked;
pub use wanted::Wanted;

/// The longest index or manifest read (containerd's `images.Manifest` has the same limit).
pub const MAX_MANIFEST: usize = 8 << 20;
/// The longest image configuration read: a hundred times what large ones have.
pub const MAX_CONFIG: usize = 16 << 20;
/// How deep indexes may be nested in indexes.
const MAX_DEPTH: usize = 4;

/// An image of this host's platform, as containerd has it.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name of its record.
    pub name: String,
    /// What the name points to: an index or the manifest itself.
    pub target: Descriptor,
    /// The manifest for this host.
    pub manifest: Descriptor,
    /// The configuration's blob; its digest is what Docker calls the image id.
    pub config_blob: Descriptor,
    /// The configuration.
    pub config: ImageConfiguration,
    /// The layers, from the bottom.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The blob, mostly compressed.
    pub blob: Descriptor,
    /// The digest of its uncompressed content.
    pub diff_id: Digest,
    /// This layer and all below it: what the snapshot is called.
    pub chain_id: Digest,
}

/// Why manifest and configuration make no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("its configuration cannot be read")]
    Config(#[source] serde_json::Error),
    #[error("its manifest has {manifest} layers, its configuration {config}")]
    LayerCount { manifest: usize, config: usize },
    #[error("{what} has the digest {text:?}")]
    Digest {
        what: &'static str,
        text: String,
        source: digest::ParseDigestError,
    },
}

impl Image {
    /// The image as one root file system: the id of its topmost snapshot, or nothing for an image
    /// without layers.
    pub fn chain_id(&self) -> Option<Digest> {
        self.layers.last().map(|layer| layer.chain_id)
    }

    /// What manifest, configuration and layers take in the content store, which keeps equal layers
    /// once.
    pub fn size(&self) -> u64 {
        let layers: BTreeMap<Digest, u64> = self
            .layers
            .iter()
            .map(|layer| (layer.blob.digest, layer.blob.size))
            .collect();
        self.manifest.size + self.config_blob.size + layers.values().sum::<u64>()
    }

    /// Puts an image together from its documents.
    pub(crate) fn assemble(
        name: &str,
        target: Descriptor,
        manifest: Descriptor,
        document: &ImageManifest,
        config: &[u8],
    ) -> Result<Self, Flaw> {
        let mut config: ImageConfiguration =
            serde_json::from_slice(config).map_err(Flaw::Config)?;
        sort_volumes(&mut config);
        Ok(Self {
            name: name.to_owned(),
            target,
            manifest,
            config_blob: Descriptor::of(document.config())?,
            layers: layers(document, &config)?,
            config,
        })
    }
}

/// The parser keeps volumes in no order; plans must not differ from run to run.
fn sort_volumes(config: &mut ImageConfiguration) {
    let Some(mut inner) = config.config().clone() else {
        return;
    };
    if let Some(mut volumes) = inner.volumes().clone() {
        volumes.sort();
        inner.set_volumes(Some(volumes));
        config.set_config(Some(inner));
    }
}

fn layers(manifest: &ImageManifest, config: &ImageConfiguration) -> Result<Vec<Layer>, Flaw> {
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        return Err(Flaw::LayerCount {
            manifest: manifest.layers().len(),
            config: diff_ids.len(),
        });
    }
    let parse = |text: &String| {
        text.parse().map_err(|source| Flaw::Digest {
            what: "a layer of its configuration",
            text: text.clone(),
            source,
        })
    };
    let diff_ids: Vec<Digest> = diff_ids.iter().map(parse).collect::<Result<_, _>>()?;
    let blobs = manifest.layers().iter().map(Descriptor::of);
    blobs
        .zip(diff_ids.iter().zip(chain_ids(&diff_ids)))
        .map(|(blob, (&diff_id, chain_id))| {
            Ok(Layer {
                blob: blob?,
                diff_id,
                chain_id,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn assemble(layers: usize, config: serde_json::Value) -> Result<Image, Flaw> {
        let config = config.to_string();
        let digest = |n: usize| Digest::of(&[n as u8]).to_string();
        let layer = |n| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(n), "size": 10});
        let manifest: ImageManifest = serde_json::from_value(json!({
            "schemaVersion": 2,
            "config": {"mediaType": "x", "digest": Digest::of(config.as_bytes()).to_string(), "size": 5},
            "layers": (0..layers).map(layer).collect::<Vec<_>>(),
        }))
        .unwrap();
        let descriptor = Descriptor::new("x", Digest::of(b"m"), 3);
        Image::assemble(
            "n",
            descriptor.clone(),
            descriptor,
            &manifest,
            config.as_bytes(),
        )
    }

    fn diff(n: u8) -> String {
        Digest::of(&[n]).to_string()
    }

    #[test]
    fn unknown_and_null_fields_of_a_configuration_are_fine() {
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": null, "x-new": {"a": [1]},
            "config": {"Env": null, "Cmd": ["sh"], "Volumes": {"/b": {}, "/a": {"x": 1}}, "Healthcheck": {}},
            "rootfs": {"type": "layers", "diff_ids": [diff(1)]},
        });
        let image = assemble(1, config).unwrap();
        let inner = image.config.config().as_ref().unwrap();
        assert_eq!(inner.volumes().as_ref().unwrap(), &["/a", "/b"]);
        assert_eq!(image.chain_id(), Some(Digest::of(&[1])));
        assert_eq!(image.size(), 3 + 5 + 10);
    }

    #[test]
    fn an_image_without_layers_has_no_chain() {
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        assert_eq!(assemble(0, config).unwrap().chain_id(), None);
    }

    #[test]
    fn a_manifest_and_a_configuration_that_disagree_make_no_image() {
        let config = |ids: &[String]| json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}});
        assert!(matches!(
            assemble(2, config(&[diff(1)])),
            Err(Flaw::LayerCount {
                manifest: 2,
                config: 1
            })
        ));
        assert!(matches!(
            assemble(1, config(&["md5:0".into()])),
            Err(Flaw::Digest { .. })
        ));
        assert!(matches!(assemble(0, json!([])), Err(Flaw::Config(_))));
    }
}
