//! Runs as others see them: those that live, whoever holds them, and those of which something is kept.
//!
//! In: the state directory and the data directory. Nothing is asked of containerd, and nothing is changed,
//! but that papers are removed which nobody wanted kept and whose owner could not remove them; [`at_a_glance`]
//! does not even that.

use std::fs::File;
use std::io::Seek;
use std::path::PathBuf;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde_json::Value;

use super::papers::{self, About, End, Paper, Started};
use super::record::Record;
use super::state::{LOCK, State};
use crate::failure::{Context, Failure, Kind, Result};
use crate::host;
use crate::id::ContainerId;

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Its payload has not been started yet.
    Created,
    /// Its payload runs, or is being cleaned up after.
    Running,
    /// Its owner has died, and it goes on until another run with its key picks it up.
    Orphaned,
    /// It has ended, and it is known how.
    Exited,
    /// It has ended, and nobody knows how.
    Lost,
}

impl Condition {
    /// What it is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Orphaned => "orphaned",
            Self::Exited => "exited",
            Self::Lost => "lost",
        }
    }
}

/// One run.
#[derive(Debug)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Seen {
    pub id: ContainerId,
    pub condition: Condition,
    pub about: Option<About>,
    pub started: Option<Started>,
    pub end: Option<End>,
    /// It has no owner, and nothing inside is alive: its end is kept for whoever picks it up.
    pub ended_unheard: bool,
    /// Its papers.
    dir: PathBuf,
}

/// What a first look at an id finds.
enum Glance {
    Run(Box<Seen>),
    /// Papers that nobody wanted kept.
    Litter,
    Nothing,
}

/// All of them, the newest first.
pub fn all(state: &State) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for id in state.all_ids()? {
        seen.extend(look(state, &id)?);
    }
    let created = |one: &Seen| one.about.as_ref().map(|about| about.created_at.clone());
    // What has no papers yet is the newest.
    seen.sort_by_key(|one| std::cmp::Reverse((created(one).is_none(), created(one))));
    Ok(seen)
}

/// All of them, sorted by name, as far as can be seen without changing, or waiting for, anything.
pub fn at_a_glance(state: &State) -> Vec<Seen> {
    let ids = state.all_ids().unwrap_or_default();
    let glances = ids.iter().filter_map(|id| glance(state, id).ok());
    let runs = glances.filter_map(|glance| match glance {
        Glance::Run(run) => Some(*run),
        Glance::Litter | Glance::Nothing => None,
    });
    runs.collect()
}

/// The run that `word` names.
pub fn named(state: &State, word: &str) -> Result<Seen> {
    let id = state.named(word)?;
    look(state, &id)?.ok_or_else(|| {
        let what = format!("there is no run {word:?}");
        Failure::new(Kind::NoRun, what).hint("`airtight ps -a` lists them")
    })
}

/// The run `id`, if there is one.
pub fn look(state: &State, id: &ContainerId) -> Result<Option<Seen>> {
    match glance(state, id)? {
        Glance::Run(run) => Ok(Some(*run)),
        Glance::Nothing => Ok(None),
        // Where somebody is at it, he removes it.
        Glance::Litter => match sweep(state, id) {
            Err(failure) if failure.kind() != Kind::Usage => Err(failure),
            _ => Ok(None),
        },
    }
}

fn glance(state: &State, id: &ContainerId) -> Result<Glance> {
    let kept = state.kept(id);
    let record = state.record(id).ok().flatten();
    // Where somebody has removed the run directory, the lock of what is kept says that the owner lives.
    let owned = state.is_alive(id) || record.is_none() && papers::have_an_owner(&kept);
    let alive = owned || record.as_ref().is_some_and(Record::is_kept);
    let is_kept = match record.as_ref().filter(|_| alive) {
        // Of a run that has just begun, those of an ended one of its name may be there still.
        Some(record) => papers::read::<About>(&kept, &Paper::About)
            .is_some_and(|about| about.token == record.token),
        None => kept.is_dir(),
    };
    if !alive && !is_kept {
        return Ok(Glance::Nothing);
    }
    let dir = if is_kept { kept } else { state.directory(id) };
    let about: Option<About> = papers::read(&dir, &Paper::About);
    if !alive && about.as_ref().is_none_or(|about| about.remove) {
        return Ok(Glance::Litter);
    }
    let started: Option<Started> = papers::read(&dir, &Paper::Started);
    let end = match (&about, alive) {
        // Its owner may have died as it undid the run.
        (Some(_), true) if !owned => End::read(&dir)?,
        (_, true) | (None, _) => None,
        // One that cannot be read, after a power cut, says nothing.
        (Some(about), false) => match End::read(&dir) {
            Ok(Some(end)) => Some(end),
            Ok(None) | Err(_) => Some(End::unseen(about, &host::boot_id()?)?),
        },
    };
    let condition = match (&end, &started) {
        (Some(end), _) if end.lost.is_some() => Condition::Lost,
        (Some(_), _) => Condition::Exited,
        (None, _) if !owned => Condition::Orphaned,
        (None, Some(_)) => Condition::Running,
        (None, None) => Condition::Created,
    };
    let ended_unheard = condition == Condition::Orphaned
        && record.is_some_and(|record| {
            let group = record.group().ok().flatten();
            group.is_none_or(|group| group.is_empty())
        });
    Ok(Glance::Run(Box::new(Seen {
        id: id.clone(),
        condition,
        about,
        started,
        end,
        ended_unheard,
        dir,
    })))
}

/// Removes papers of an owner who died and left nobody to do it: a reboot took the record away.
fn sweep(state: &State, id: &ContainerId) -> Result<()> {
    match state.create_without_record(id) {
        Ok(name) => {
            let removed = papers::remove(&state.kept(id));
            name.remove()?;
            removed
        }
        Err(failure) => Err(failure),
    }
}

impl Seen {
    /// Whether it lives.
    pub fn is_alive(&self) -> bool {
        match self.condition {
            Condition::Created | Condition::Running | Condition::Orphaned => true,
            Condition::Exited | Condition::Lost => false,
        }
    }

    /// Where its log is; a failure says why it has none.
    pub fn log(&self) -> Result<PathBuf> {
        let none = |why: &str| Failure::usage(format!("run {} has no log", self.id)).because(why);
        match &self.about {
            Some(about) if about.logged => Ok(papers::log(&self.dir)),
            Some(about) if about.detached => Err(none("it was started with --log-driver none")),
            _ => Err(none(
                "it is in the foreground, where its output goes to its caller",
            )),
        }
    }

    /// Every decision of its plan.
    pub fn plan(&self) -> Option<Value> {
        papers::read(&self.dir, &Paper::Plan)
    }

    /// Whether its payload has a terminal.
    pub fn has_terminal(&self) -> bool {
        let plan = self.plan().unwrap_or_default();
        plan["process"]["terminal"].as_bool().unwrap_or_default()
    }

    /// Who owns it though its run directory is gone, where that can be seen from here.
    pub fn holder(&self) -> Option<papers::Holder> {
        papers::holder(&self.dir)
    }

    /// When its payload was started.
    pub fn started_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.started.as_ref()?.started_at).ok()
    }

    /// When it was begun.
    pub fn created_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.about.as_ref()?.created_at).ok()
    }

    /// Removes what is kept of it, which must have ended.
    pub fn remove(&self, state: &State) -> Result<()> {
        sweep(state, &self.id)
    }

    /// What to wait with for its end; papers that are removed meanwhile do not matter to it.
    pub fn watch(&self) -> Result<Watch> {
        if self.condition == Condition::Orphaned {
            return Err(orphaned(&self.id));
        }
        Ok(Watch {
            id: self.id.clone(),
            lock: File::open(self.dir.join(LOCK)).ok(),
            verdict: papers::open_verdict(&self.dir),
            about: self.about.clone(),
        })
    }
}

/// Why nobody can wait for the end of a run without an owner.
pub fn orphaned(id: &ContainerId) -> Failure {
    Failure::host(format!("cannot wait for run {id}"))
        .because("its owner has died, and nobody has picked it up yet")
        .hint("airtight run with its --key does so, and ends as it ends")
}

/// An end to wait for.
#[derive(Debug)]
pub struct Watch {
    /// Of which run.
    pub id: ContainerId,
    lock: Option<File>,
    verdict: Option<File>,
    about: Option<About>,
}

impl Watch {
    /// Returns when it has no owner at the moment. One that has died may have an heir.
    pub fn wait(&mut self) {
        let Some(mut lock) = self.lock.take() else {
            return;
        };
        // The kernel lets us have it when the owner is gone, however it went.
        self.lock = loop {
            match Flock::lock(lock, FlockArg::LockShared) {
                Ok(free) => break free.unlock().ok(),
                Err((file, Errno::EINTR)) => lock = file,
                Err((file, _)) => break Some(file),
            }
        };
    }

    /// Whether nothing was written of the run yet.
    pub fn is_blank(&self) -> bool {
        self.about.is_none()
    }

    /// Whether what is said of its end outlasts the run.
    pub fn is_kept_on_disk(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.detached)
    }

    /// Whether it is of the run that `record` is of, and not of another one with its name.
    pub fn is_of(&self, record: &Record) -> bool {
        self.about
            .as_ref()
            .is_none_or(|about| about.token == record.token)
    }

    /// How it ended, where that is said.
    pub fn said(&self) -> Result<Option<End>> {
        let Some(verdict) = &self.verdict else {
            return Ok(None);
        };
        let cannot = || "cannot read the verdict";
        let mut verdict = verdict.try_clone().or_fail(Kind::Host, cannot)?;
        verdict.rewind().or_fail(Kind::Host, cannot)?;
        End::of(verdict)
    }

    /// How it ended, when nobody will say more.
    pub fn end(&self) -> Result<End> {
        match (self.said()?, &self.about) {
            (Some(end), _) => Ok(end),
            (None, Some(about)) => End::unseen(about, &host::boot_id()?),
            (None, None) => Err(Failure::host("nothing is known of this run's end")
                .because("its owner died before it had begun")),
        }
    }
}
