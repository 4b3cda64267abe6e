//! Descriptors that come through a socket unasked for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Linux 6.17, `include/uapi/asm-generic/socket.h`.
const SO_PASSRIGHTS: libc::c_int = 83;

/// From now on, whoever sends descriptors to `socket` is refused with EPERM. An older kernel takes them
/// as ever.
pub fn refuse(socket: BorrowedFd<'_>) -> io::Result<()> {
    let off: libc::c_int = 0;
    // SAFETY: setsockopt(2) reads an int from a pointer to one.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const off).cast(),
            size_of_val(&off) as libc::socklen_t,
        )
    };
    match set {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            why if why.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
            why => Err(why),
        },
    }
}
