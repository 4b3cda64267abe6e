//! The end of a run that somebody else owns, whichever way its owner ends, and whoever picks it up.
//!
//! In: what to wait with. Out: how it ended, or that it goes on without an owner. What an owner left that died is undone
//! here, where nobody is to pick it up: until then the shim keeps the log's pipes open, for one.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::failure::{Failure, Result};
use crate::log::follow::Ending;
use crate::log::writer;
use crate::reap::{self, Kept};
use crate::run::papers::End;
use crate::run::record::Record;
use crate::run::seen::{self, Condition, Seen, Watch};
use crate::run::state::{Found, State};
use crate::run::thread::on_a_thread;

/// Between two looks at a run that is being picked up, stopped or undone.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an heir may take to come, before a run is said to have none.
const HEIRS: Duration = Duration::from_secs(2);
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

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// One that picks the run up, where it loses its owner.
    Heir,
    /// Somebody else, who leaves that to others.
    None,
}

/// Waits for the end of a run.
pub async fn over(state: &State, watch: Watch, claim: Claim) -> Result<(Over, Watch)> {
    let Some(mut watch) = begun(state, watch).await? else {
        return Err(Failure::host("the run has lost its owner as it began"));
    };
    let id = watch.id.clone();
    let mut without_owner: Option<Instant> = None;
    loop {
        watch = on_a_thread("end", move || {
            watch.wait();
            Ok(watch)
        })
        .await?;
        let record = state.record(&id)?.filter(|record| watch.is_of(record));
        let kept = record.as_ref().is_some_and(Record::is_kept);
        let said = watch.said()?;
        let found = state.find(&id)?;
        match (said, found, record) {
            // An owner that died as it undid the run.
            (Some(_), Found::Dead(dir), Some(_)) if kept && claim == Claim::Heir => {
                drop(dir);
                return Ok((Over::Orphaned, watch));
            }
            (Some(end), Found::Dead(dir), Some(_)) if watch.is_kept_on_disk() => {
                drop(dir);
                // What cannot be undone now stays recorded.
                reap::dead_owner(state, &id, Kept::Undo).await?;
                return Ok((Over::Ended(end), watch));
            }
            (Some(end), ..) => return Ok((Over::Ended(end), watch)),
            // Undone, by somebody who had nothing to say or has said it by now.
            (None, _, None) => return Ok((Over::Ended(watch.end()?), watch)),
            (None, Found::Dead(dir), Some(_)) if kept => {
                drop(dir);
                let since = *without_owner.get_or_insert_with(Instant::now);
                if claim == Claim::Heir || since.elapsed() > HEIRS {
                    return Ok((Over::Orphaned, watch));
                }
            }
            (None, Found::Dead(dir), Some(_)) => {
                drop(dir);
                if !reap::dead_owner(state, &id, Kept::Leave).await?.is_empty() {
                    return Ok((Over::Ended(watch.end()?), watch));
                }
            }
            // An heir or a reaper has it.
            (None, Found::Held | Found::Absent, Some(_)) => without_owner = None,
        }
        sleep(PAUSE).await;
    }
}

/// What to wait with once its owner has written down what it is; an owner does so first of all.
async fn begun(state: &State, mut watch: Watch) -> Result<Option<Watch>> {
    while watch.is_blank() {
        match seen::look(state, &watch.id)?.filter(Seen::is_alive) {
            Some(run) if run.condition == Condition::Orphaned => return Ok(None),
            Some(run) => watch = run.watch()?,
            None => break,
        }
        sleep(PAUSE).await;
    }
    Ok(Some(watch))
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
