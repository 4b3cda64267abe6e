//! Archives of `docker save` (Docker image specification 1.2, "Combined Image JSON + Filesystem
//! Changeset Format").
//!
//! `manifest.json` lists the images, each with a configuration and tars of its layers. There is no
//! OCI manifest in them, so one is written here. The digest of a plain layer is the diff id that
//! the configuration states, which storing it then proves; a compressed one is hashed here.

use oci_spec::image::{ImageConfiguration, ImageManifest};
use serde::Deserialize;

use super::archive::{Archive, Extent};
use super::draft::{Blob, Content, Draft};
use super::source::Compression;
use crate::failure::{Failure, Result};
use crate::image::descriptor::{
    Descriptor, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST,
};
use crate::image::digest::{Digest, Hasher};
use crate::image::{Image, MAX_CONFIG, MAX_MANIFEST, Reference, labels};

/// The entry that lists the images.
pub(super) const MANIFEST: &str = "manifest.json";

/// What Docker writes where a name is missing.
const NO_NAME: &str = "<none>:<none>";

/// How much of a layer is hashed at a time.
const CHUNK: usize = 1 << 20;

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl Item {
    /// Whether this is the image, by the digest of its configuration.
    pub(super) fn is(&self, image: &Image) -> bool {
        stated_digest(&self.config) == Some(image.config_blob.digest)
    }

    /// The image's names.
    pub(super) fn names(&self, archive: &Archive) -> Result<Vec<Reference>> {
        let tags = self.repo_tags.iter().flatten();
        tags.filter(|tag| *tag != NO_NAME)
            .map(|tag| {
                tag.parse()
                    .map_err(|failure: Failure| archive.fail(MANIFEST, failure))
            })
            .collect()
    }
}

/// Reads `manifest.json`.
pub(super) fn items(archive: &Archive) -> Result<Vec<Item>> {
    let bytes = archive.read(MANIFEST, MAX_MANIFEST)?;
    let items: Vec<Item> =
        serde_json::from_slice(&bytes).map_err(|error| archive.fail(MANIFEST, error))?;
    if items.is_empty() {
        return Err(archive.fail(MANIFEST, "it lists no image"));
    }
    Ok(items)
}

/// Reads one image.
pub(super) fn draft(archive: &Archive, item: &Item) -> Result<Draft> {
    let (config, config_blob) = read_config(archive, &item.config)?;
    let mut blobs = layers(archive, item, &config)?;
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": json(&config_blob.descriptor),
        "layers": blobs.iter().map(|blob| json(&blob.descriptor)).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes();
    let document: ImageManifest =
        serde_json::from_slice(&manifest).map_err(|error| archive.fail(MANIFEST, error))?;
    let descriptor = Descriptor::new(OCI_MANIFEST, Digest::of(&manifest), manifest.len() as u64);
    let names = item.names(archive)?;
    let name = names.first().map(Reference::familiar);
    let name = name.unwrap_or_else(|| item.config.clone());
    let image = Image::assemble(
        &name,
        descriptor.clone(),
        descriptor.clone(),
        &document,
        &config,
    )
    .map_err(|flaw| archive.fail(&item.config, flaw))?;
    blobs.push(config_blob);
    blobs.push(Blob {
        descriptor,
        content: Content::Memory(manifest),
        entry: MANIFEST.to_owned(),
        labels: labels::of_manifest(&document),
    });
    Ok(Draft {
        names,
        image,
        blobs,
    })
}

fn json(descriptor: &Descriptor) -> serde_json::Value {
    serde_json::json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    })
}

fn read_config(archive: &Archive, entry: &str) -> Result<(Vec<u8>, Blob)> {
    let bytes = archive.read(entry, MAX_CONFIG)?;
    let digest = Digest::of(&bytes);
    if stated_digest(entry).is_some_and(|stated| stated != digest) {
        return Err(archive.fail(entry, format!("its content has the digest {digest}")));
    }
    let blob = Blob {
        descriptor: Descriptor::new(OCI_CONFIG, digest, bytes.len() as u64),
        content: Content::Memory(bytes.clone()),
        entry: entry.to_owned(),
        labels: Default::default(),
    };
    Ok((bytes, blob))
}

/// The digest a configuration's name states: `<hex>.json`, or `blobs/sha256/<hex>` since Docker 25.
fn stated_digest(entry: &str) -> Option<Digest> {
    let file = entry.rsplit('/').next().unwrap_or(entry);
    let hex = file.strip_suffix(".json").unwrap_or(file);
    format!("sha256:{hex}").parse().ok()
}

/// One blob per layer, in their order.
fn layers(archive: &Archive, item: &Item, config: &[u8]) -> Result<Vec<Blob>> {
    let fail = |why| archive.fail(&item.config, why);
    let config: ImageConfiguration =
        serde_json::from_slice(config).map_err(|error| archive.fail(&item.config, error))?;
    let (entries, diff_ids) = (
        item.layers.as_deref().unwrap_or_default(),
        config.rootfs().diff_ids(),
    );
    if entries.len() != diff_ids.len() {
        return Err(fail(format!(
            "it has {} layers, {MANIFEST} lists {}",
            diff_ids.len(),
            entries.len()
        )));
    }
    entries
        .iter()
        .zip(diff_ids)
        .map(|(entry, diff_id)| {
            let diff_id = diff_id
                .parse()
                .map_err(|error| fail(format!("layer {diff_id:?}: {error}")))?;
            let extent = archive.locate(entry)?;
            Ok(Blob {
                descriptor: layer(archive, entry, extent, diff_id)?,
                content: Content::Archive(extent),
                entry: entry.clone(),
                labels: Default::default(),
            })
        })
        .collect()
}

fn layer(archive: &Archive, entry: &str, extent: Extent, diff_id: Digest) -> Result<Descriptor> {
    let head = archive.read_part(entry, extent, 0, 6)?;
    let media_type = match Compression::of(&head) {
        Compression::None => return Ok(Descriptor::new(OCI_LAYER, diff_id, extent.size)),
        Compression::Gzip => OCI_LAYER_GZIP,
        Compression::Other("zstd") => OCI_LAYER_ZSTD,
        Compression::Other(name) => {
            let why = format!("it is compressed with {name}, which containerd does not unpack");
            return Err(archive.fail(entry, why));
        }
    };
    let mut hasher = Hasher::default();
    let mut position = 0;
    while position < extent.size {
        let bytes = archive.read_part(entry, extent, position, CHUNK)?;
        hasher.update(&bytes);
        position += bytes.len() as u64;
    }
    Ok(Descriptor::new(media_type, hasher.finish(), extent.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configurations_name_states_its_digest_in_either_layout() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        for name in [format!("{hex}.json"), format!("blobs/sha256/{hex}")] {
            assert_eq!(stated_digest(&name), Some(digest));
        }
        assert_eq!(stated_digest("config.json"), None);
    }
}
