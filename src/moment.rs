//! Moments that another process can count from, whatever happens to the time of day.
//!
//! In: the kernel's clock. Out: a number that is written down, and how long ago it was. A moment means nothing
//! in another boot of the machine: who reads one must know which boot it is of.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment of this boot, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

impl Moment {
    /// This one, by the clock that time limits of owners (std's and tokio's Instant) and of inits are counted
    /// by: it is never set, and stands still while the machine sleeps, as payloads do.
    pub fn now() -> Self {
        let since_boot = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        Self(u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long ago it was.
    pub fn elapsed(self) -> Duration {
        Duration::from_millis(Self::now().0.saturating_sub(self.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Moment {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
impl Moment {
    /// The one that was so long ago.
    pub fn ago(past: Duration) -> Self {
        Self(Self::now().0 - u64::try_from(past.as_millis()).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_written_down_is_as_long_ago_as_before() {
        let text = Moment::ago(Duration::from_secs(1)).to_string();
        let read: Moment = text.parse().unwrap();
        assert!(read.elapsed() >= Duration::from_secs(1));
        assert!("".parse::<Moment>().is_err() && "-1".parse::<Moment>().is_err());
    }

    #[test]
    fn one_to_come_was_no_time_ago() {
        assert_eq!(Moment(u64::MAX).elapsed(), Duration::ZERO);
    }
}
