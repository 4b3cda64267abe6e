//! An earlier run with the same key: it lives, or its owner died and it was to be kept.
//!
//! In: a plan with a key. Out: nothing that is in the way any more, or the run to be picked up. Must never
//! touch a run whose owner lives, unless `--on-conflict replace` says so.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::libc;
use tokio::time::timeout;

use super::Job;
use super::adopt::{self, Orphan};
use super::signals::Signals;
use super::state::Found;
use crate::config::values::OnConflict;
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::{pidfd, watch};
use crate::owner::Life;
use crate::plan::KeyPlan;

/// From the end of a stop, by what it was told, to an owner that is gone: it cleans up.
const CLEANUP_LIMIT: Duration = Duration::from_secs(60);

impl Job<'_> {
    /// Looks for a run with the same key, and deals with it.
    pub(super) async fn earlier(&self, signals: &mut Signals) -> Result<Option<Orphan>> {
        let Some(key) = &self.plan.key else {
            return Ok(None);
        };
        loop {
            let found = self.state.find(&self.plan.id)?;
            match found {
                Found::Absent => return Ok(None),
                Found::Dead(dir) => match dir.record()? {
                    Some(record) if record.is_kept() => {
                        return adopt::orphan(*self, record, dir).await;
                    }
                    // Something of it could not be undone a moment ago, which was said.
                    _ => return Ok(None),
                },
                Found::Held => {
                    let holder = self.holder(&self.plan.id)?;
                    match key.on_conflict {
                        OnConflict::Fail => return Err(taken(key, &self.plan.id, &holder)),
                        OnConflict::Replace => self.stop(key, holder, signals).await?,
                    }
                }
            }
        }
    }

    /// The process that has run `id`; none where it has just ended.
    fn holder(&self, id: &ContainerId) -> Result<Option<Holder>> {
        let Some(record) = self.state.record(id)? else {
            return Ok(None);
        };
        let pid = i32::try_from(record.owner.pid).unwrap_or_default();
        let Ok(handle) = pidfd::open(pid) else {
            return Ok(None);
        };
        // Looked at again now that the pid cannot be another process's.
        let is_it = record.owner.life() == Life::Alive;
        Ok(is_it.then_some(Holder { pid, handle }))
    }

    /// Has its owner stop it, and waits until that is done.
    async fn stop(
        &self,
        key: &KeyPlan,
        holder: Option<Holder>,
        signals: &mut Signals,
    ) -> Result<()> {
        let Some(Holder { pid, handle }) = holder else {
            return Ok(());
        };
        let what = || format!("cannot replace the run with key {:?}", key.text);
        pidfd::signal(&handle, libc::SIGTERM).or_fail(Kind::Host, what)?;
        let gone = watch::watch(handle).or_fail(Kind::Host, what)?;
        let limit = self.plan.stop.timeout.saturating_add(CLEANUP_LIMIT);
        tokio::select! {
            number = signals.end_asked() => {
                Err(Failure::new(Kind::Interrupted(number), what()).because("interrupted"))
            }
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

struct Holder {
    pid: i32,
    /// Readable when it is gone (pidfd_open(2)).
    handle: OwnedFd,
}

fn taken(key: &KeyPlan, id: &ContainerId, holder: &Option<Holder>) -> Failure {
    let who = holder.as_ref().map_or_else(
        || "an airtight that is about to end".to_owned(),
        |holder| format!("airtight, process {}", holder.pid),
    );
    Failure::usage(format!("a run with key {:?} lives", key.text))
        .because(format!("it is run {id} of {who}"))
        .hint("--on-conflict replace stops it first")
}
