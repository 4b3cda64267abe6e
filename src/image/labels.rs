//! Labels on blobs: how containerd's collector learns what belongs together.
//!
//! The keys are containerd's (`docs/garbage-collection.md` and `docs/content-flow.md` there).

use std::collections::HashMap;

use containerd_client::services::v1 as api;
use oci_spec::image::{ImageIndex, ImageManifest};
use prost_types::FieldMask;

use super::digest::Digest;
use crate::containerd::{Client, Result};

/// On a layer: the digest of its uncompressed content.
pub(super) const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// On a snapshot in the making: what it will be called.
pub(super) const SNAPSHOT_REF: &str = "containerd.io/snapshot.ref";
/// On any blob: another blob it needs, with a distinguishing suffix.
const CONTENT_REF: &str = "containerd.io/gc.ref.content";

/// Labels of one blob.
pub(super) type Labels = HashMap<String, String>;

/// On a configuration: the key of the label that keeps its topmost snapshot.
pub(super) fn snapshot_key(snapshotter: &str) -> String {
    format!("containerd.io/gc.ref.snapshot.{snapshotter}")
}

/// What keeps a manifest's configuration and layers.
pub(super) fn of_manifest(manifest: &ImageManifest) -> Labels {
    let config = (
        format!("{CONTENT_REF}.config"),
        manifest.config().digest().to_string(),
    );
    let layers = manifest.layers().iter().enumerate();
    let layers = layers.map(|(n, d)| (format!("{CONTENT_REF}.l.{n}"), d.digest().to_string()));
    layers.chain([config]).collect()
}

/// What keeps the one manifest of an index that is stored.
pub(super) fn of_index(index: &ImageIndex, stored: &Digest) -> Labels {
    let stored = stored.to_string();
    let entries = index.manifests().iter().enumerate();
    entries
        .filter(|(_, d)| d.digest().as_ref() == stored)
        .map(|(n, _)| (format!("{CONTENT_REF}.m.{n}"), stored.clone()))
        .collect()
}

/// Adds `labels` to a blob that exists, leaving its others alone.
pub(super) async fn add(client: &Client, digest: &Digest, labels: &Labels) -> Result<()> {
    if labels.is_empty() {
        return Ok(());
    }
    let digest = digest.to_string();
    let message = api::UpdateRequest {
        info: Some(api::Info {
            digest: digest.clone(),
            labels: labels.clone(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: labels.keys().map(|key| format!("labels.{key}")).collect(),
        }),
    };
    let mut content = client.content();
    client
        .call(("label", &digest), message, |m| content.update(m))
        .await?;
    Ok(())
}
