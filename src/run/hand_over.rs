//! What the payload gets through the leash as its descriptors, and what of that stays with us.

use std::os::fd::OwnedFd;

use super::stdio::{self, Output, Stdio};
use super::{Job, detached, terminal};
use crate::failure::{Context, Kind, Result};
use crate::leash::{Leash, Payload};

/// Has the payload started. What comes back is to be copied, and an end of its stdin which is to stay open
/// as long as it runs.
pub fn hand_over(job: Job<'_>, leash: &Leash) -> Result<(Output, Option<OwnedFd>)> {
    let process = &job.plan.process;
    let mut output = Output::default();
    let mut stdin = None;
    let standard = match (job.is_detached(), process.terminal) {
        (false, true) => Vec::new(),
        (false, false) => {
            let ours = Stdio::prepare(process, job.survey)?;
            output.copies = ours.copies;
            ours.inside.into()
        }
        (true, true) => {
            let log = detached::output(leash.pid(), 1);
            output.screen = Some(log.or_fail(Kind::Host, || "cannot reach the log's writer")?);
            Vec::new()
        }
        (true, false) => {
            let streams = detached::streams(process, leash.pid())?;
            stdin = streams.stdin;
            streams.inside.into()
        }
    };
    let mut descriptors = stdio::passed(&process.pass_fds)?;
    descriptors.extend((0..).zip(standard));
    leash.start(Payload {
        terminal: process.terminal.then(terminal::window_size),
        descriptors,
    })?;
    Ok((output, stdin))
}
