//! The other side: a command that asks something of an owner.
//!
//! In: a run directory and a request. Out: what came of it. An owner that does not answer (it is stopped, or
//! hangs) is waited for no longer than [`PATIENCE`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::connect;
use serde::Serialize;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout};

use super::message::{self, Guarded, Malformed, Reply, Request};
use super::socket;
use crate::leash::watch::watch_both;
use crate::packet;

/// How long an owner that is well takes at most; it may be in the middle of a large file.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to connect to an owner that is about to listen.
const PAUSE: Duration = Duration::from_millis(10);
/// How long an owner takes at most from its run directory to its socket.
const OPENING: Duration = Duration::from_secs(1);

/// A connection to an owner.
#[derive(Debug)]
pub struct Caller(AsyncFd<OwnedFd>);

/// What came of an attempt to connect.
#[derive(Debug)]
pub enum Call {
    /// It listens.
    Connected(Caller),
    /// Nobody listens there: it has ended, or knows no control socket.
    Nobody,
    /// It has more clients waiting than it takes.
    Busy,
}

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    /// It answered, and handed these over.
    Reply(Reply, Vec<OwnedFd>),
    /// It ended without an answer.
    Gone,
    /// It says nothing.
    Silence,
    /// It is of another version.
    Other(Malformed),
}

impl Caller {
    /// Connects to the owner of the run in `dir`, which may be about to listen.
    pub async fn call(dir: &Path) -> io::Result<Call> {
        let begun = Instant::now();
        loop {
            let (busy, limit) = match Self::connect(dir) {
                Ok(caller) => return Ok(Call::Connected(caller)),
                Err(why) => match Errno::from_io_error(&why) {
                    Some(Errno::AGAIN) => (true, PATIENCE),
                    Some(Errno::NOENT | Errno::CONNREFUSED) => (false, OPENING),
                    _ => return Err(why),
                },
            };
            if begun.elapsed() >= limit || !dir.exists() {
                return Ok(if busy { Call::Busy } else { Call::Nobody });
            }
            sleep(PAUSE).await;
        }
    }

    /// One attempt.
    pub(super) fn connect(dir: &Path) -> io::Result<Self> {
        let (socket, _dir, address) = socket(dir)?;
        connect(&socket, &address)?;
        Ok(Self(watch_both(socket)?))
    }

    /// Asks and waits for the answer.
    pub async fn ask(&self, request: &Request) -> io::Result<Answer> {
        self.exchange(&message::write(request)).await
    }

    /// Whether what a guarded process is to do with this connection is taken note of.
    pub async fn agrees(&self, says: &Guarded) -> io::Result<bool> {
        let answer = self.exchange(&message::write(says)).await?;
        Ok(matches!(answer, Answer::Reply(Reply::Done, ..)))
    }

    #[cfg(test)]
    pub(super) async fn say(&self, bytes: &[u8]) -> io::Result<Answer> {
        self.exchange(bytes).await
    }

    async fn exchange(&self, bytes: &[u8]) -> io::Result<Answer> {
        // An owner that is gone already has said all it had to say.
        match packet::send_now(self.0.as_fd(), bytes, &[]) {
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent?,
        }
        let Ok(received) = timeout(PATIENCE, packet::receive(&self.0)).await else {
            return Ok(Answer::Silence);
        };
        let Some(packet) = received? else {
            return Ok(Answer::Gone);
        };
        Ok(match message::read(&packet.bytes) {
            Ok(reply) => Answer::Reply(reply, packet.descriptors),
            Err(why) => Answer::Other(why),
        })
    }

    /// Says something that needs no answer.
    pub fn tell(&self, says: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        packet::send_now(self.0.as_fd(), &message::write(says), descriptors)
    }

    /// Resolves when the owner has ended.
    pub async fn gone(&self) {
        while let Ok(Some(_)) = packet::receive(&self.0).await {}
    }
}
