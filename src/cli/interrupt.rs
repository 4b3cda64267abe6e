//! Signals that ask a verb to end before it is done. (A run has its own: they go to the payload.)

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, Kind};

/// Comes true with the first signal that asks us to end `what`.
pub async fn interrupted(what: &str) -> Failure {
    let failure = |kind: SignalKind| {
        let kind = Kind::Interrupted(kind.as_raw_value());
        Failure::new(kind, format!("{what} was interrupted"))
    };
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        // Without handlers, signals end us as they always do.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => failure(SignalKind::interrupt()),
        _ = terminate.recv() => failure(SignalKind::terminate()),
        _ = hangup.recv() => failure(SignalKind::hangup()),
    }
}
