//! Signals that ask a verb to end before it is done. (A run has its own: they go to the payload.)

use nix::libc;
use tokio::signal::unix::Signal;

use crate::failure::{Failure, Kind};
use crate::signals;

/// Comes true with the first signal that asks us to end `what`.
pub async fn interrupted(what: &str) -> Failure {
    // Without a handler a signal does to us what it always does.
    let mut interrupt = signals::listen(libc::SIGINT).ok().flatten();
    let mut terminate = signals::listen(libc::SIGTERM).ok().flatten();
    let mut hangup = signals::listen(libc::SIGHUP).ok().flatten();
    let number = tokio::select! {
        _ = next(&mut interrupt) => libc::SIGINT,
        _ = next(&mut terminate) => libc::SIGTERM,
        _ = next(&mut hangup) => libc::SIGHUP,
    };
    Failure::new(Kind::Interrupted(number), format!("{what} was interrupted"))
}

async fn next(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}
