//! Picking a run up whose owner died: `--on-owner-death keep` and, later, the same key.
//!
//! In: the record and the run directory of the dead owner. Out: the end of the payload, true to what the
//! shim and the cgroup say, even where it came while nobody looked. A run whose payload was never to begin
//! is undone, and the new one begins as if there had been none.

use std::time::Duration;

use containerd_client::types::v1::{Process, Status};
use tokio::time::Instant;

use super::end::{End, PayloadEnd};
use super::first::FirstProcess;
use super::guard::Beside;
use super::note::Note;
use super::papers::{Holding, Papers};
use super::process::TaskProcess;
use super::record::Record;
use super::signals::Signals;
use super::state::RunDir;
use super::stdio::Output;
use super::supervise::{Supervisor, WaitForTask};
use super::verdict::Phases;
use super::wait::TaskEnd;
use super::{Job, Lived, Ran, earlier};
use crate::config::values::OwnerDeath;
use crate::containerd::Client;
use crate::control::{Door, Orders};
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::moment::Moment;
use crate::owner::Owner;

/// What an init ends with that has no payload: its own failure, or a command that cannot be executed or is
/// not there (src/init).
const NO_PAYLOAD: std::ops::RangeInclusive<u32> = 125..=127;
/// How long a shim may take to say how a payload ended that has.
const SHIM_LIMIT: Duration = Duration::from_secs(30);
/// What an init that stops its payload may take longer than it was given.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// A run that goes on, or has ended, without an owner.
pub struct Orphan {
    /// Ours from now on.
    pub dir: RunDir,
    /// The containerd that has it; the new run's may be another.
    pub client: Client,
    /// What there is of it; it names us as the owner.
    pub record: Record,
    /// The process that had it.
    pub heir_of: u32,
    /// How far the dead owner knew its payload to be, and since when.
    note: Note,
    noted: Moment,
    task: Option<Process>,
    papers: Papers,
}

/// Whether a run whose owner is dead is left alone: until another run picks it up, or its init
/// has stopped it.
pub fn goes_on(record: &Record, dir: &RunDir) -> bool {
    match record.on_owner_death {
        _ if record.owner.is_of_another_boot() => false,
        OwnerDeath::Kill => false,
        // Before there is a note, nobody will ever start the payload.
        OwnerDeath::Keep => !matches!(Note::read(dir.path()), Ok(None)),
        OwnerDeath::Stop => {
            let lived_in = record.group().ok().flatten();
            let limit = record.stop_timeout.saturating_add(STOP_MARGIN);
            lived_in.is_some_and(|group| !group.is_empty())
                && dir.left_for().map_or(true, |left| left < limit)
        }
    }
}

/// Takes over the run of `dir`, which is to be kept; or undoes it where nobody will ever start it.
pub async fn orphan(
    job: Job<'_>,
    mut record: Record,
    client: Client,
    dir: RunDir,
) -> Result<Option<Orphan>> {
    let state = job.state;
    let task = match TaskProcess::first(&client, &record.id).look().await {
        Ok(task) => Some(task),
        Err(why) if why.is_not_found() => None,
        Err(why) => return Err(why.into()),
    };
    let waits = task
        .as_ref()
        .is_some_and(|task| task.status() == Status::Created);
    let Some((note, noted)) = Note::read(dir.path())?.filter(|_| !waits) else {
        let cleared = earlier::clear(&record, &client, state, dir).await;
        return cleared.map(|()| None);
    };
    let papers = Papers::take_over(state, &dir, &record)?;
    if job.holding == Holding::Detached && !papers.are_kept() {
        let what = format!("run {} was not begun with -d", record.id);
        return Err(Failure::usage(what)
            .because("nothing would be left that says how it ended")
            .hint("without -d it is picked up, and its end is this command's"));
    }
    let heir_of = std::mem::replace(&mut record.owner, Owner::this_process()?).pid;
    dir.rewrite(&record)?;
    Ok(Some(Orphan {
        dir,
        client,
        record,
        heir_of,
        note,
        noted,
        task,
        papers,
    }))
}

impl Orphan {
    /// Sees the run to its end, however long that takes.
    pub(super) async fn run(
        self,
        job: Job<'_>,
        signals: &mut Signals,
        phases: &mut Phases,
    ) -> (Record, Client, RunDir, Ran) {
        // The owner may have died as it undid the run.
        let said = self.papers.end().ok().flatten();
        if let Some(known) = said.and_then(|end| end.cause()) {
            let ran = Ran {
                papers: Some(self.papers),
                door: None,
                lived: Lived::Told(known),
            };
            return (self.record, self.client, self.dir, ran);
        }
        let (door, end) = match Door::open(self.dir.path()) {
            Ok((door, mut orders)) => {
                let seen = self.seen(job, signals, &mut orders, phases).await;
                (Some(door), seen)
            }
            Err(why) => (None, Err(why)),
        };
        // The payload may have run: whoever reads the verdict must not take it for one that did not start.
        let end = end.unwrap_or_else(|failure| lost(failure.to_string()));
        let ran = Ran {
            papers: Some(self.papers),
            door,
            lived: Lived::Seen(believed(self.note, end)),
        };
        (self.record, self.client, self.dir, ran)
    }

    async fn seen(
        &self,
        job: Job<'_>,
        signals: &mut Signals,
        orders: &mut Orders,
        phases: &mut Phases,
    ) -> Result<End> {
        let Some(task) = &self.task else {
            return Ok(shim_is_gone());
        };
        if task.status() == Status::Stopped {
            return Ok(ended(PayloadEnd::TaskStatus(task.exit_status)));
        }
        let waiting = super::live::wait_for_task(&self.client, &self.record.id);
        let group = self.record.present_group()?;
        // A shim that stands still leaves containerd without an answer.
        let pid = match task.pid {
            0 => self.papers.first_pid().unwrap_or_default(),
            pid => pid,
        };
        let first = FirstProcess::hold(pid, group.clone());
        if !first.is_held() {
            // It has ended, and nobody but the shim knows how.
            return Ok(told_soon(waiting).await);
        }
        let supervisor = Supervisor {
            record: &self.record,
            stop: job.plan.stop,
            time_limit: self.time_limit(job),
            signals,
            orders,
            beside: Beside::of(&self.client, &self.record, &self.dir, &group),
            first,
            leash: None,
            terminal: None,
            interactive: false,
            takes_keys: false,
            stdin: None,
            output: Output::default(),
            payload: match self.note {
                Note::Begun(pid) => pid,
                Note::Asked => None,
            },
            on_start: &|_| {},
        };
        Ok(supervisor.watch(waiting, phases).await)
    }

    /// The limit of the new run counts from the payload's beginning.
    fn time_limit(&self, job: Job<'_>) -> Option<Instant> {
        let limit = job.plan.stop.time_limit?;
        Instant::now().checked_add(limit.saturating_sub(self.noted.elapsed()))
    }
}

/// How the payload of task `id` ended, inside which nobody is alive.
pub async fn told_by_shim(client: &Client, id: &ContainerId) -> Result<End> {
    match TaskProcess::first(client, id).look().await {
        Ok(task) if task.status() == Status::Stopped => {
            Ok(ended(PayloadEnd::TaskStatus(task.exit_status)))
        }
        Ok(_) => Ok(told_soon(super::live::wait_for_task(client, id)).await),
        Err(why) if why.is_not_found() => Ok(shim_is_gone()),
        Err(why) => Err(why.into()),
    }
}

async fn told_soon(waiting: WaitForTask) -> End {
    match tokio::time::timeout(SHIM_LIMIT, waiting).await {
        Ok(TaskEnd::Status(status)) => ended(PayloadEnd::TaskStatus(status)),
        Ok(TaskEnd::Lost(why)) => lost(why),
        Err(_) => lost("its shim does not say how the payload ended".into()),
    }
}

fn shim_is_gone() -> End {
    lost("its shim is gone, and with it how the payload ended".into())
}

/// What to make of `end` where the dead owner knew no more than `note`.
pub fn believed(note: Note, end: End) -> End {
    match end.payload {
        // So does an init end that its owner leaves before there is a payload.
        PayloadEnd::TaskStatus(code) if note == Note::Asked && NO_PAYLOAD.contains(&code) => {
            lost("its airtight died as the payload began: it may never have run".into())
        }
        _ => end,
    }
}

fn lost(why: String) -> End {
    ended(PayloadEnd::Lost(why))
}

fn ended(payload: PayloadEnd) -> End {
    End {
        payload,
        asked: None,
    }
}
