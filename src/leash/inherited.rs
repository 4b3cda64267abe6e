//! Descriptors that airtight was started with, by number.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Whether descriptor `number` was open when airtight was started: what survives an exec is not
/// close-on-exec, and everything that airtight opens itself is.
pub fn is_inherited(number: RawFd) -> bool {
    // SAFETY: fcntl(2) takes any number and answers EBADF for one that is not open.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// A close-on-exec copy of our own open descriptor `number`.
pub fn copy_of(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) takes any number and answers EBADF for one that is not open.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: F_DUPFD_CLOEXEC made the descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_airtight_opened_itself_is_not_inherited() {
        let file = tempfile::tempfile().unwrap();
        assert!(!is_inherited(file.as_raw_fd()));
        assert!(!is_inherited(-1));
        assert!(is_inherited(2));
    }

    #[test]
    fn an_open_descriptor_is_copied_and_a_closed_one_is_not() {
        let file = tempfile::tempfile().unwrap();
        let copy = copy_of(file.as_raw_fd()).unwrap();
        assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
        assert_eq!(copy_of(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
