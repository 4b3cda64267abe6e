//! Sending the payload of a run a signal, as `docker kill` does, through the owner's leash.

use nix::libc;

use super::{Asked, Living};
use crate::control::message::Request;
use crate::failure::{Failure, Result};

/// Sends it. SIGKILL needs no owner that answers; what the user should know then is returned.
pub async fn send(run: &Living, number: i32) -> Result<Option<String>> {
    match run.request(&Request::Signal(number)).await? {
        Asked::Answered(..) => Ok(None),
        Asked::Gone => Err(Failure::usage(format!("run {} is ending", run.id))),
        Asked::Hangs if number == libc::SIGKILL => run.force().await.map(Some),
        Asked::Hangs => Err(run.hangs()),
    }
}
