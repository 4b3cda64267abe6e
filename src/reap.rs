//! Undoing what dead owners left.
//!
//! Every command begins with [`dead_owners`]: a directory read and a lock tried for each run. A run
//! whose lock can be had has no owner any more; its record says what to undo. Several are undone at
//! once. Beside a containerd that does not answer only processes are ended, and the rest waits for a
//! later command: nobody is to wait for each dead run in turn.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::containerd::{Client, Error, Result as Answer};
use crate::failure::Result;
use crate::id::ContainerId;
use crate::run::cleanup;
use crate::run::papers;
use crate::run::record::Record;
use crate::run::state::{Found, RunDir, State};

/// How many are undone at once: each has the runtime started, on processors that others need too.
const AT_ONCE: usize = 8;
/// A containerd that is well answers within milliseconds, on a busy disk within a second or two.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Undoes the runs whose owners are dead. What cannot be undone now stays recorded, and is returned in
/// words: one run that cannot be undone keeps nobody from the others, nor from a new run.
pub async fn dead_owners(state: &State) -> Result<Vec<String>> {
    let mut reaper = Reaper::default();
    for id in state.ids()? {
        // A run is locked only when its turn has come.
        while reaper.under_way.len() >= AT_ONCE {
            reaper.wait_for_one().await;
        }
        if let Err(why) = reaper.begin(state, &id).await {
            reaper.note(&id, [why.to_string()]);
        }
    }
    while !reaper.under_way.is_empty() {
        reaper.wait_for_one().await;
    }
    Ok(reaper.leftovers)
}

/// What is known and under way.
#[derive(Default)]
struct Reaper {
    /// Whether the containerd at an address answers.
    answers: HashMap<String, Answer<()>>,
    under_way: JoinSet<(ContainerId, Vec<String>)>,
    leftovers: Vec<String>,
}

impl Reaper {
    /// Begins to undo run `id`, if its owner is dead.
    async fn begin(&mut self, state: &State, id: &ContainerId) -> Result<()> {
        let Found::Dead(dir) = state.find(id)? else {
            return Ok(());
        };
        let Some(record) = dir.record()? else {
            // Its maker died before anything else was made.
            return dir.remove();
        };
        // First of all: while the name is ours, what is kept under it is this run's.
        if let Err(why) = papers::owner_died(state, &record) {
            self.note(id, [why.to_string()]);
        }
        let client = Client::new(&record.address, &record.namespace)?;
        let answer = self.answer(&record.address, &client).await;
        let (state, id) = (state.clone(), id.clone());
        self.under_way.spawn(async move {
            let left = match answer {
                Ok(()) => undo(&record, &client, &state, dir).await,
                Err(why) => end_processes(&record, &why).await,
            };
            (id, left)
        });
        Ok(())
    }

    /// Whether the containerd of `client`, at `address`, answers; asked once.
    async fn answer(&mut self, address: &str, client: &Client) -> Answer<()> {
        if let Some(known) = self.answers.get(address) {
            return known.clone();
        }
        let answer = client.answers_within(ANSWER_LIMIT, address).await;
        self.answers.insert(address.to_owned(), answer.clone());
        answer
    }

    async fn wait_for_one(&mut self) {
        match self.under_way.join_next().await {
            Some(Ok((id, left))) => self.note(&id, left),
            // It panicked; its record is still there.
            Some(Err(why)) => self.leftovers.push(why.to_string()),
            None => {}
        }
    }

    fn note(&mut self, id: &ContainerId, left: impl IntoIterator<Item = String>) {
        let lines = left.into_iter();
        self.leftovers
            .extend(lines.map(|left| format!("run {id}, whose owner died: {left}")));
    }
}

async fn undo(record: &Record, client: &Client, state: &State, dir: RunDir) -> Vec<String> {
    cleanup::settle(record, client).await;
    cleanup::undo(record, client, state, dir).await
}

/// What needs no containerd.
async fn end_processes(record: &Record, why: &Error) -> Vec<String> {
    let alive = cleanup::kill(record).await.err();
    let waits = format!("it waits for containerd: {why}");
    alive.into_iter().chain([waits]).collect()
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
    }
}
