//! An earlier run with the same key: it lives, or its owner died.
//!
//! In: a plan with a key. Out: nothing that is in the way any more, or the run to be picked up. Must never
//! touch a run whose owner lives, unless `--on-conflict replace` says so, and never signal a process that is
//! not that owner. Who holds a run directory need not own the run: reapers and heirs do for a moment, and are
//! waited for.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::libc;
use tokio::time::{Instant, sleep, timeout};

use super::adopt::{self, Orphan};
use super::record::Record;
use super::signals::Signals;
use super::state::{Found, RunDir, State};
use super::{Job, cleanup, papers};
use crate::config::values::OnConflict;
use crate::containerd::Client;
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::{pidfd, watch};
use crate::owner::Life;
use crate::plan::KeyPlan;

/// From the end of a stop, by what it was told, to an owner that is gone: it cleans up.
const CLEANUP_LIMIT: Duration = Duration::from_secs(60);
/// How often, and how long, one is waited for who holds a run for a moment only: undoing it takes that long.
const PAUSE: Duration = Duration::from_millis(20);
const MOMENT: Duration = Duration::from_secs(60);

/// What there is of an earlier run.
pub(super) enum Earlier {
    /// Nothing, any more.
    Nothing,
    /// It goes on without its owner, and is ours now.
    Orphaned(Box<Orphan>),
    /// Its owner lives, and we are to be beside it.
    Living,
}

impl Job<'_> {
    /// Looks for a run with the same key, and deals with it.
    pub(super) async fn earlier(&self, key: &KeyPlan, signals: &mut Signals) -> Result<Earlier> {
        let id = &self.plan.id;
        let patient_until = Instant::now() + MOMENT;
        loop {
            match self.state.find(id)? {
                Found::Absent => return Ok(Earlier::Nothing),
                Found::Dead(dir) if is_being_stopped(&dir) => {
                    // Its init ends it in time.
                    drop(dir);
                    pause(key, signals).await?;
                }
                Found::Dead(dir) => {
                    if let Some(orphan) = take_over(*self, dir).await? {
                        return Ok(Earlier::Orphaned(Box::new(orphan)));
                    }
                }
                // It is over, and is being undone.
                Found::Held if self.has_ended(id)? && Instant::now() < patient_until => {
                    pause(key, signals).await?;
                }
                Found::Held => match (self.holder(id)?, key.on_conflict) {
                    (Some(holder), OnConflict::Replace) => self.stop(key, holder, signals).await?,
                    (Some(holder), OnConflict::Fail) => return Err(taken(key, id, &holder)),
                    (Some(_), OnConflict::Attach) => return Ok(Earlier::Living),
                    (None, _) if Instant::now() < patient_until => pause(key, signals).await?,
                    (None, _) => return Err(in_the_way(id).because("another airtight has it")),
                },
            }
        }
    }

    /// Whether the end of the run is said already.
    fn has_ended(&self, id: &ContainerId) -> Result<bool> {
        let record = self.state.record(id)?;
        Ok(record.is_some_and(|record| papers::is_told(self.state, &record)))
    }

    /// The owner of a run that somebody holds; none where it is not its owner who does.
    fn holder(&self, id: &ContainerId) -> Result<Option<Holder>> {
        let Some(record) = self.state.record(id)? else {
            return Ok(None);
        };
        let pid = record.owner.pid;
        let handle = i32::try_from(pid)
            .ok()
            .and_then(|pid| pidfd::open(pid).ok());
        // Looked at now that the pid cannot become another process's.
        Ok(match (record.owner.life(), handle) {
            (Life::Alive, Some(handle)) => Some(Holder {
                pid,
                process: Some((handle, record.stop_timeout)),
            }),
            (Life::Unknown, _) => Some(Holder { pid, process: None }),
            (Life::Alive, None) | (Life::Dead, _) => None,
        })
    }

    /// Has its owner stop it, and waits until that is done.
    async fn stop(&self, key: &KeyPlan, holder: Holder, signals: &mut Signals) -> Result<()> {
        let pid = holder.pid;
        let what = || format!("cannot replace the run with key {:?}", key.text);
        let Some((handle, stop_timeout)) = holder.process else {
            return Err(Failure::host(what()).because(format!(
                "its airtight is process {pid} of another PID namespace"
            )));
        };
        pidfd::signal(&handle, libc::SIGTERM).or_fail(Kind::Host, what)?;
        let gone = watch::watch(handle).or_fail(Kind::Host, what)?;
        let limit = stop_timeout.saturating_add(CLEANUP_LIMIT);
        tokio::select! {
            number = signals.end_asked() => Err(interrupted(key, number)),
            ended = timeout(limit, gone.readable()) => match ended {
                Ok(ended) => ended.map(drop).or_fail(Kind::Host, what),
                Err(_) => Err(Failure::host(what()).because(format!(
                    "its airtight, process {pid}, was asked to stop it and has not done so for {}s",
                    limit.as_secs()
                ))),
            },
        }
    }
}

/// Whether the init of a run whose owner is dead is about to end it.
fn is_being_stopped(dir: &RunDir) -> bool {
    let record = dir.record().ok().flatten();
    record.is_some_and(|record| !record.is_kept() && adopt::goes_on(&record, dir))
}

struct Holder {
    pid: u32,
    /// A handle that is readable when it is gone (pidfd_open(2)), and how long a stop of its may take; none
    /// where its pid means nothing to us.
    process: Option<(OwnedFd, Duration)>,
}

/// The run of `dir`, whose owner is dead, to be picked up; or nothing, once what is left of it is undone.
async fn take_over(job: Job<'_>, dir: RunDir) -> Result<Option<Orphan>> {
    let state = job.state;
    let Some(record) = dir.record()? else {
        // Its maker died before anything else was made.
        return dir.remove().map(|()| None);
    };
    let client = Client::new(&record.address, &record.namespace)?;
    if record.is_kept() {
        return adopt::orphan(job, record, client, dir).await;
    }
    clear(&record, &client, state, dir).await.map(|()| None)
}

/// Undoes a run that nobody picks up.
pub(super) async fn clear(
    record: &Record,
    client: &Client,
    state: &State,
    dir: RunDir,
) -> Result<()> {
    cleanup::settle(record, client).await;
    let left = cleanup::undo(record, client, state, dir).await.left;
    match left.is_empty() {
        true => Ok(()),
        false => Err(in_the_way(&record.id).because(left.join("; "))),
    }
}

async fn pause(key: &KeyPlan, signals: &mut Signals) -> Result<()> {
    tokio::select! {
        number = signals.end_asked() => Err(interrupted(key, number)),
        () = sleep(PAUSE) => Ok(()),
    }
}

fn interrupted(key: &KeyPlan, number: i32) -> Failure {
    let what = format!("waited for the run with key {:?} to end", key.text);
    Failure::new(Kind::Interrupted(number), what)
}

fn in_the_way(id: &ContainerId) -> Failure {
    Failure::host(format!("run {id}, whose owner died, is in the way"))
}

fn taken(key: &KeyPlan, id: &ContainerId, holder: &Holder) -> Failure {
    Failure::usage(format!("a run with key {:?} lives", key.text))
        .because(format!(
            "it is run {id} of airtight, process {}",
            holder.pid
        ))
        .hint("--on-conflict replace stops it first, and attach ends as it ends")
}
