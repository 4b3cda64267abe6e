//! Being beside a run that somebody else has begun, as `docker attach` does: its output from now on, its input,
//! the signals that are sent to us, and its end.
//!
//! In: a run and what is wanted. Out: how it ended, or why we left before it did. Our own end changes nothing
//! for the run. What there is to be had the owner hands over, and no byte goes through it that did not before:
//! a terminal's other side, a pipe of what it shows, a pipe to stdin. What a detached run without a terminal
//! writes is read from its log; a foreground run's goes to its caller alone.

mod joined;
mod keys;
mod output;

use std::pin::pin;

use tokio::time::sleep;

use self::joined::Joined;
pub use self::keys::{DEFAULT, DetachKeys};
pub use self::output::Output;
use super::over::{Claim, Over, over};
use super::{Living, PAUSE};
use crate::failure::{Failure, Kind, Result};
use crate::run::papers;
use crate::run::seen::{self, Condition, Seen, Watch};
use crate::run::signals::Signals;
use crate::run::state::State;

/// What is wanted of it.
pub struct Wish<'a> {
    /// What we are typed, or written.
    pub input: bool,
    /// Signals that are sent to us are for the payload, unless it has a terminal, as with docker.
    pub signals: bool,
    /// What to leave with.
    pub keys: DetachKeys,
    /// What to do when nobody reads our output any more.
    pub unread: Unread,
    /// What becomes of it where it loses its owner.
    pub claim: Claim,
    /// Told what the user should know meanwhile.
    pub remark: &'a dyn Fn(&dyn std::fmt::Display),
}

/// What to do when nobody reads our output any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// Leave.
    Leave,
    /// Stay for the end.
    Stay,
}

/// How it came to an end.
#[derive(Debug)]
pub enum End {
    /// The run's own.
    Run(papers::End),
    /// Ours, and the run goes on.
    Left(Leaving),
    /// It has lost its owner, and is for whoever picks it up.
    Orphaned(Box<Orphaned>),
    /// It was over before we came.
    Gone,
}

/// A run that has lost its owner, as we were beside it.
#[derive(Debug)]
pub struct Orphaned {
    /// To learn its end with, where somebody else picks it up.
    pub watch: Watch,
    /// Its log goes on.
    pub output: Option<Output>,
}

/// Why we left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// By the keys for it.
    Keys,
    /// This signal.
    Signal(i32),
    /// Nobody reads our output any more.
    Unread,
}

/// Stays with `run` until it ends, or we are to leave; `output` is what is shown of it already. Signals that its owner did not live to hear come again.
pub async fn attach(
    state: &State,
    run: &Living,
    wish: &Wish<'_>,
    signals: &mut Signals,
    output: Option<Output>,
) -> Result<End> {
    let Some((seen, watch)) = found(state, run, signals).await? else {
        return Ok(End::Gone);
    };
    let mut joined = Joined::begin(run, seen, wish, output);
    let over = pin!(over(state, watch, wish.claim));
    let (over, watch) = tokio::select! {
        biased;
        over = over => over?,
        why = joined.until_we_leave(signals) => return Ok(End::Left(why)),
    };
    match over {
        Over::Ended(end) => {
            tokio::select! {
                () = joined.finish() => {}
                _ = signals.end_asked() => {}
            }
            Ok(End::Run(end))
        }
        Over::Orphaned => {
            joined.unheard().for_each(|number| signals.put_back(number));
            let output = joined.leave().filter(|output| !output.is_screen());
            Ok(End::Orphaned(Box::new(Orphaned { watch, output })))
        }
    }
}

/// The run as soon as its owner has written down what it is; none where it is over.
async fn found(
    state: &State,
    run: &Living,
    signals: &mut Signals,
) -> Result<Option<(Seen, Watch)>> {
    loop {
        let seen = seen::look(state, &run.id)?;
        let Some(seen) = seen.filter(|seen| seen.is_alive()) else {
            return Ok(None);
        };
        // One without an owner is for whoever comes.
        if seen.condition == Condition::Orphaned {
            return Ok(None);
        }
        if seen.about.is_some() {
            let watch = seen.watch()?;
            return Ok(Some((seen, watch)).filter(|(_, watch)| watch.is_of(&run.record)));
        }
        tokio::select! {
            number = signals.end_asked() => {
                let what = format!("waited for run {} to begin", run.id);
                return Err(Failure::new(Kind::Interrupted(number), what));
            }
            () = sleep(PAUSE) => {}
        }
    }
}
