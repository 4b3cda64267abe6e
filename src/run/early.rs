//! Being asked to end before there is a payload.
//!
//! A step that containerd is in the middle of is let finish, so that cleanup knows what there is; but
//! not for ever, and not for someone who asks twice.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::end::{Asked, End, PayloadEnd};
use super::orders::end_ordered;
use super::signals::Signals;
use super::supervise::at;
use crate::control::Orders;
use crate::failure::Result;

/// How long a step may still take when nobody wants its result any more.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What can end a run early.
pub struct Early<'a> {
    /// What is sent to us.
    pub signals: &'a mut Signals,
    /// What other commands ask of us.
    pub orders: &'a mut Orders,
    /// When the whole run's time is over.
    pub time_limit: Option<Instant>,
}

/// A step's result, or the end of the run.
pub enum Attempt<T> {
    /// Nobody asked for an end.
    Done(T),
    /// Somebody did, and nothing was started.
    Ended(End),
}

impl Early<'_> {
    /// Does `step` to its end, unless the run is to end.
    pub async fn unless_asked<T, E>(
        &mut self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<Attempt<T>, E> {
        let mut step = pin!(step);
        let end = tokio::select! {
            // What was asked before counts, even if the step is done by now.
            biased;
            number = self.signals.end_asked() => End::before_start(Asked::Stop, number),
            number = end_ordered(self.orders) => End::before_start(Asked::Stop, number),
            () = at(self.time_limit) => End::before_start(Asked::Timeout, nix::libc::SIGTERM),
            done = &mut step => return done.map(Attempt::Done),
        };
        tokio::select! {
            // Whatever comes of it, it is undone.
            _ = timeout(PATIENCE, step) => {}
            _ = self.signals.end_asked() => {}
            _ = end_ordered(self.orders) => {}
        }
        Ok(Attempt::Ended(end))
    }
}

impl End {
    /// There was no payload, and a signal came, or the time was over.
    fn before_start(asked: Asked, signal: i32) -> Self {
        Self {
            payload: PayloadEnd::TaskStatus(128 + signal.unsigned_abs()),
            asked: Some(asked),
        }
    }
}
