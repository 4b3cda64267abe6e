//! The owner's control socket: how other commands speak to the owner of a living run.
//!
//! ```text
//! airtight stop ──Request──▶ owner's Door ──Order──▶ its supervisor
//!               ◀──Reply───
//! ```
//!
//! In: a run directory. Out: for the owner a [`Door`] and the [`Orders`] that come through it, for everybody
//! else a [`Caller`]. One JSON object in one packet each ([`message`]); a request for each connection. The
//! directory is root's alone, and so is the socket: whoever can connect could end the owner as well.
//! Nothing here knows containerd, and a client that says nothing, or too much, keeps nobody from the payload.

mod caller;
mod door;
pub mod message;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

pub use caller::{Answer, Call, Caller};
pub use door::{Connection, Door, Order, Orders};

/// The socket's name in the run directory.
const SOCKET: &str = "control";

/// A new socket, and the address of the one in `dir`. It is named through a descriptor, so that it can
/// be as long as any path: a socket's own has at most 107 bytes (unix(7)).
fn socket(dir: &Path) -> io::Result<(OwnedFd, impl AsFd, SocketAddrUnix)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, dir, flags, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok((socket, dir, address))
}
