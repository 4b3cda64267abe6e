//! Which descriptors the payload gets, under which numbers, and that it gets no others.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::packet::Descriptors;
use crate::protocol::MAX_DESCRIPTORS;
use crate::sys::{Errno, check};

/// Where descriptors leaked to us are searched when the kernel has no close_range(2) (before
/// Linux 5.9): far above what a runtime has open.
const SEARCHED: RawFd = 4096;

/// Closes all but 0, 1 and 2, which the payload's will replace. Whatever is opened afterwards is
/// close-on-exec, so nothing else can reach the payload.
pub fn close_inherited() {
    // SAFETY: none of these numbers is owned by anything in this program, which just started.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) != 0 {
            for number in 3..SEARCHED {
                libc::close(number);
            }
        }
    }
}

/// In the child: moves all descriptors above the highest number the payload knows, so that none
/// is overwritten before its turn, and then gives each its number. The originals are
/// close-on-exec, and whatever stood at those numbers is gone.
///
/// `report` is moved first, and answered at its new place even if the rest fails.
pub fn arrange(
    report: &mut RawFd,
    terminal: Option<&OwnedFd>,
    received: &Descriptors,
    targets: &[RawFd],
) -> Result<(), Errno> {
    let highest = targets
        .iter()
        .fold(2, |highest, &target| highest.max(target));
    *report = duplicate_above(highest, *report)?;

    let terminal = terminal.map(|terminal| duplicate_above(highest, terminal.as_raw_fd()));
    let terminal = terminal.transpose()?;
    let mut moved = [0; MAX_DESCRIPTORS];
    for (moved, descriptor) in moved.iter_mut().zip(received.iter()) {
        *moved = duplicate_above(highest, descriptor.as_raw_fd())?;
    }

    if let Some(terminal) = terminal {
        for number in 0..=2 {
            place(terminal, number)?;
        }
    }
    moved
        .into_iter()
        .zip(targets)
        .try_for_each(|(descriptor, &target)| place(descriptor, target))
}

fn duplicate_above(highest: RawFd, descriptor: RawFd) -> Result<RawFd, Errno> {
    let lowest = highest.saturating_add(1);
    // SAFETY: fcntl(2) takes numbers; the duplicate lives until exec.
    check(unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, lowest) })
}

fn place(descriptor: RawFd, number: RawFd) -> Result<(), Errno> {
    // SAFETY: dup2(2) takes numbers. What it closes is the child's copy of a descriptor the child
    // does not use any more.
    check(unsafe { libc::dup2(descriptor, number) }).map(|_| ())
}
