//! What every file here needs of the kernel: errors as numbers, and this process made invisible.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::protocol::{Stage, StartFailure};

/// An error number of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The error of the system call that just failed.
    pub fn last() -> Self {
        // SAFETY: the C library keeps one errno for this thread, always valid.
        Self(unsafe { *libc::__errno_location() })
    }

    /// As the reason why there is no payload.
    pub fn during(self, stage: Stage) -> StartFailure {
        StartFailure {
            stage,
            errno: self.0,
        }
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// The result of a system call that answers below 0 on failure.
pub fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    match result {
        0.. => Ok(result),
        _ => Err(Errno::last()),
    }
}

/// The new descriptor a system call made.
///
/// # Safety
/// `result` must be that call's, and nobody else may own the descriptor.
pub unsafe fn check_descriptor(result: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller's promise.
    check(result).map(|number| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Our pid as we see it.
pub fn own_pid() -> libc::pid_t {
    // SAFETY: getpid(2) cannot fail.
    unsafe { libc::getpid() }
}

/// Seconds of a clock that nobody sets. Not std's Instant, which can panic.
pub fn seconds() -> libc::time_t {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime(2) writes one timespec; every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec
}

/// Names this process, and shuts it off from a payload that runs as the same user: without being
/// dumpable it cannot be traced, and its descriptors, the leash among them, cannot be opened
/// through /proc or taken with pidfd_getfd(2) (prctl(2), PR_SET_DUMPABLE).
pub fn hide() {
    // SAFETY: PR_SET_NAME reads a C string; PR_SET_DUMPABLE takes numbers. Neither can fail.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"airtight-init".as_ptr());
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}
