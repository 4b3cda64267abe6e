//! Which of the signals sent to airtight are heard, and which stay ignored because our parent ignored
//! them when it started us.
//!
//! HUP, INT and QUIT come from a terminal to everybody at it. nohup(1) ignores the first, and a shell
//! without job control the other two for a command behind which there is an `&` (POSIX, "Signals and
//! Error Handling"), to keep them from programs that shall go on: from us, and from the payload.
//! All others are heard, whatever we inherited: they are sent by somebody who means this process. Were
//! TERM left ignored, a run could be ended by SIGKILL alone; WINCH is ignored wherever nobody asks.

use std::fs;
use std::io;

use nix::libc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that a parent can shield its children from.
const FROM_A_TERMINAL: [i32; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

/// The signals of this number from now on; they no longer do to us what they do to others. None where
/// it is to stay ignored.
pub fn listen(number: i32) -> io::Result<Option<Signal>> {
    let status = || fs::read_to_string("/proc/self/status").unwrap_or_default();
    if FROM_A_TERMINAL.contains(&number) && is_ignored(number, &status()) {
        return Ok(None);
    }
    signal(SignalKind::from_raw(number)).map(Some)
}

/// Reads the mask in `/proc/<pid>/status`, whose lowest bit is signal 1 (proc_pid_status(5)).
fn is_ignored(number: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default() >> (number - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_found_in_the_status() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n";
        assert!(is_ignored(libc::SIGHUP, status));
        assert!(!is_ignored(libc::SIGINT, status));
        assert!(!is_ignored(libc::SIGHUP, ""));
    }
}
