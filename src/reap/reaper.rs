//! Undoing many runs at once, each from its record.
//!
//! Beside a containerd that does not answer only processes are ended, and the rest waits for a later
//! command: nobody is to wait for each dead run in turn.

use std::collections::HashSet;

use tokio::task::JoinSet;

use super::answers::Answers;
use super::{Reaped, Sort};
use crate::containerd::{Client, Error};
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::run::adopt;
use crate::run::cleanup::{self, Thing, Undone};
use crate::run::papers;
use crate::run::record::Record;
use crate::run::state::{Found, RunDir, State};

/// How many are undone at once: each has the runtime started, on processors that others need too.
const AT_ONCE: usize = 8;

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What is left over is undone.
    Undo,
    /// It is only looked at.
    Look,
}

/// What becomes of runs that go on without an owner, until another run picks them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They go on.
    Leave,
    /// They were named: their time is over.
    Undo,
}

/// What became of a run directory.
pub enum Turn {
    /// Nothing more is to do about it here.
    Taken,
    /// Its owner is dead, and its record cannot be read.
    Broken(RunDir, Failure),
}

/// What is known and under way.
pub struct Reaper<'a> {
    state: &'a State,
    mode: Mode,
    kept: Kept,
    answers: Answers,
    /// The tokens of the runs that had their turn.
    seen: HashSet<String>,
    under_way: JoinSet<Reaped>,
    done: Vec<Reaped>,
}

impl<'a> Reaper<'a> {
    /// Nothing is begun.
    pub fn new(state: &'a State, mode: Mode, kept: Kept, answers: Answers) -> Self {
        Self {
            state,
            mode,
            kept,
            answers,
            seen: HashSet::new(),
            under_way: JoinSet::new(),
            done: Vec::new(),
        }
    }

    /// Begins with run `id` of the state directory, if its owner is dead.
    pub async fn recorded(&mut self, id: &ContainerId) -> Turn {
        // A run is locked only when its turn has come.
        self.wait_for_room().await;
        let dir = match self.state.find(id) {
            Ok(Found::Dead(dir)) => dir,
            Ok(Found::Held | Found::Absent) => return Turn::Taken,
            Err(why) => {
                self.give_up(id, why.to_string());
                return Turn::Taken;
            }
        };
        match dir.record() {
            Ok(Some(record)) if self.kept == Kept::Leave && adopt::goes_on(&record, &dir) => {}
            Ok(Some(record)) => self.begin(record, Some(dir)).await,
            // Its maker died before anything else was made.
            Ok(None) => self.forget(id, dir),
            Err(why) => {
                let hint =
                    format!("`airtight reap {id}` forgets it if containerd has nothing of it");
                return Turn::Broken(dir, Failure::host(format!("{why}; {hint}")));
            }
        }
        Turn::Taken
    }

    /// Begins with a run that was found by something that it has left, unless it had its turn.
    pub async fn unrecorded(&mut self, record: Record) {
        self.wait_for_room().await;
        // Whoever has a directory of that name now will find the name taken, and undo it.
        if self.seen.contains(&record.token)
            || !matches!(self.state.find(&record.id), Ok(Found::Absent))
        {
            return;
        }
        if self.mode == Mode::Look {
            return self.begin(record, None).await;
        }
        // Recorded again, it is locked, and not lost should we die over it.
        match self.state.create(&record) {
            Ok(dir) => self.begin(record, Some(dir)).await,
            Err(why) => self.give_up(&record.id, why.to_string()),
        }
    }

    /// Begins with the run of `record`; `dir` is its directory, which is locked.
    pub async fn begin(&mut self, record: Record, dir: Option<RunDir>) {
        self.seen.insert(record.token.clone());
        // First of all: while the name is ours, what is kept under it is this run's.
        if self.mode == Mode::Undo
            && let Err(why) = papers::owner_died(self.state, &record)
        {
            self.give_up(&record.id, why.to_string());
        }
        let client = match Client::new(&record.address, &record.namespace) {
            Ok(client) => client,
            Err(why) => return self.give_up(&record.id, why.to_string()),
        };
        let answer = self.answers.of(&record.address, &client).await;
        let (state, mode) = (self.state.clone(), self.mode);
        self.under_way.spawn(async move {
            let undone = match (answer, mode, dir) {
                (Ok(()), Mode::Undo, Some(dir)) => undo(&record, &client, &state, dir).await,
                (Ok(()), _, dir) => look(&record, &client, dir).await,
                (Err(why), Mode::Undo, _) => end_processes(&record, &why).await,
                (Err(why), Mode::Look, _) => waits_for_containerd(&why),
            };
            Reaped {
                name: record.id.to_string(),
                sort: Sort::Run,
                owner: Some(record.owner),
                things: undone.things,
                left: undone.left,
            }
        });
    }

    /// Removes a directory of whose run nothing is known.
    pub fn forget(&mut self, id: &ContainerId, dir: RunDir) {
        let removed = match self.mode {
            Mode::Undo => dir.remove(),
            Mode::Look => Ok(()),
        };
        let mut undone = Undone::default();
        undone.note(Thing::Directory, removed.map(|()| true));
        self.done.push(Reaped {
            name: id.to_string(),
            sort: Sort::Run,
            owner: None,
            things: undone.things,
            left: undone.left,
        });
    }

    /// Leaves run `id` for somebody else.
    pub fn give_up(&mut self, id: &ContainerId, why: String) {
        self.done.push(Reaped::failed(id.as_str(), why));
    }

    /// Waits until nothing is under way.
    pub async fn wait_for_all(&mut self) {
        while !self.under_way.is_empty() {
            self.wait_for_one().await;
        }
    }

    /// Waits, and says what came of all.
    pub async fn finish(mut self) -> Vec<Reaped> {
        self.wait_for_all().await;
        self.done
    }

    async fn wait_for_room(&mut self) {
        while self.under_way.len() >= AT_ONCE {
            self.wait_for_one().await;
        }
    }

    async fn wait_for_one(&mut self) {
        match self.under_way.join_next().await {
            Some(Ok(reaped)) => self.done.push(reaped),
            // It panicked; its record is still there.
            Some(Err(why)) => self.done.push(Reaped::failed("unknown", why.to_string())),
            None => {}
        }
    }
}

async fn undo(record: &Record, client: &Client, state: &State, dir: RunDir) -> Undone {
    cleanup::settle(record, client).await;
    cleanup::undo(record, client, state, dir).await
}

/// What needs no containerd.
async fn end_processes(record: &Record, why: &Error) -> Undone {
    let mut undone = Undone::default();
    undone.note(Thing::Processes, cleanup::kill(record).await);
    undone.left.extend(waits_for_containerd(why).left);
    undone
}

fn waits_for_containerd(why: &Error) -> Undone {
    Undone {
        things: Vec::new(),
        left: vec![format!("it waits for containerd: {why}")],
    }
}

async fn look(record: &Record, client: &Client, dir: Option<RunDir>) -> Undone {
    let mut found = cleanup::look(record, client).await;
    let mounted = dir.as_ref().is_some_and(|dir| dir.mounts().exists());
    let certain = Result::<bool>::Ok;
    found.note(Thing::Mounts, certain(mounted));
    found.note(Thing::Directory, certain(dir.is_some()));
    found
}
