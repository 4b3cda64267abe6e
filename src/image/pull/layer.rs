//! The bytes of one layer, through broken connections.
//!
//! A connection that breaks is made again, from where it broke (a Range request), as long as the
//! attempts in between bring something; a registry that does not know ranges sends the beginning
//! again, which is dropped. More bytes than the manifest says are never taken.

use super::registry::{Content, Repository, Sort, Trouble};
use super::{Watch, pause_after};
use crate::failure::{Failure, Kind, Result};
use crate::human;
use crate::image::descriptor::Descriptor;
use crate::image::store;

/// How much is handed on at a time; well below containerd's limit of 16 MiB for a message.
const CHUNK: usize = 1 << 20;

/// How often it may break in a row.
const ATTEMPTS: u32 = 5;

/// What must come between two breaks, or they are two in a row: a registry that sends a byte at a time
/// would otherwise be asked forever.
const PROGRESS: u64 = 1 << 20;

/// One layer on its way.
pub(super) struct Layer<'a> {
    pub repository: &'a Repository,
    pub blob: &'a Descriptor,
    pub watch: Watch<'a>,
    open: Option<Content>,
    /// How often it has broken in a row, and where last.
    broken: (u32, u64),
}

impl<'a> Layer<'a> {
    pub fn new(repository: &'a Repository, blob: &'a Descriptor, watch: Watch<'a>) -> Self {
        Self {
            repository,
            blob,
            watch,
            open: None,
            broken: (0, 0),
        }
    }

    /// Adds what comes next to `data`, which ends at `position` of the layer.
    async fn more(&mut self, position: u64, data: &mut Vec<u8>) -> Result<(), Trouble> {
        let mut content = match self.open.take() {
            Some(content) if content.begins <= position => content,
            _ => self.connect(position).await?,
        };
        let Some(bytes) = content.body.next().await? else {
            let (size, what) = (self.blob.size, self.what());
            let why = format!("it ended after {} of {size} bytes", content.begins);
            return Err(Trouble::broken(what, why));
        };
        let skipped = usize::try_from(position - content.begins).unwrap_or(usize::MAX);
        content.begins += bytes.len() as u64;
        if content.begins > self.blob.size {
            let why = format!(
                "it is longer than the {} bytes it is said to have",
                self.blob.size
            );
            return Err(Trouble::refused(self.what(), why));
        }
        data.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
        self.open = Some(content);
        Ok(())
    }

    async fn connect(&self, position: u64) -> Result<Content, Trouble> {
        let content = self.repository.blob(&self.blob.digest, position).await?;
        let no = |why: String| Err(Trouble::refused(self.what(), why));
        if content.begins > position {
            return no(format!(
                "asked for what begins at {position}, the registry sent {}",
                content.begins
            ));
        }
        match content.length {
            Some(length) if content.begins.saturating_add(length) != self.blob.size => no(format!(
                "the registry has {} bytes, the manifest says {}",
                content.begins.saturating_add(length),
                self.blob.size
            )),
            _ => Ok(content),
        }
    }

    fn what(&self) -> String {
        format!("cannot fetch layer {}", self.blob.digest)
    }

    /// Waits, and says so; or the end, when it has broken too often.
    async fn endure(&mut self, trouble: Trouble, position: u64) -> Result<()> {
        let Sort::Passing(pause) = trouble.sort else {
            return Err(trouble.failure());
        };
        let failure = trouble.failure();
        let (times, last) = self.broken;
        let times = if position >= last.saturating_add(PROGRESS) {
            1
        } else {
            times + 1
        };
        self.broken = (times, position);
        if times >= ATTEMPTS {
            return Err(failure
                .reworded(self.what())
                .hint(format!("it broke {times} times in a row")));
        }
        (self.watch.note)(format!(
            "layer {} broke after {} of {}, going on: {failure}",
            self.blob.digest.short(),
            human::size(position),
            human::size(self.blob.size)
        ));
        tokio::time::sleep(pause_after(times, pause)).await;
        Ok(())
    }
}

impl store::Source for Layer<'_> {
    async fn piece(&mut self, position: u64) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        loop {
            let at = position + data.len() as u64;
            if at >= self.blob.size || data.len() >= CHUNK {
                return Ok(data);
            }
            if let Err(trouble) = self.more(at, &mut data).await {
                self.endure(trouble, at).await?;
                if !data.is_empty() {
                    return Ok(data);
                }
            }
        }
    }

    fn fail(&self, why: String) -> Failure {
        Failure::new(Kind::Image, self.what()).because(why)
    }
}
