//! Waiting for something to change in a group, without guessing how long it takes.
//!
//! The kernel reports changes in v2's `cgroup.events` (cgroup-v2.rst, "populated" and "frozen"); on
//! a hybrid host that file speaks for the v1 directories too, since a process leaves all of them at
//! once. Without one, pauses double up to a few milliseconds, so that a wait is never much longer
//! than what it waited for.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// We look by ourselves too: soon at first, since the kernel delays the second notice within 10 ms
/// (`CGROUP_FILE_NOTIFY_MIN_INTV` in kernel/cgroup/cgroup.c), and now and then, since a process that
/// is in v1 directories only changes nothing in `cgroup.events`.
const FIRST_POLL: Duration = Duration::from_millis(1);
const LONGEST_POLL: Duration = Duration::from_millis(20);

/// Asks `done` after each change until it says yes, or `deadline`; says whether it did.
pub fn until(events: Option<&Path>, deadline: Instant, mut done: impl FnMut() -> bool) -> bool {
    let mut events = events.and_then(|path| File::open(path).ok());
    let mut pause = FIRST_PAUSE;
    let mut patience = FIRST_POLL;
    loop {
        // Reading arms the notice, so it comes before the question: no change is missed.
        if events.as_mut().is_some_and(|file| read(file).is_err()) {
            events = None;
        }
        if done() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        match &events {
            Some(file) => {
                changed(file, patience.min(left));
                patience = (patience * 2).min(LONGEST_POLL);
            }
            None => {
                thread::sleep(pause.min(left));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn read(file: &mut File) -> std::io::Result<()> {
    let mut text = [0; 256];
    file.rewind()?;
    file.read(&mut text).map(|_| ())
}

/// Returns at the next notice, after `limit`, or at a signal.
fn changed(file: &File, limit: Duration) {
    let limit = limit.max(Duration::from_millis(1));
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO);
    let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
    // An error means: look again.
    let _ = poll(&mut watched, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_already_needs_no_time() {
        assert!(until(None, Instant::now(), || true));
    }

    #[test]
    fn what_never_happens_ends_at_the_deadline() {
        let deadline = Instant::now() + Duration::from_millis(2);
        assert!(!until(None, deadline, || false));
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn what_happens_later_is_noticed_without_an_events_file() {
        let mut asked = 0;
        let deadline = Instant::now() + Duration::from_secs(60);
        let nowhere = Some(Path::new("/nowhere/cgroup.events"));
        assert!(until(nowhere, deadline, || {
            asked += 1;
            asked == 5
        }));
    }
}
