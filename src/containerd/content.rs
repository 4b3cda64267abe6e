//! Reading and writing blobs of the content store: the two calls that are streams.
//!
//! Digests and references are plain text here; what they mean and whether to trust them is the
//! caller's business.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use containerd_client::services::v1::{
    ReadContentRequest, StatusRequest, WriteAction, WriteContentRequest, WriteContentResponse,
};
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Client, DEADLINE, Error, Result};

/// How long a commit may take: containerd flushes the whole blob to disk.
const COMMIT_DEADLINE: Duration = Duration::from_secs(600);

impl Client {
    /// The whole blob `digest`, refused when longer than `limit` bytes.
    pub async fn read_blob(&self, digest: &str, limit: usize) -> Result<Vec<u8>> {
        let what = ("read", digest);
        let message = ReadContentRequest {
            digest: digest.to_owned(),
            ..Default::default()
        };
        let mut content = self.content();
        let request = self.request(message);
        let mut pieces = within(DEADLINE, what, content.read(request))
            .await?
            .into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = within(DEADLINE, what, pieces.message()).await? {
            if bytes.len() + piece.data.len() > limit {
                return Err(Error::too_long(what, limit));
            }
            bytes.extend_from_slice(&piece.data);
        }
        Ok(bytes)
    }

    /// Opens the ingest `reference` for a blob of `total` bytes with digest `expected`. Fails with
    /// "already exists" when the blob is there; [`Ingest::offset`] says where to go on.
    pub async fn open_ingest(&self, reference: &str, expected: &str, total: u64) -> Result<Ingest> {
        // One message waits while the one before is answered: nothing piles up.
        let (messages, outgoing) = mpsc::channel(1);
        let first = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: reference.to_owned(),
            total: i64::try_from(total).unwrap_or(i64::MAX),
            expected: expected.to_owned(),
            ..Default::default()
        };
        let what = ("open an ingest for", expected);
        let broken = |_| Error::refused(what, &Status::cancelled("the stream is closed"));
        messages.try_send(first).map_err(broken)?;
        let mut content = self.content();
        let request = self.request(ReceiverStream::new(outgoing));
        let answers = within(DEADLINE, what, content.write(request)).await?;
        let mut ingest = Ingest {
            messages,
            answers: answers.into_inner(),
            digest: expected.to_owned(),
            total,
            offset: 0,
        };
        let answer = ingest.answer(DEADLINE, "open an ingest for").await?;
        ingest.offset = u64::try_from(answer.offset).unwrap_or(0);
        Ok(ingest)
    }

    /// How many bytes the ingest `reference` has; none when it is not there.
    pub async fn ingest_offset(&self, reference: &str) -> Result<u64> {
        let message = StatusRequest {
            r#ref: reference.to_owned(),
        };
        let mut content = self.content();
        let answer = self
            .call(("look up the ingest", reference), message, |m| {
                content.status(m)
            })
            .await;
        match answer {
            Ok(answer) => {
                let offset = answer.status.map_or(0, |status| status.offset);
                Ok(u64::try_from(offset).unwrap_or(0))
            }
            Err(error) if error.is_not_found() => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// A blob being written. Dropping it leaves the ingest behind, for a later one of the same
/// reference or for containerd's collector.
pub struct Ingest {
    messages: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    digest: String,
    total: u64,
    offset: u64,
}

impl Ingest {
    /// How many bytes containerd has.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends `data`.
    pub async fn write(&mut self, data: Vec<u8>) -> Result<()> {
        let end = self.offset + data.len() as u64;
        let message = WriteContentRequest {
            data,
            ..self.message(WriteAction::Write)
        };
        self.exchange(DEADLINE, "write", message).await?;
        self.offset = end;
        Ok(())
    }

    /// Ends the ingest: containerd compares length and digest and keeps the blob with `labels`.
    pub async fn commit(mut self, labels: HashMap<String, String>) -> Result<()> {
        let message = WriteContentRequest {
            labels,
            ..self.message(WriteAction::Commit)
        };
        self.exchange(COMMIT_DEADLINE, "commit", message).await
    }

    fn message(&self, action: WriteAction) -> WriteContentRequest {
        WriteContentRequest {
            action: action.into(),
            total: i64::try_from(self.total).unwrap_or(i64::MAX),
            expected: self.digest.clone(),
            offset: i64::try_from(self.offset).unwrap_or(i64::MAX),
            ..Default::default()
        }
    }

    async fn exchange(
        &mut self,
        deadline: Duration,
        call: &'static str,
        message: WriteContentRequest,
    ) -> Result<()> {
        // A closed channel means the stream has ended: its answer says why.
        let _ = self.messages.send(message).await;
        self.answer(deadline, call).await.map(|_| ())
    }

    async fn answer(
        &mut self,
        deadline: Duration,
        call: &'static str,
    ) -> Result<WriteContentResponse> {
        let what = (call, self.digest.as_str());
        within(deadline, what, self.answers.message())
            .await?
            .ok_or_else(|| Error::refused(what, &Status::unavailable("the stream has ended")))
    }
}

pub(super) async fn within<T>(
    deadline: Duration,
    what: (&'static str, &str),
    answer: impl Future<Output = std::result::Result<T, Status>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(answer) => answer.map_err(|status| Error::refused(what, &status)),
        Err(_) => Err(Error::late(what, deadline)),
    }
}
