//! A client of a keeper in the same process: has one file parsed, and gathers what comes of it.
//!
//! In: the client's end of the keeper's socket, an [`Order`]. Out: how it ended, and what it wrote. What a
//! file's process writes may be anything, of any length: no more is kept than is of use.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;

use super::message::{End, Order};
use crate::failure::{Context, Kind, Result};
use crate::leash::watch;
use crate::packet;

/// The serialized DAGs of one file; Airflow's own limit of a MySQL column is 16 MiB.
const MAX_RESULT: usize = 64 << 20;

/// What a file printed last.
const MAX_OUTPUT: usize = 64 << 10;

/// How long what was written is gathered when the file's process is dead.
const AFTER_THE_END: Duration = Duration::from_secs(1);

/// What came of a file.
#[derive(Debug)]
pub struct Parsed {
    /// How its process ended.
    pub end: End,
    /// What it wrote as its result; nothing where that was too long.
    pub result: Vec<u8>,
    /// The end of what it printed.
    pub output: Vec<u8>,
}

/// Has one file parsed. Dropping the future ends it.
pub async fn parse(keeper: &AsyncFd<OwnedFd>, order: &Order) -> Result<Parsed> {
    let what = || format!("cannot have {} parsed", order.file.display());
    let (control, theirs) = packet::pair().or_fail(Kind::Host, what)?;
    let control = watch::watch(control).or_fail(Kind::Host, what)?;
    let (output, printed) = io::pipe().or_fail(Kind::Host, what)?;
    let (result, written) = io::pipe().or_fail(Kind::Host, what)?;
    let nothing = File::open("/dev/null").or_fail(Kind::Host, what)?;
    let order = serde_json::to_vec(order).or_fail(Kind::Host, what)?;
    let descriptors = [
        theirs.as_fd(),
        nothing.as_fd(),
        printed.as_fd(),
        printed.as_fd(),
        written.as_fd(),
    ];
    packet::send(keeper, &order, &descriptors)
        .await
        .or_fail(Kind::Host, what)?;
    // Ours; what has been sent is open until the file's process ends.
    drop((theirs, printed, written));
    let output = Receiver::from_owned_fd(output.into()).or_fail(Kind::Host, what)?;
    let result = Receiver::from_owned_fd(result.into()).or_fail(Kind::Host, what)?;
    let mut output = Gathering::of(output, MAX_OUTPUT, Keep::End);
    let mut result = Gathering::of(result, MAX_RESULT, Keep::Whole);
    let end = {
        let all = async { tokio::join!(output.all(), result.all()) };
        tokio::pin!(all);
        tokio::select! {
            end = packet::receive(&control) => {
                // Whatever of the file's process wrote is dead now, and what it wrote is in the pipes.
                // The program has them too, and may be in no hurry to close them.
                let _ = tokio::time::timeout(AFTER_THE_END, all).await;
                end
            }
            _ = &mut all => packet::receive(&control).await,
        }
    };
    let end = end.or_fail(Kind::Host, what)?;
    let end = match end {
        Some(packet) => serde_json::from_slice(&packet.bytes).or_fail(Kind::Host, what)?,
        None => End::failed("the keeper has gone"),
    };
    Ok(Parsed {
        end,
        result: result.kept(),
        output: output.kept(),
    })
}

/// What of too much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Nothing.
    Whole,
    /// The end.
    End,
}

/// Takes in everything that comes.
struct Gathering {
    from: Receiver,
    limit: usize,
    keep: Keep,
    kept: Vec<u8>,
    too_much: bool,
}

impl Gathering {
    fn of(from: Receiver, limit: usize, keep: Keep) -> Self {
        Self {
            from,
            limit,
            keep,
            kept: Vec::new(),
            too_much: false,
        }
    }

    /// Until nobody can write any more. May be cancelled; what has come is kept.
    async fn all(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = self.from.read(&mut buffer).await {
            self.kept
                .extend_from_slice(buffer.get(..length).unwrap_or_default());
            if self.kept.len() > self.limit {
                self.too_much = true;
                match self.keep {
                    Keep::End => drop(self.kept.drain(..self.kept.len() - self.limit)),
                    Keep::Whole => self.kept.clear(),
                }
            }
        }
    }

    fn kept(self) -> Vec<u8> {
        match self.keep {
            Keep::Whole if self.too_much => Vec::new(),
            _ => self.kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn a_program_that_keeps_the_result_open_holds_nobody_up_after_the_end() {
        let (ours, keeper) = packet::pair().unwrap();
        let ours = watch::watch_both(ours).unwrap();
        let order = Order::read(br#"{"file": "/d.py", "program": "/p.py"}"#).unwrap();
        let answering = async {
            let keeper = watch::watch(keeper).unwrap();
            let order = packet::receive(&keeper).await.unwrap().unwrap();
            let [control, _, _, _, result] = order.descriptors.try_into().unwrap();
            let mut result = File::from(result);
            result.write_all(b"[]").unwrap();
            packet::send_now(control.as_fd(), &End::Code(0).write(), &[]).unwrap();
            result
        };
        let (parsed, _open) = tokio::join!(parse(&ours, &order), answering);
        let parsed = parsed.unwrap();
        assert_eq!((parsed.end, parsed.result), (End::Code(0), b"[]".to_vec()));
    }
}
