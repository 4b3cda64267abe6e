//! An image as an archive has it, before anything of it is in containerd.
//!
//! Everything that can be refused from the archive alone is refused while drafts are made; what
//! remains for later is the digest of each layer, which is computed while it is stored.

use super::archive::{Archive, Extent};
use super::{docker_save, oci_layout};
use crate::failure::Result;
use crate::image::descriptor::Descriptor;
use crate::image::labels::Labels;
use crate::image::{Image, Reference};

/// One image of an archive.
#[derive(Debug)]
pub(super) struct Draft {
    /// What the archive calls it.
    pub names: Vec<Reference>,
    /// What it is.
    pub image: Image,
    /// What to store, each blob after those it refers to.
    pub blobs: Vec<Blob>,
}

/// One blob to store.
#[derive(Debug)]
pub(super) struct Blob {
    /// What it must turn out to be.
    pub descriptor: Descriptor,
    /// Where it comes from.
    pub content: Content,
    /// What it is called in the archive, for error messages.
    pub entry: String,
    /// Its labels in the content store.
    pub labels: Labels,
}

/// The bytes of a blob.
#[derive(Debug)]
pub(super) enum Content {
    /// In the archive.
    Archive(Extent),
    /// Read or made already.
    Memory(Vec<u8>),
}

/// Reads all images of an archive, whichever layout it has.
pub(super) fn drafts(archive: &Archive) -> Result<Vec<Draft>> {
    let has_index = archive.has(oci_layout::INDEX);
    let items = if archive.has(docker_save::MANIFEST) {
        docker_save::items(archive)?
    } else if has_index {
        Vec::new()
    } else {
        return Err(archive
            .fail_whole("it has neither index.json (OCI archive) nor manifest.json (docker save)")
            .hint("make one with: docker save -o FILE NAME"));
    };
    // Docker 25 and later write both; only the OCI layout has the manifests' true digests.
    if has_index {
        oci_layout::drafts(archive, &items)
    } else {
        items
            .iter()
            .map(|item| docker_save::draft(archive, item))
            .collect()
    }
}
