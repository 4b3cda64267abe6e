//! Stopping a run, as `docker stop` does: the owner goes down its ladder, and we wait until it is over.
//!
//! Needs no containerd. An owner that does not answer is not waited for: everything inside is killed through the
//! cgroup. The answer of an owner bounds how long its payload can live; longer than that nobody waits either.

use std::time::Duration;

use nix::libc;
use tokio::time::{Instant, sleep, timeout};

use super::{Answered, Asked, CHANGING, Living, PAUSE, astray};
use crate::cgroup::Group;
use crate::control::message::{Reply, Request};
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::reap::{self, Kept};
use crate::run::cleanup;
use crate::run::first::FirstProcess;
use crate::run::last_words::{self, LastWords};
use crate::run::note::Note;
use crate::run::record::Record;
use crate::run::state::{Found, RunDir, State};
use crate::run::verdict::Cause;

/// For an owner on a busy host, over what it has said itself.
pub(super) const SLACK: Duration = Duration::from_secs(5);
/// From the death of everything inside to the owner's end, with a containerd that does not answer.
pub(super) const CLEANUP: Duration = Duration::from_secs(60);

/// How to stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stop {
    /// In place of the run's own first signal.
    pub signal: Option<i32>,
    /// In place of the run's own time until SIGKILL.
    pub timeout: Option<Duration>,
}

/// Ends run `id` and waits until it is over. What the user should know of is returned.
pub async fn stop(state: &State, id: &ContainerId, how: Stop) -> Result<Vec<String>> {
    let Some(run) = Living::look(state, id).await? else {
        return end_orphan(state, id, how).await;
    };
    let request = Request::Stop {
        signal: how.signal,
        timeout: how.timeout,
    };
    let begun = Instant::now();
    loop {
        match run.request(&request).await? {
            Asked::Answered(answered) => return until_over(state, &run, answered, how).await,
            Asked::Hangs => return Ok(vec![run.force().await?]),
            Asked::Gone => {}
        }
        if is_over(state, &run).await? {
            // It may have died over it.
            return end_orphan(state, id, how).await;
        }
        if begun.elapsed() > CHANGING {
            return Ok(vec![run.force().await?]);
        }
        sleep(PAUSE).await;
    }
}

async fn until_over(
    state: &State,
    run: &Living,
    answered: Answered,
    how: Stop,
) -> Result<Vec<String>> {
    let Answered { owner, reply, .. } = answered;
    let ladder = match reply {
        Reply::Ends(limit) => limit,
        Reply::Done | Reply::Attached { .. } | Reply::NotYet | Reply::Refused { .. } => {
            Duration::ZERO
        }
    };
    let mut gone = std::pin::pin!(owner.gone());
    if timeout(ladder.saturating_add(SLACK), &mut gone)
        .await
        .is_err()
    {
        if run.record.group()?.is_some_and(|group| !group.is_empty()) {
            return Ok(vec![run.force().await?]);
        }
        if timeout(CLEANUP, gone).await.is_err() {
            let (id, owner) = (&run.id, run.record.owner.pid);
            let remark = format!(
                "run {id}: nothing inside is alive, and its owner, process {owner}, is still cleaning up"
            );
            return Ok(vec![remark]);
        }
    }
    let begun = Instant::now();
    // The kernel closes the connection of a dying owner a moment before it releases the lock.
    while !is_over(state, run).await? && begun.elapsed() < CHANGING {
        sleep(PAUSE).await;
    }
    end_orphan(state, &run.id, how).await
}

/// Its owner holds it no more; another owner may have taken the name.
async fn is_over(state: &State, run: &Living) -> Result<bool> {
    Ok(match Living::look(state, &run.id).await? {
        Some(now) => now.record != run.record,
        None => true,
    })
}

/// Ends a run whose owner has died, if it goes on: as its owner would have, and then it is undone.
async fn end_orphan(state: &State, id: &ContainerId, how: Stop) -> Result<Vec<String>> {
    let Found::Dead(dir) = state.find(id)? else {
        return match astray::look(state, id)? {
            Some(run) => astray::end(&run).await.map(|said| vec![said]),
            None => Ok(Vec::new()),
        };
    };
    let mut remarks = Vec::new();
    let record = dir.record()?;
    let group = record.as_ref().map(Record::group).transpose()?.flatten();
    let group = group.filter(|group| !group.is_empty());
    if let Some(record) = record.filter(|record| group.is_some() || record.is_kept()) {
        let asked = group.as_ref().map(|_| last_words::Asked::Stop);
        if let Some(group) = group {
            ask(&dir, &record, group, how).await;
            cleanup::kill(&record)
                .await
                .map_err(|why| Failure::host(format!("cannot stop run {id}")).because(why))?;
        }
        // Whoever picks it up can still be told where we cannot.
        let heard = last_words::hear(state, &dir, &record, asked).await;
        let heard = heard.map_err(|why| {
            Failure::host(format!("cannot undo run {id}"))
                .because(format!("how its payload ended is not to be had now: {why}"))
                .hint(format!("nothing inside is alive; stop it again later, or pick it up with its --key; airtight reap {id} undoes it without"))
        })?;
        remarks.push(without_owner(id, heard));
    }
    drop(dir);
    remarks.extend(reap::dead_owner(state, id, Kept::Undo).await?);
    Ok(remarks)
}

/// Asks the payload to end, and waits as long as its owner would have.
async fn ask(dir: &RunDir, record: &Record, group: Group, how: Stop) {
    let signal = how.signal.unwrap_or(match record.stop_signal {
        0 => libc::SIGTERM,
        signal => signal,
    });
    if let Ok(Some((Note::Begun(Some(payload)), _))) = Note::read(dir.path()) {
        FirstProcess::of(group.clone()).signal_inside(payload, signal);
    }
    let limit = how.timeout.unwrap_or(record.stop_timeout);
    let begun = Instant::now();
    while !group.is_empty() && begun.elapsed() < limit {
        sleep(PAUSE).await;
    }
}

fn without_owner(id: &ContainerId, heard: Option<LastWords>) -> String {
    let ended = match heard {
        None => "how its payload ended is not known".into(),
        Some(LastWords {
            cause: Cause::Lost { reason },
            ..
        }) => format!("how its payload ended is not known: {reason}"),
        Some(LastWords { cause, are_kept }) => {
            let code = cause.code();
            let kept = match are_kept {
                true => "",
                false => ", and as it was in the foreground, nothing keeps that",
            };
            format!("its payload ended with exit code {code}{kept}")
        }
    };
    format!("run {id} had lost its owner: {ended}")
}
