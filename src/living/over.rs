//! The end of a run that somebody else owns, whichever way its owner ends.
//!
//! In: what to wait with. Out: when the run is over, its log included: as long as nobody has undone what a dead
//! owner left, the shim keeps the log's pipes open.

use tokio::time::sleep;

use super::PAUSE;
use crate::failure::Result;
use crate::id::ContainerId;
use crate::reap;
use crate::run::record::Record;
use crate::run::seen::Watch;
use crate::run::state::{Found, State};
use crate::run::thread::on_a_thread;

/// Waits until run `id` has no owner any more, and undoes it where its owner died over it. One that is to be
/// kept is left as it is, and so is what cannot be undone now.
pub async fn until_over(state: &State, id: &ContainerId, mut watch: Watch) -> Result<Watch> {
    let watch = on_a_thread("end", move || {
        watch.wait();
        Ok(watch)
    })
    .await?;
    while let Found::Dead(dir) = state.find(id)? {
        let record = dir.record()?;
        drop(dir);
        if record.as_ref().is_some_and(Record::is_kept)
            || !reap::dead_owners(state).await?.is_empty()
        {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(watch)
}
