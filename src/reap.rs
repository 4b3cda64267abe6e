//! Undoing what dead owners left.
//!
//! Every command begins with [`dead_owners`]: a directory read and a lock tried for each run. A run
//! whose lock can be had has no owner any more; its record says what to undo.

use std::collections::HashMap;

use crate::containerd::Client;
use crate::failure::Result;
use crate::run::cleanup;
use crate::run::state::{Found, State};

/// Undoes the runs whose owners are dead. What cannot be undone now stays recorded, and is returned in
/// words.
pub async fn dead_owners(state: &State) -> Result<Vec<String>> {
    let mut clients: HashMap<(String, String), Client> = HashMap::new();
    let mut leftovers = Vec::new();
    for id in state.ids()? {
        let Found::Dead(dir) = state.find(&id)? else {
            continue;
        };
        let Some(record) = dir.record()? else {
            // Its maker died before anything else was made.
            dir.remove()?;
            continue;
        };
        let key = (record.address.clone(), record.namespace.clone());
        let client = match clients.get(&key) {
            Some(client) => client.clone(),
            None => Client::new(&record.address, &record.namespace)?,
        };
        cleanup::settle(&record, &client).await;
        let left = cleanup::undo(&record, &client, state, dir).await;
        leftovers.extend(
            left.into_iter()
                .map(|left| format!("run {id}, whose owner died: {left}")),
        );
        clients.insert(key, client);
    }
    Ok(leftovers)
}
