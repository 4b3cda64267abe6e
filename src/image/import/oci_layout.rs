//! Archives with an OCI image layout (OCI image specification, "Image Layout").
//!
//! `index.json` lists the images; each is followed, through nested indexes, to the manifest for
//! this host's platform. Manifests of other platforms are left out, as their layers often are
//! missing from the archive anyway. Every index, manifest and configuration is compared with its
//! digest here, every layer with its size.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor as OciDescriptor, ImageIndex, ImageManifest};

use super::archive::{Archive, Extent};
use super::docker_save::Item;
use super::draft::{Blob, Content, Draft};
use crate::failure::{Failure, Result};
use crate::image::descriptor::{Descriptor, Document};
use crate::image::digest::Digest;
use crate::image::platform::{self, Platform};
use crate::image::{Image, MAX_CONFIG, MAX_DEPTH, MAX_MANIFEST, Reference, labels};

/// The entry that lists the images.
pub(super) const INDEX: &str = "index.json";

/// Annotations that name an image: containerd's with a whole name, the OCI's with a name or a tag.
const NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Descriptors in `index.json` that are one image: one blob with several names, or one name with a
/// manifest for each platform.
#[derive(Default)]
struct Group {
    names: Vec<Reference>,
    members: Vec<OciDescriptor>,
}

/// Reads all images. `items` are those of a docker save manifest beside the index, for their names.
pub(super) fn drafts(archive: &Archive, items: &[Item]) -> Result<Vec<Draft>> {
    let bytes = archive.read(INDEX, MAX_MANIFEST)?;
    let index: ImageIndex =
        serde_json::from_slice(&bytes).map_err(|error| archive.fail(INDEX, error))?;
    let groups = groups(archive, &index)?;
    if groups.is_empty() {
        return Err(archive.fail(INDEX, "it lists no image"));
    }
    let mut drafts = Vec::new();
    for group in groups {
        let mut draft = draft(archive, &index, group)?;
        for item in items.iter().filter(|item| item.is(&draft.image)) {
            for name in item.names(archive)? {
                if !draft.names.contains(&name) {
                    draft.names.push(name);
                }
            }
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

fn groups(archive: &Archive, index: &ImageIndex) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let images = index.manifests().iter();
    for member in images.filter(|d| !platform::is_attestation(d)) {
        let names = names(archive, member)?;
        let known = groups.iter_mut().find(|group| group.takes(member, &names));
        let group = match known {
            Some(group) => group,
            None => {
                groups.push(Group::default());
                // Just pushed.
                let Some(group) = groups.last_mut() else {
                    continue;
                };
                group
            }
        };
        group.members.push(member.clone());
        for name in names {
            if !group.names.contains(&name) {
                group.names.push(name);
            }
        }
    }
    Ok(groups)
}

impl Group {
    fn takes(&self, member: &OciDescriptor, names: &[Reference]) -> bool {
        let nameless = self.names.is_empty() && names.is_empty();
        self.members.iter().any(|d| d.digest() == member.digest())
            || names.iter().any(|name| self.names.contains(name))
            || (nameless
                && self
                    .members
                    .iter()
                    .chain([member])
                    .all(|d| d.platform().is_some()))
    }

    /// The descriptor to follow.
    fn root(&self, archive: &Archive, index: &ImageIndex) -> Result<OciDescriptor> {
        let Some(first) = self.members.first() else {
            return Err(archive.fail(INDEX, "it lists no image"));
        };
        if self.members.iter().all(|d| d.digest() == first.digest()) {
            return Ok(first.clone());
        }
        if self.members.iter().any(|d| d.platform().is_none()) {
            let names: Vec<String> = self.names.iter().map(Reference::familiar).collect();
            let why = format!("it calls different images {}", names.join(", "));
            return Err(archive.fail(INDEX, why));
        }
        let mut platforms = index.clone();
        platforms.set_manifests(self.members.clone());
        let host = Platform::host();
        let chosen = host.choose(&platforms);
        chosen
            .cloned()
            .ok_or_else(|| wrong_platform(archive, INDEX, &platforms))
    }
}

/// The names an entry of the index has. A bare tag names nothing.
fn names(archive: &Archive, descriptor: &OciDescriptor) -> Result<Vec<Reference>> {
    let none = Default::default();
    let annotations = descriptor.annotations().as_ref().unwrap_or(&none);
    let whole = |name: &&String| name.contains(['/', ':']);
    let name = annotations
        .get(NAME)
        .or_else(|| annotations.get(REF_NAME).filter(whole));
    name.map(|name| {
        name.parse()
            .map_err(|failure: Failure| archive.fail(INDEX, failure))
    })
    .into_iter()
    .collect()
}

fn wrong_platform(archive: &Archive, entry: &str, index: &ImageIndex) -> Failure {
    let why = format!(
        "it is for {}, this host is {}",
        platform::offered(index),
        Platform::host()
    );
    archive.fail(entry, why)
}

fn draft(archive: &Archive, index: &ImageIndex, group: Group) -> Result<Draft> {
    let root = group.root(archive, index)?;
    let root = Descriptor::of(&root).map_err(|flaw| archive.fail(INDEX, flaw))?;
    let mut path = follow(archive, root.clone())?;
    let (manifest, document) = (path.manifest.descriptor.clone(), &path.document);
    let (config, config_blob) = read_config(archive, &path.manifest.entry, document)?;
    let name = group.names.first().map(Reference::familiar);
    let name = name.unwrap_or_else(|| root.digest.to_string());
    let image = Image::assemble(&name, root, manifest, document, &config)
        .map_err(|flaw| archive.fail(&path.manifest.entry, flaw))?;
    let mut blobs = layer_blobs(archive, &image)?;
    blobs.extend([config_blob, path.manifest]);
    path.indexes.reverse();
    blobs.append(&mut path.indexes);
    Ok(Draft {
        names: group.names,
        image,
        blobs,
    })
}

/// The documents between a root and its manifest.
struct Path {
    /// From the outermost.
    indexes: Vec<Blob>,
    manifest: Blob,
    document: ImageManifest,
}

fn follow(archive: &Archive, root: Descriptor) -> Result<Path> {
    let mut indexes: Vec<Blob> = Vec::new();
    let mut descriptor = root;
    for _ in 0..MAX_DEPTH {
        let (bytes, mut blob) = read_blob(archive, &descriptor, MAX_MANIFEST)?;
        let document = descriptor
            .document(&bytes)
            .map_err(|why| archive.fail(&blob.entry, why))?;
        match document {
            Document::Manifest(document) => {
                blob.labels = labels::of_manifest(&document);
                return Ok(Path {
                    indexes,
                    manifest: blob,
                    document: *document,
                });
            }
            Document::Index(index) => {
                let chosen = Platform::host()
                    .choose(&index)
                    .ok_or_else(|| wrong_platform(archive, &blob.entry, &index))?;
                descriptor =
                    Descriptor::of(chosen).map_err(|flaw| archive.fail(&blob.entry, flaw))?;
                blob.labels = labels::of_index(&index, &descriptor.digest);
                indexes.push(blob);
            }
        }
    }
    Err(archive.fail(INDEX, "its indexes are nested too deep"))
}

fn read_config(
    archive: &Archive,
    manifest: &str,
    document: &ImageManifest,
) -> Result<(Vec<u8>, Blob)> {
    let descriptor =
        Descriptor::of(document.config()).map_err(|flaw| archive.fail(manifest, flaw))?;
    read_blob(archive, &descriptor, MAX_CONFIG)
}

/// One blob per layer, or fewer when layers are equal.
fn layer_blobs(archive: &Archive, image: &Image) -> Result<Vec<Blob>> {
    let mut blobs = BTreeMap::new();
    for layer in &image.layers {
        let (entry, extent) = locate(archive, &layer.blob)?;
        blobs.entry(layer.blob.digest).or_insert(Blob {
            descriptor: layer.blob.clone(),
            content: Content::Archive(extent),
            entry,
            labels: Default::default(),
        });
    }
    Ok(blobs.into_values().collect())
}

/// Where a blob is, once its size is what its descriptor says.
fn locate(archive: &Archive, descriptor: &Descriptor) -> Result<(String, Extent)> {
    let entry = format!("blobs/sha256/{}", descriptor.digest.hex());
    let extent = archive.locate(&entry)?;
    if extent.size != descriptor.size {
        let why = format!(
            "it has {} bytes, its descriptor says {}",
            extent.size, descriptor.size
        );
        return Err(archive.fail(&entry, why));
    }
    Ok((entry, extent))
}

/// A small blob, once its digest is right.
fn read_blob(archive: &Archive, descriptor: &Descriptor, limit: usize) -> Result<(Vec<u8>, Blob)> {
    let (entry, _) = locate(archive, descriptor)?;
    let bytes = archive.read(&entry, limit)?;
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        return Err(archive.fail(&entry, format!("its content has the digest {found}")));
    }
    let blob = Blob {
        descriptor: descriptor.clone(),
        content: Content::Memory(bytes.clone()),
        entry,
        labels: Default::default(),
    };
    Ok((bytes, blob))
}
