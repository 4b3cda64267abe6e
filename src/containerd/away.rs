//! A containerd that is away for a moment: it died and is started again, or it is being upgraded.
//!
//! In: a step that may be repeated. Out: its result, from the first time that containerd was there, or
//! the last failure once the patience is over. Never repeats a step that a containerd which was there all
//! the time has refused.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Error;
use crate::failure::{Failure, Kind};

/// How long a containerd that is away is waited for where its answer is needed. systemd starts one that
/// died after 5 s (containerd.service, `RestartSec`), and it first looks at every task it has.
pub const ABSENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// A failure that may be one of the connection alone.
pub trait OfConnection {
    /// Nothing is known of what was asked for, and the same may work later.
    fn is_unreachable(&self) -> bool;
}

impl OfConnection for Error {
    fn is_unreachable(&self) -> bool {
        Error::is_unreachable(self)
    }
}

impl OfConnection for Failure {
    fn is_unreachable(&self) -> bool {
        self.kind() == Kind::ContainerdAway
    }
}

/// Repeats `step` while containerd is away, for as long as `patience` lasts; it is told how often it was
/// tried before. A step that waited longer than that for an answer is not repeated. The first refusal after
/// an absence is not believed: containerd may just have found, and removed, what its death had left there.
pub async fn patiently<T, E, F>(patience: Duration, mut step: impl FnMut(u32) -> F) -> Result<T, E>
where
    E: OfConnection,
    F: Future<Output = Result<T, E>>,
{
    let until = Instant::now() + patience;
    let mut before = 0;
    let mut refused = false;
    loop {
        match step(before).await {
            Err(why) if why.is_unreachable() && Instant::now() < until => {}
            Err(why) if !why.is_unreachable() && before > 0 && !refused => refused = true,
            done => return done,
        }
        sleep(PAUSE).await;
        before += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn away() -> Failure {
        Failure::new(Kind::ContainerdAway, "cannot look")
    }

    #[tokio::test]
    async fn what_fails_while_containerd_is_away_is_done_when_it_is_back() {
        let done = patiently(ABSENCE, |before| async move {
            if before < 2 { Err(away()) } else { Ok(before) }
        });
        assert_eq!(done.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_so_is_the_end_of_the_patience() {
        let asked = AtomicU32::new(0);
        let refused = patiently(ABSENCE, |_| async {
            asked.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Failure::new(Kind::Containerd, "no"))
        });
        refused.await.unwrap_err();
        assert_eq!(asked.into_inner(), 1);
        let absent = patiently(PAUSE, |_| async { Err::<(), _>(away()) });
        absent.await.unwrap_err();
    }
}
