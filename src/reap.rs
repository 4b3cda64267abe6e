//! Undoing what dead owners left.
//!
//! Every command begins with [`dead_owners`]: a directory read and a lock tried for each run. A run
//! whose lock can be had has no owner any more; its record says what to undo.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::containerd::Client;
use crate::failure::Result;
use crate::id::ContainerId;
use crate::run::cleanup;
use crate::run::state::{Found, State};

/// By address and namespace.
type Clients = HashMap<(String, String), Client>;

/// Undoes the runs whose owners are dead. What cannot be undone now stays recorded, and is returned in
/// words: one run that cannot be undone keeps nobody from the others, nor from a new run.
pub async fn dead_owners(state: &State) -> Result<Vec<String>> {
    let mut clients = Clients::new();
    let mut leftovers = Vec::new();
    for id in state.ids()? {
        let left = match dead_owner(state, &id, &mut clients).await {
            Ok(left) => left,
            Err(why) => vec![why.to_string()],
        };
        leftovers.extend(
            left.into_iter()
                .map(|left| format!("run {id}, whose owner died: {left}")),
        );
    }
    Ok(leftovers)
}

/// Undoes run `id`, if its owner is dead.
async fn dead_owner(state: &State, id: &ContainerId, clients: &mut Clients) -> Result<Vec<String>> {
    let Found::Dead(dir) = state.find(id)? else {
        return Ok(Vec::new());
    };
    let Some(record) = dir.record()? else {
        // Its maker died before anything else was made.
        dir.remove()?;
        return Ok(Vec::new());
    };
    let client = match clients.entry((record.address.clone(), record.namespace.clone())) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(Client::new(&record.address, &record.namespace)?),
    };
    cleanup::settle(&record, client).await;
    Ok(cleanup::undo(&record, client, state, dir).await)
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
