//! Putting blobs into containerd's content store, and naming images there.
//!
//! A blob is hashed while it is sent and only committed when it is what its descriptor says. An
//! ingest has a name nobody else uses and is aborted when anything goes wrong.

use containerd_client::services::v1 as api;
use prost_types::FieldMask;

use super::archive::Archive;
use super::draft::{Blob, Content};
use crate::containerd::{Client, Error, Ingest};
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::image::descriptor::Descriptor;
use crate::image::digest::Hasher;
use crate::image::labels;
use crate::image::progress::{Progress, Report};

/// How much is sent at a time; well below containerd's limit of 16 MiB for a message.
const CHUNK: usize = 1 << 20;

/// How often a name is tried that others create and delete meanwhile.
const ATTEMPTS: usize = 5;

/// Why one attempt at a blob failed.
#[derive(Debug)]
enum StoreError {
    Containerd(Error),
    Failure(Failure),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Containerd(error)
    }
}

/// Stores one blob with its labels, unless it is there; then it only gets the labels.
pub(super) async fn store(
    client: &Client,
    archive: &Archive,
    blob: &Blob,
    report: Report<'_>,
) -> Result<()> {
    let digest = blob.descriptor.digest;
    let mut raced = None;
    for _ in 0..ATTEMPTS {
        let reference = format!("import-{}-{digest}", ContainerId::random()?);
        let opened = client
            .open_ingest(&reference, &digest.to_string(), blob.descriptor.size)
            .await;
        let ingest = match opened {
            Ok(ingest) => ingest,
            // By this answer containerd has put the blob under our lease.
            Err(error) if error.is_already_exists() => {
                labels::add(client, &digest, &blob.labels).await?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Err(error) = send(ingest, archive, blob, report).await else {
            return Ok(());
        };
        abort(client, reference).await;
        match error {
            // Another process was faster, but its blob is not under our lease: open it again.
            StoreError::Containerd(error) if error.is_already_exists() => raced = Some(error),
            StoreError::Containerd(error) => return Err(error.into()),
            StoreError::Failure(failure) => return Err(failure),
        }
    }
    Err(raced.map_or_else(
        || archive.fail(&blob.entry, "it cannot be stored"),
        Failure::from,
    ))
}

async fn send(
    mut ingest: Ingest,
    archive: &Archive,
    blob: &Blob,
    report: Report<'_>,
) -> std::result::Result<(), StoreError> {
    let (digest, total) = (blob.descriptor.digest, blob.descriptor.size);
    // containerd has all of it when another namespace has the blob: the commit shares it.
    if ingest.offset() < total {
        let mut hasher = Hasher::default();
        let mut done = 0;
        while done < total {
            let data = piece(archive, blob, done).map_err(StoreError::Failure)?;
            hasher.update(&data);
            done += data.len() as u64;
            ingest.write(data).await?;
            report(Progress::Storing {
                digest,
                done,
                total,
            });
        }
        let found = hasher.finish();
        if found != digest {
            let why = format!("its content has the digest {found}, where {digest} is stated");
            return Err(StoreError::Failure(archive.fail(&blob.entry, why)));
        }
    }
    Ok(ingest.commit(blob.labels.clone()).await?)
}

/// The next bytes of a blob, from `position`; never none before its end.
fn piece(archive: &Archive, blob: &Blob, position: u64) -> Result<Vec<u8>> {
    match &blob.content {
        Content::Archive(extent) => archive.read_part(&blob.entry, *extent, position, CHUNK),
        Content::Memory(bytes) => {
            let start = usize::try_from(position).unwrap_or(usize::MAX);
            let rest = bytes.get(start..).unwrap_or_default();
            Ok(rest.iter().take(CHUNK).copied().collect())
        }
    }
}

/// Removes what was written. What cannot be removed now goes with the lease.
async fn abort(client: &Client, reference: String) {
    let what = reference.clone();
    let message = api::AbortRequest { r#ref: reference };
    let mut content = client.content();
    let _ = client
        .call(("abort ingest", &what), message, |m| content.abort(m))
        .await;
}

/// Makes `name` point to `target`, whatever it pointed to before.
pub(super) async fn name_image(client: &Client, name: &str, target: &Descriptor) -> Result<()> {
    let image = api::Image {
        name: name.to_owned(),
        target: Some(target.message()),
        ..Default::default()
    };
    for _ in 0..ATTEMPTS {
        let message = api::CreateImageRequest {
            image: Some(image.clone()),
            ..Default::default()
        };
        let mut images = client.images();
        match client
            .call(("create image", name), message, |m| images.create(m))
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
        let message = api::UpdateImageRequest {
            image: Some(image.clone()),
            update_mask: Some(FieldMask {
                paths: vec!["target".to_owned()],
            }),
            ..Default::default()
        };
        match client
            .call(("update image", name), message, |m| images.update(m))
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let what = format!("cannot name the image {name}");
    Err(Failure::new(crate::failure::Kind::Containerd, what)
        .because("others keep creating and deleting it"))
}
