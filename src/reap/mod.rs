//! Undoing what dead owners left.
//!
//! Every command begins with [`dead_owners`]: a directory read and a lock tried for each run. A run
//! whose lock can be had has no owner any more; its record says what to undo. [`Scope::undo`] is for
//! `airtight reap` alone: it also finds what has no record in the state directory any more, by the record
//! that each thing bears (`sweep.rs`). Never touched: what a living owner holds, what another state
//! directory's run has made, and what bears no record of ours.

mod answers;
mod reaper;
mod sweep;

use std::collections::BTreeSet;

use self::answers::Answers;
pub use self::reaper::Kept;
use self::reaper::{Mode, Reaper, Turn};
use crate::containerd::Client;
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::image;
use crate::owner::Owner;
use crate::run::Connection;
use crate::run::cleanup::Thing;
use crate::run::record::Record;
use crate::run::state::{Found, State, named_among};

/// Undoes the runs whose owners are dead. What cannot be undone now stays recorded, and is returned in
/// words: one run that cannot be undone keeps nobody from the others, nor from a new run.
pub async fn dead_owners(state: &State) -> Result<Vec<String>> {
    let mut reaper = Reaper::new(state, Mode::Undo, Kept::Leave, Answers::default());
    for id in state.ids()? {
        if let Turn::Broken(_, why) = reaper.recorded(&id).await {
            reaper.give_up(&id, why.to_string());
        }
    }
    let reaped = reaper.finish().await;
    Ok(reaped.iter().flat_map(Reaped::leftovers).collect())
}

/// The same for one run.
pub async fn dead_owner(state: &State, id: &ContainerId, kept: Kept) -> Result<Vec<String>> {
    let mut reaper = Reaper::new(state, Mode::Undo, kept, Answers::default());
    if let Turn::Broken(_, why) = reaper.recorded(id).await {
        reaper.give_up(id, why.to_string());
    }
    let reaped = reaper.finish().await;
    Ok(reaped.iter().flat_map(Reaped::leftovers).collect())
}

/// What was left of one owner, and what came of it.
#[derive(Debug)]
pub struct Reaped {
    /// The run, or containerd's name of the lease.
    pub name: String,
    /// Which of the two.
    pub sort: Sort,
    /// Whose it was, where that is known.
    pub owner: Option<Owner>,
    /// What is undone, or would be.
    pub things: Vec<Thing>,
    /// What could not be undone, in words.
    pub left: Vec<String>,
}

/// What can be left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A run.
    Run,
    /// The lease of a pull, an import or a look into an image.
    Lease,
}

impl Reaped {
    fn failed(run: &str, why: String) -> Self {
        Self {
            name: run.to_owned(),
            sort: Sort::Run,
            owner: None,
            things: Vec::new(),
            left: vec![why],
        }
    }

    /// What is still there, each in a sentence.
    pub fn leftovers(&self) -> impl Iterator<Item = String> {
        let what = match self.sort {
            Sort::Run => format!("run {}", self.name),
            Sort::Lease => format!("lease {}", self.name),
        };
        let left = self.left.iter();
        left.map(move |left| format!("{what}, whose owner died: {left}"))
    }
}

/// What `airtight reap` is about.
pub struct Scope<'a> {
    /// Our own directories.
    pub state: &'a State,
    /// containerd, as the flags name it.
    pub client: &'a Client,
    /// The same, in words.
    pub connection: &'a Connection,
    /// Only these runs; all and the leases, where it is empty.
    pub words: Vec<&'a str>,
}

/// What `airtight reap` has done.
#[derive(Debug)]
pub struct Report {
    /// One for each owner.
    pub reaped: Vec<Reaped>,
    /// What could not be looked at.
    pub trouble: Option<Failure>,
}

impl Scope<'_> {
    /// Undoes everything that dead owners left.
    pub async fn undo(&self) -> Result<Report> {
        self.everything(Mode::Undo).await
    }

    /// Says what that would be.
    pub async fn look(&self) -> Result<Report> {
        self.everything(Mode::Look).await
    }

    async fn everything(&self, mode: Mode) -> Result<Report> {
        let mut answers = Answers::default();
        let (found, trouble) = match sweep::records(self, &mut answers).await {
            Ok(found) => (found, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let ids = self.state.ids()?;
        let chosen = self.chosen(&ids, &found)?;
        let is_chosen = |id: &ContainerId| chosen.as_ref().is_none_or(|ids| ids.contains(id));

        let kept = match chosen {
            None => Kept::Leave,
            Some(_) => Kept::Undo,
        };
        // Their labels name the first owner for ever, though another has picked the run up.
        let is_ours = |record: &Record| kept == Kept::Undo || !record.is_kept();
        let found: Vec<_> = found.into_iter().filter(is_ours).collect();
        let mut reaper = Reaper::new(self.state, mode, kept, answers);
        for id in ids.iter().filter(|id| is_chosen(id)) {
            let Turn::Broken(dir, why) = reaper.recorded(id).await else {
                continue;
            };
            match found.iter().find(|record| record.id == *id) {
                Some(record) => reaper.begin(record.clone(), Some(dir)).await,
                // Nothing of it is known; who names it wants it forgotten.
                None if chosen.is_some() && trouble.is_none() => reaper.forget(id, dir),
                None => reaper.give_up(id, why.to_string()),
            }
        }
        // Some of these have just been undone by their records in the state directory.
        reaper.wait_for_all().await;
        for record in found.into_iter().filter(|record| is_chosen(&record.id)) {
            reaper.unrecorded(record).await;
        }
        let mut reaped = reaper.finish().await;
        if chosen.is_none() && trouble.is_none() {
            reaped.extend(self.leases(mode).await?);
        }
        Ok(Report { reaped, trouble })
    }

    /// The runs that the words mean; `None` for all.
    fn chosen(
        &self,
        ids: &[ContainerId],
        found: &[Record],
    ) -> Result<Option<BTreeSet<ContainerId>>> {
        if self.words.is_empty() {
            return Ok(None);
        }
        let found = found.iter().map(|record| &record.id);
        let known: BTreeSet<_> = ids.iter().chain(found).cloned().collect();
        let chosen =
            self.words.iter().map(|word| {
                let id = named_among(known.iter().cloned().collect(), word)?;
                match self.state.find(&id)? {
                    Found::Held => Err(Failure::usage(format!("run {id} is not left over"))
                        .because("its owner lives")),
                    Found::Dead(_) | Found::Absent => Ok(id),
                }
            });
        chosen.collect::<Result<_>>().map(Some)
    }

    async fn leases(&self, mode: Mode) -> Result<Vec<Reaped>> {
        let mut reaped = Vec::new();
        for lease in image::leases_left_over(self.client).await? {
            let removed = match mode {
                Mode::Undo => lease.remove(self.client).await,
                Mode::Look => Ok(()),
            };
            reaped.push(Reaped {
                name: lease.id,
                sort: Sort::Lease,
                owner: Some(lease.owner),
                things: removed.iter().map(|()| Thing::Lease).collect(),
                left: removed.err().iter().map(ToString::to_string).collect(),
            });
        }
        Ok(reaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_reported_and_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::new(dir.path().join("state"), dir.path().join("data"));
        for (id, record) in [("bad", "{"), ("empty", "")] {
            let run = dir.path().join("state").join(id);
            std::fs::create_dir_all(&run).unwrap();
            std::fs::write(run.join("lock"), "").unwrap();
            std::fs::write(run.join("record.json"), record).unwrap();
        }
        let mut left = dead_owners(&state).await.unwrap();
        left.sort();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left[0].starts_with("run bad, "), "{left:?}");
        assert!(left[0].contains("airtight reap bad"), "{left:?}");
    }

    #[tokio::test]
    async fn a_directory_without_a_record_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::new(dir.path().join("state"), dir.path().join("data"));
        let run = dir.path().join("state").join("a");
        std::fs::create_dir_all(run.join("inside")).unwrap();
        std::fs::write(run.join("lock"), "airtight\n").unwrap();
        assert_eq!(dead_owners(&state).await.unwrap(), [""; 0]);
        assert!(!run.exists());
    }
}
