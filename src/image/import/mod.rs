//! From an archive to images that containerd keeps.
//!
//! OCI archives and those of `docker save` go in ([`Archive`]), names in containerd come out. All
//! checks an archive allows by itself come first, then blobs are stored and verified, then layers
//! are unpacked and compared with the configuration, and only then is anything named. All of it
//! happens under one lease: an import that fails or is interrupted leaves nothing.

mod archive;
mod docker_save;
mod draft;
mod oci_layout;
mod source;

use std::collections::HashSet;
use std::future::Future;

pub use archive::Archive;
pub use source::{DEFAULT_TMPDIR, Source};

use draft::{Blob, Content, Draft};

use super::labels::Labels;
use super::lease::under_lease;
use super::progress::Report;
use super::store;
use super::unpack::{self, Unpack};
use super::{Image, Reference, record};
use crate::containerd::Client;
use crate::failure::{Failure, Kind, Result};

/// What to do with the images of an archive.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to call the archive's one image, instead of what the archive calls it.
    pub tag: Option<Reference>,
    /// Whether to unpack.
    pub unpack: Unpack,
}

/// One image that was imported.
#[derive(Debug)]
pub struct Imported {
    /// Its names.
    pub names: Vec<Reference>,
    /// What it is; its name is the first of them.
    pub image: Image,
}

/// Imports the images of `archive`. When `stop` comes true, the import fails with what it says, and
/// leaves nothing.
pub async fn import(
    client: &Client,
    archive: &Archive,
    options: &Options,
    report: Report<'_>,
    stop: impl Future<Output = Failure>,
) -> Result<Vec<Imported>> {
    let drafts = name(archive, draft::drafts(archive)?, options.tag.as_ref())?;
    under_lease(client, "import", async |client| {
        tokio::select! {
            biased;
            failure = stop => Err(failure),
            result = carry_out(client, archive, &drafts, options, report) => result,
        }
    })
    .await?;
    let imported = |draft: Draft| Imported {
        names: draft.names,
        image: draft.image,
    };
    Ok(drafts.into_iter().map(imported).collect())
}

/// Gives every image its names, or says why one has none.
fn name(archive: &Archive, mut drafts: Vec<Draft>, tag: Option<&Reference>) -> Result<Vec<Draft>> {
    if let Some(tag) = tag {
        match drafts.as_mut_slice() {
            [only] => only.names = vec![tag.clone()],
            several => {
                let why = format!("it holds {} images, --tag can name one", several.len());
                return Err(archive.fail_whole(why));
            }
        }
    }
    let mut seen = HashSet::new();
    for draft in &mut drafts {
        let Some(first) = draft.names.first() else {
            let why = format!("it has no name for its image {}", draft.image.name);
            return Err(archive
                .fail_whole(why)
                .hint("give it one: airtight image import --tag NAME FILE"));
        };
        draft.image.name = first.to_string();
        if let Some(twice) = draft
            .names
            .iter()
            .find(|name| !seen.insert((*name).clone()))
        {
            return Err(archive.fail_whole(format!("it calls two images {}", twice.familiar())));
        }
    }
    Ok(drafts)
}

async fn carry_out(
    client: &Client,
    archive: &Archive,
    drafts: &[Draft],
    options: &Options,
    report: Report<'_>,
) -> Result<()> {
    let mut stored = HashSet::new();
    for blob in drafts.iter().flat_map(|draft| &draft.blobs) {
        if stored.insert(blob.descriptor.digest) {
            let mut entry = Entry { archive, blob };
            let what = store::Blob {
                descriptor: &blob.descriptor,
                links: &blob.labels,
                birth: &Labels::new(),
            };
            store::store(client, what, &mut entry, report).await?;
        }
    }
    if let Unpack::With(snapshotters) = &options.unpack {
        let each = |draft| snapshotters.iter().map(move |with| (draft, with));
        for (draft, snapshotter) in drafts.iter().flat_map(each) {
            unpack::unpack(client, &draft.image, snapshotter, report)
                .await
                .map_err(|failure| match failure.kind() {
                    Kind::Image => archive.fail_whole(failure),
                    _ => failure,
                })?;
        }
    }
    for draft in drafts {
        for name in &draft.names {
            record::name(client, &name.to_string(), &draft.image.target).await?;
        }
    }
    Ok(())
}

/// How much is sent at a time; well below containerd's limit of 16 MiB for a message.
const CHUNK: usize = 1 << 20;

/// One blob of an archive.
struct Entry<'a> {
    archive: &'a Archive,
    blob: &'a Blob,
}

impl store::Source for Entry<'_> {
    async fn piece(&mut self, position: u64) -> Result<Vec<u8>> {
        match &self.blob.content {
            Content::Archive(extent) => {
                self.archive
                    .read_part(&self.blob.entry, *extent, position, CHUNK)
            }
            Content::Memory(bytes) => {
                let start = usize::try_from(position).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                Ok(rest.iter().take(CHUNK).copied().collect())
            }
        }
    }

    fn fail(&self, why: String) -> Failure {
        self.archive.fail(&self.blob.entry, why)
    }
}
