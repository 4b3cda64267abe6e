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
                    Some(record) if record.is_kept(&self.survey.facts.boot_id) => {
                        return adopt::orphan(*self, record, dir).await;
                    }
                    // Something of it could not be undone a moment ago, which was said.
                    _ => return Ok(None),
                },
                Found::Held => {
                    let owner = self.owner(&self.plan.id)?;
                    match key.on_conflict {
                        OnConflict::Fail => return Err(taken(key, &self.plan.id, &owner)),
                        OnConflict::Replace => self.stop(key, owner, signals).await?,
                    }
                }
            }
        }
    }

    /// The process that has run `id`; none where it has just ended.
    fn owner(&self, id: &ContainerId) -> Result<Option<Owner>> {
        let Some(record) = self.state.peek(id)? else {
            return Ok(None);
        };
        let pid = i32::try_from(record.owner).unwrap_or_default();
        let Ok(handle) = pidfd::open(pid) else {
            return Ok(None);
        };
        // The number may be another's by now; as long as the lock is held, and the record says so, it is not.
        let again = self.state.peek(id)?.map(|record| record.owner);
        let held = matches!(self.state.find(id)?, Found::Held);
        let same = held && again == Some(record.owner);
        Ok(same.then_some(Owner { pid, handle }))
    }

    /// Has its owner stop it, and waits until that is done.
    async fn stop(&self, key: &KeyPlan, owner: Option<Owner>, signals: &mut Signals) -> Result<()> {
        let Some(Owner { pid, handle }) = owner else {
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

struct Owner {
    pid: i32,
    /// Readable when it is gone (pidfd_open(2)).
    handle: OwnedFd,
}

fn taken(key: &KeyPlan, id: &ContainerId, owner: &Option<Owner>) -> Failure {
    let holder = owner.as_ref().map_or_else(
        || "an airtight that is about to end".to_owned(),
        |owner| format!("airtight, process {}", owner.pid),
    );
    Failure::usage(format!("a run with key {:?} lives", key.text))
        .because(format!("it is run {id} of {holder}"))
        .hint("--on-conflict replace stops it first")
}
