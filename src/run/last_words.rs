//! The end of a run that was kept for another one, and that is now undone instead.
//!
//! In: its run directory, whose owner is dead, with nothing alive inside. Out: how its payload ended, true to what the
//! shim and the cgroup say, as an heir would have told it; and in the papers of a detached run the same words. Nothing
//! is undone here.

use super::adopt::{believed, told_by_shim};
pub use super::end::Asked;
use super::note::Note;
use super::papers::Papers;
use super::record::Record;
use super::state::{RunDir, State};
use super::verdict::Cause;
use crate::containerd::Client;
use crate::failure::Result;

/// How a payload ended.
#[derive(Debug)]
pub struct LastWords {
    /// How.
    pub cause: Cause,
    /// Whether it is said where others find it.
    pub are_kept: bool,
}

/// How the payload of the run of `dir` ended, which may have been asked to; `None` where nothing says that it
/// ever began. An error where that cannot be had now.
pub async fn hear(
    state: &State,
    dir: &RunDir,
    record: &Record,
    asked: Option<Asked>,
) -> Result<Option<LastWords>> {
    let Some((note, _)) = Note::read(dir.path())? else {
        return Ok(None);
    };
    let papers = Papers::take_over(state, dir, record)?;
    let are_kept = papers.are_kept();
    let heard = |cause| LastWords { cause, are_kept };
    // The owner may have died as it undid the run.
    if let Some(said) = papers.end()? {
        return Ok(said.cause().map(heard));
    }
    let client = Client::new(&record.address, &record.namespace)?;
    let mut end = believed(note, told_by_shim(&client, &record.id).await?);
    end.asked = asked;
    let usage = record.group()?.map(|group| group.usage());
    let cause = end.cause("", &usage.unwrap_or_default());
    if !cause.is_ours() {
        papers.say_end(&cause)?;
    }
    Ok(Some(heard(cause)))
}
