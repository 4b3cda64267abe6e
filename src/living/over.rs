//! The end of a run that somebody else owns, whichever way its owner ends, and whoever picks it up.
//!
//! In: what to wait with. Out: how it ended, or that it goes on without an owner. What an owner left that died is undone
//! here, where nobody is to pick it up: until then the shim keeps the log's pipes open, for one.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::failure::Result;
use crate::log::follow::Ending;
use crate::log::writer;
use crate::reap::{self, Kept};
use crate::run::papers::End;
use crate::run::seen::Watch;
use crate::run::state::{Found, State};
use crate::run::thread::on_a_thread;

/// Between two looks at a run that is being picked up, stopped or undone.
const PAUSE: Duration = Duration::from_millis(50);
/// From the end of a run to that of its log's writer, which writes at once what comes. One whose pipes the shim
/// keeps open, with a containerd that is away, has no more to write.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What became of it.
#[derive(Debug)]
pub enum Over {
    /// It has ended.
    Ended(End),
    /// It goes on, or has ended, and is kept for whoever picks it up.
    Orphaned,
}

/// Waits for the end of a run.
pub async fn over(state: &State, mut watch: Watch) -> Result<(Over, Watch)> {
    let id = watch.id.clone();
    loop {
        watch = on_a_thread("end", move || {
            watch.wait();
            Ok(watch)
        })
        .await?;
        if let Some(end) = watch.said()? {
            return Ok((Over::Ended(end), watch));
        }
        let record = state.record(&id)?.filter(|record| watch.is_of(record));
        let Some(record) = record else {
            // Undone, by somebody who had nothing to say or has said it by now.
            return Ok((Over::Ended(watch.end()?), watch));
        };
        match state.find(&id)? {
            Found::Dead(dir) => {
                drop(dir);
                if record.is_kept() {
                    return Ok((Over::Orphaned, watch));
                }
                if !reap::dead_owner(state, &id, Kept::Leave).await?.is_empty() {
                    return Ok((Over::Ended(watch.end()?), watch));
                }
            }
            // An heir or a reaper has it.
            Found::Held | Found::Absent => {}
        }
        sleep(PAUSE).await;
    }
}

/// Tells the end of the log in `dir`, whose run is over.
pub async fn end_of_log(dir: PathBuf, ending: &Ending) {
    let written = on_a_thread("log end", move || {
        writer::wait_for_end(&dir);
        Ok(())
    });
    // One that is not waited for any more has nothing to say.
    let _ = timeout(LAST_LINES, written).await;
    ending.tell();
}
