//! A client of a keeper in the same process: has one file parsed, and gathers what comes of it.
//!
//! In: the client's end of the keeper's socket, an [`Order`]. Out: how it ended, and what it wrote. What a
//! file's process writes may be anything, of any length: no more is kept than is of use.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;

use super::message::{End, Order};
use super::packet;
use crate::failure::{Context, Kind, Result};
use crate::leash::watch;

/// The serialized DAGs of one file; Airflow's own limit of a MySQL column is 16 MiB.
const MAX_RESULT: usize = 64 << 20;

/// What a file printed last.
const MAX_OUTPUT: usize = 64 << 10;

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
    let (end, output, result) = tokio::join!(
        packet::receive(&control),
        gather(output, MAX_OUTPUT, Keep::End),
        gather(result, MAX_RESULT, Keep::Whole)
    );
    let end = end.or_fail(Kind::Host, what)?;
    let end = match end {
        Some(packet) => serde_json::from_slice(&packet.bytes).or_fail(Kind::Host, what)?,
        None => End::failed("the keeper has gone"),
    };
    Ok(Parsed {
        end,
        result,
        output,
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

/// Everything that comes, until nobody can write any more.
async fn gather(mut from: Receiver, limit: usize, keep: Keep) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut too_much = false;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if kept.len() > limit {
            too_much = true;
            match keep {
                Keep::End => drop(kept.drain(..kept.len() - limit)),
                Keep::Whole => kept.clear(),
            }
        }
    }
    match keep {
        Keep::Whole if too_much => Vec::new(),
        _ => kept,
    }
}
