//! Handles on processes that no other process can slip under, whatever happens to their pids.
//!
//! In: a pid. Out: a pidfd (pidfd_open(2), Linux 5.3), which is close-on-exec, and signals through it.
//! Here and not in the rooms that use it, for a signal without a name takes unsafe code.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A handle on process `pid`. Whoever may have been too late looks at the process again afterwards.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let nobody = || io::Error::from_raw_os_error(libc::ESRCH);
    let pid = Pid::from_raw(pid).ok_or_else(nobody)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends a signal, which may be a real-time one. A process that is gone already is a success.
pub fn signal(handle: impl AsFd, number: i32) -> io::Result<()> {
    // SAFETY: pidfd_send_signal(2) takes no pointer but the siginfo, which may be null.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            handle.as_fd().as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match result {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn a_signal_without_a_name_arrives_and_one_to_a_process_that_is_gone_is_fine() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let handle = open(child.id().try_into().unwrap()).unwrap();
        let number = libc::SIGRTMIN() + 3;
        signal(&handle, number).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        signal(&handle, libc::SIGKILL).unwrap();
    }

    #[test]
    fn there_is_no_handle_on_nobody() {
        assert!(open(0).is_err() && open(i32::MAX).is_err());
    }
}
