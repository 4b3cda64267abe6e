//! Signals sent to airtight, which mean the payload.

use nix::libc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::failure::{Context, Kind, Result};
use crate::signals;

/// Handed on to the payload as they are, but for TERM, which begins a stop, and WINCH, which is ours.
/// The rest keep their meaning for airtight itself: job control (TSTP, CONT …) stops and continues
/// the client, as with docker.
const LISTENED: [i32; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGWINCH,
];

/// Those that mean an end, before there is a payload that could have another opinion.
pub const ENDS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// As many interrupts from the keyboard mean: now.
pub const IMPATIENT: u32 = 3;

/// The signals sent to us since this was made.
#[derive(Debug)]
pub struct Signals {
    sender: UnboundedSender<i32>,
    receiver: UnboundedReceiver<i32>,
}

impl Signals {
    /// From now on they no longer end airtight. Those that our parent ignored stay ignored.
    pub fn listen() -> Result<Self> {
        let (sender, receiver) = unbounded_channel();
        for number in LISTENED {
            let heard = signals::listen(number)
                .or_fail(Kind::Host, || format!("cannot handle signal {number}"))?;
            let Some(mut stream) = heard else { continue };
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if sender.send(number).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { sender, receiver })
    }

    /// The next one.
    pub async fn next(&mut self) -> i32 {
        match self.receiver.recv().await {
            Some(number) => number,
            // One of the senders is ours.
            None => std::future::pending().await,
        }
    }

    /// It is to come once more: whoever it was for did not hear it.
    pub fn put_back(&self, number: i32) {
        // The receiver is ours.
        let _ = self.sender.send(number);
    }

    /// Resolves with the next one that would end a process; others are forgotten.
    pub async fn end_asked(&mut self) -> i32 {
        loop {
            let number = self.next().await;
            if ENDS.contains(&number) {
                return number;
            }
        }
    }
}
