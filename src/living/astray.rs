//! A run whose owner lives, while somebody has removed its run directory, through which owners are asked.
//!
//! In: the run. Out: its end, by a signal to its owner. Never signalled is a process that does not hold the lock of
//! the run's papers.

use std::time::Duration;

use nix::libc;
use tokio::time::timeout;

use super::stop::{CLEANUP, SLACK};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::{pidfd, watch};
use crate::run::seen::{self, Seen};
use crate::run::state::{Found, State};

/// The run `id`, if it has gone astray.
pub fn look(state: &State, id: &ContainerId) -> Result<Option<Seen>> {
    let run = seen::look(state, id)?.filter(Seen::is_alive);
    Ok(match state.find(id)? {
        Found::Absent => run,
        Found::Held | Found::Dead(_) => None,
    })
}

/// Has its owner stop it, and waits until that is done; what is to be said about it.
pub async fn end(run: &Seen) -> Result<String> {
    let id = &run.id;
    let cannot = || format!("cannot stop run {id}");
    let Some(owner) = run.holder() else {
        return Err(failure(run, cannot()));
    };
    let pid = owner.pid;
    pidfd::signal(&owner.handle, libc::SIGTERM).or_fail(Kind::Host, cannot)?;
    let gone = watch::watch(owner.handle).or_fail(Kind::Host, cannot)?;
    let patience = run.about.as_ref().map(|about| about.stop_timeout);
    let limit = patience.unwrap_or(Duration::ZERO) + SLACK + CLEANUP;
    match timeout(limit, gone.readable()).await {
        Ok(ended) => ended.map(drop).or_fail(Kind::Host, cannot)?,
        Err(_) => {
            return Err(Failure::host(cannot()).because(format!(
                "its owner, process {pid}, was told to and has not ended for {}s",
                limit.as_secs()
            )));
        }
    }
    Ok(format!(
        "run {id}: its run directory is gone, so its owner, process {pid}, was told by SIGTERM to stop it, with the run's own stop signal and timeout"
    ))
}

/// That `what` is not to be had from a run gone astray.
pub fn failure(run: &Seen, what: String) -> Failure {
    let failure =
        Failure::host(what).because("its run directory is gone, through which its owner is asked");
    match (run.holder(), &run.about) {
        (Some(owner), _) => failure.hint(format!("kill -TERM {} has its owner stop it", owner.pid)),
        (None, Some(about)) => failure.hint(format!(
            "kill -TERM {}, in the PID namespace where its airtight runs, has it stop the run",
            about.owner
        )),
        (None, None) => failure,
    }
}
