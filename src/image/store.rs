//! Putting blobs into containerd's content store, wherever they come from.
//!
//! containerd hashes what it is sent and keeps a blob only when it is what its descriptor says. An
//! ingest is named after its blob, so two processes never write one blob twice at the same time: the
//! second waits, and finds it there. When anything goes wrong the ingest is aborted, whatever it has
//! cost: nobody may ever come for the rest. Only a process that is killed leaves its ingest, under its
//! lease, and whoever wants the blob next goes on where it ended.

use std::time::{Duration, Instant};

use containerd_client::services::v1 as api;

use super::descriptor::Descriptor;
use super::labels::{self, Labels};
use super::progress::{Fetched, Progress, Report};
use crate::containerd::{Client, Error, Ingest};
use crate::failure::{Failure, Result};
use crate::id::ContainerId;

/// How often a blob is tried that others create and delete meanwhile.
const ATTEMPTS: u32 = 5;

/// How long containerd may be away: it is restarted by systemd, and then reads its database.
const AWAY: Duration = Duration::from_secs(20);

/// How long to wait before another attempt.
const PAUSE: Duration = Duration::from_millis(300);

/// How often to look whether another process is done with an ingest.
const LOOK: Duration = Duration::from_millis(200);

/// How long another process may write nothing before we write the blob ourselves: longer than a
/// registry may be silent by default.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the bytes of a blob come from.
pub(super) trait Source {
    /// The next bytes from `position`; never none before the blob's end, and few enough for one message
    /// to containerd (16 MiB).
    async fn piece(&mut self, position: u64) -> Result<Vec<u8>>;

    /// A failure that says which blob, and where it was to come from.
    fn fail(&self, why: String) -> Failure;
}

/// What to store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blob<'a> {
    /// What it must turn out to be.
    pub descriptor: &'a Descriptor,
    /// What it needs: labels for containerd's collector.
    pub links: &'a Labels,
    /// Labels it gets only when it is new.
    pub birth: &'a Labels,
}

/// Why one attempt at a blob failed.
#[derive(Debug)]
enum Trouble {
    Containerd(Error),
    Source(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Containerd(error)
    }
}

impl Trouble {
    fn failure(self, source: &impl Source) -> Failure {
        match self {
            Self::Containerd(error) if error.is_failed_precondition() => {
                // containerd's words name both digests, or both lengths.
                let why = format!(
                    "its content is not what it is said to be: {}",
                    error.message()
                );
                source.fail(why)
            }
            Self::Containerd(error) => error.into(),
            Self::Source(failure) => failure,
        }
    }
}

/// Stores a blob with its labels, unless it is there; then it only gets its links.
pub(super) async fn store(
    client: &Client,
    blob: Blob<'_>,
    source: &mut impl Source,
    report: Report<'_>,
) -> Result<Fetched> {
    let digest = blob.descriptor.digest;
    let mut reference = format!("airtight-{digest}");
    let mut left = ATTEMPTS;
    let mut away = None;
    loop {
        let trouble = match open(client, blob, &mut reference).await {
            // By this answer containerd has put the blob under our lease.
            Ok(None) => {
                labels::add(client, &digest, blob.links).await?;
                return Ok(Fetched::Already);
            }
            Ok(Some(ingest)) => {
                away = None;
                match send(ingest, blob, source, report).await {
                    Ok(()) => return Ok(Fetched::Now),
                    Err(trouble) => trouble,
                }
            }
            Err(error) => error.into(),
        };
        let again = match &trouble {
            // What it has got stays, and this is where it goes on.
            Trouble::Containerd(error) if error.is_unreachable() => {
                away.get_or_insert_with(Instant::now).elapsed() < AWAY
            }
            Trouble::Containerd(error) if error.is_already_exists() || error.is_not_found() => {
                abort(client, &reference).await;
                left = left.saturating_sub(1);
                left > 0
            }
            _ => false,
        };
        if !again {
            abort(client, &reference).await;
            return Err(trouble.failure(source));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Opens the ingest; nothing when the blob is there. Waits while another process writes to it, and
/// takes a name of its own when that one does nothing.
async fn open(
    client: &Client,
    blob: Blob<'_>,
    reference: &mut String,
) -> Result<Option<Ingest>, Error> {
    let digest = blob.descriptor.digest.to_string();
    let mut seen = (None, Instant::now());
    loop {
        match client
            .open_ingest(reference, &digest, blob.descriptor.size)
            .await
        {
            Ok(ingest) => return Ok(Some(ingest)),
            Err(error) if error.is_already_exists() => return Ok(None),
            Err(error) if error.is_locked() => {}
            Err(error) => return Err(error),
        }
        let written = client.ingest_offset(reference).await?;
        if seen.0 != Some(written) {
            seen = (Some(written), Instant::now());
        } else if seen.1.elapsed() > PATIENCE
            && let Ok(unique) = ContainerId::random()
        {
            *reference = format!("airtight-{digest}-{unique}");
            continue;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn send(
    mut ingest: Ingest,
    blob: Blob<'_>,
    source: &mut impl Source,
    report: Report<'_>,
) -> Result<(), Trouble> {
    let (digest, total) = (blob.descriptor.digest, blob.descriptor.size);
    // containerd has all of it when another namespace has the blob: the commit shares it.
    while ingest.offset() < total {
        let data = source
            .piece(ingest.offset())
            .await
            .map_err(Trouble::Source)?;
        ingest.write(data).await?;
        report(Progress::Storing {
            digest,
            done: ingest.offset(),
            total,
        });
    }
    let mut labels = blob.birth.clone();
    labels.extend(blob.links.clone());
    Ok(ingest.commit(labels).await?)
}

/// Removes what was written. What cannot be removed now goes with the lease.
async fn abort(client: &Client, reference: &str) {
    let message = api::AbortRequest {
        r#ref: reference.to_owned(),
    };
    let mut content = client.content();
    let _ = client
        .call(("abort ingest", reference), message, |m| content.abort(m))
        .await;
}
