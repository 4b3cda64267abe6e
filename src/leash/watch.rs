//! Descriptors under tokio's eye.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime tell when `descriptor` can be read (for our sockets, also when it broke).
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd keeps its one number and keeps it open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE)? })
}

/// The same, and when it can be written.
pub fn watch_both(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let interest = Interest::READABLE.add(Interest::WRITABLE);
    // SAFETY: an OwnedFd keeps its one number and keeps it open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest)? })
}
