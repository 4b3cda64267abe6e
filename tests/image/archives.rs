//! Image archives made in memory: tiny, complete, and broken where a test wants them so.

use std::collections::BTreeMap;
use std::io::Write;

use airtight::image::digest::Digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An entry of an archive.
#[derive(Clone)]
pub enum Entry {
    File(Vec<u8>),
    Link(String),
}

/// An archive in the making: entries by name.
#[derive(Clone, Default)]
pub struct Archive(pub BTreeMap<String, Entry>);

impl Archive {
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(name.to_owned(), Entry::File(content.into()));
        self
    }

    pub fn link(mut self, name: &str, target: &str) -> Self {
        self.0
            .insert(name.to_owned(), Entry::Link(target.to_owned()));
        self
    }

    pub fn blob(self, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        self.file(&blob_name(&content), content)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, entry) in &self.0 {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(0o644);
            let content = match entry {
                Entry::File(content) => content.as_slice(),
                Entry::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_link_name_literal(target).unwrap();
                    &[]
                }
            };
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// The archive as a file that vanishes with the value returned.
    pub fn write(&self) -> tempfile::NamedTempFile {
        write(&self.bytes())
    }
}

pub fn write(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub fn blob_name(content: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(content).hex())
}

/// A layer with one file.
pub fn layer(name: &str, content: &str) -> Vec<u8> {
    Archive::default().file(name, content).bytes()
}

/// A configuration for this host; `note` tells one from another.
pub fn config(note: &str, layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({
        "architecture": architecture(), "os": "linux",
        "config": {"Env": [format!("NOTE={note}")]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string()
    .into_bytes()
}

pub fn architecture() -> String {
    oci_spec::image::Arch::default().to_string()
}

pub fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(content), "size": content.len()})
}

pub fn manifest(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    let layers: Vec<Value> = layers.iter().map(|l| descriptor(media_type, l)).collect();
    let config = descriptor("application/vnd.oci.image.config.v1+json", config);
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
        .to_string()
        .into_bytes()
}

pub fn index(manifests: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
        .to_string()
        .into_bytes()
}

/// An OCI archive of one image.
pub fn oci(name: &str, config: &[u8], layers: &[&[u8]]) -> Archive {
    let manifest = manifest(config, layers);
    oci_of(name, descriptor(MANIFEST, &manifest), config, layers).blob(manifest)
}

/// An OCI archive whose index points to `root`, which is not in it yet.
pub fn oci_of(name: &str, mut root: Value, config: &[u8], layers: &[&[u8]]) -> Archive {
    root["annotations"] = json!({"io.containerd.image.name": name});
    let archive = Archive::default()
        .file("oci-layout", r#"{"imageLayoutVersion": "1.0.0"}"#)
        .file("index.json", index(&[root]))
        .blob(config);
    layers.iter().fold(archive, |archive, l| archive.blob(*l))
}

/// A `docker save` manifest.
pub fn save_manifest(config: &str, tags: &[&str], layers: &[&str]) -> String {
    json!([{"Config": config, "RepoTags": tags, "Layers": layers}]).to_string()
}
