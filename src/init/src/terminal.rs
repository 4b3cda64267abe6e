//! A terminal for the payload, from the container's own devpts.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::protocol::WindowSize;
use crate::sys::{Errno, check, check_descriptor};

/// Both sides of a new terminal.
pub struct Terminal {
    /// The owner's side.
    pub master: OwnedFd,
    /// The payload's side.
    pub slave: OwnedFd,
}

impl Terminal {
    /// Opens a terminal of this size. Of nobody yet: `O_NOCTTY` on both sides.
    pub fn open(size: WindowSize) -> Result<Self, Errno> {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let size = libc::winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let locked: libc::c_int = 0;
        // SAFETY: the path is a C string; each request gets the argument ioctl_tty(2) states, and
        // TIOCGPTPEER makes a new descriptor. It opens the slave without looking for its path.
        unsafe {
            let master = check_descriptor(libc::open(c"/dev/ptmx".as_ptr(), flags))?;
            let number = master.as_raw_fd();
            check(libc::ioctl(number, libc::TIOCSPTLCK, &raw const locked))?;
            check(libc::ioctl(number, libc::TIOCSWINSZ, &raw const size))?;
            let slave = check_descriptor(libc::ioctl(number, libc::TIOCGPTPEER, flags))?;
            link_console(&master);
            Ok(Self { master, slave })
        }
    }
}

/// Makes the slave the container's console, as Docker and runc do for a container with a terminal:
/// programs of old write their last words there. A convenience only: it fails where /dev is not
/// ours to write to (another uid, a read-only root) or has a console already.
fn link_console(master: &OwnedFd) {
    let mut path = [0 as libc::c_char; 32];
    // SAFETY: ptsname_r(3) writes a C string into a buffer of the length given; symlink(2) reads
    // that and another.
    unsafe {
        if libc::ptsname_r(master.as_raw_fd(), path.as_mut_ptr(), path.len()) == 0 {
            libc::symlink(path.as_ptr(), c"/dev/console".as_ptr());
        }
    }
}

/// In the child, leader of a new session: makes the terminal the session's own.
pub fn take_control(slave: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: TIOCSCTTY takes a number (ioctl_tty(2)): 0, not to steal it from another session.
    check(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(|_| ())
}
