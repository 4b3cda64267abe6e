//! Signals that ask a verb to end before it is done. (A run has its own: they go to the payload.)

use std::fs;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Kind};

/// Comes true with the first signal that asks us to end `what`. One that our parent had us ignore, as
/// nohup(1) does, stays ignored.
pub async fn interrupted(what: &str) -> Failure {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut interrupt = listen(SignalKind::interrupt(), &status);
    let mut terminate = listen(SignalKind::terminate(), &status);
    let mut hangup = listen(SignalKind::hangup(), &status);
    let kind = tokio::select! {
        _ = next(&mut interrupt) => SignalKind::interrupt(),
        _ = next(&mut terminate) => SignalKind::terminate(),
        _ = next(&mut hangup) => SignalKind::hangup(),
    };
    let kind = Kind::Interrupted(kind.as_raw_value());
    Failure::new(kind, format!("{what} was interrupted"))
}

/// Without a handler a signal does to us what it always does.
fn listen(kind: SignalKind, status: &str) -> Option<Signal> {
    if is_ignored(kind, status) {
        return None;
    }
    signal(kind).ok()
}

async fn next(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Reads the mask in `/proc/<pid>/status`, whose lowest bit is signal 1 (proc(5)).
fn is_ignored(kind: SignalKind, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default() >> (kind.as_raw_value() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_found_in_the_status() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n";
        assert!(is_ignored(SignalKind::hangup(), status));
        assert!(!is_ignored(SignalKind::interrupt(), status));
        assert!(!is_ignored(SignalKind::hangup(), ""));
    }
}
