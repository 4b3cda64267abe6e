//! The payload's process: forked, given its session, descriptors and signals, and executed.
//!
//! In: what the owner hands in. Out: a child and a pipe that ends without a word when the command
//! is executed, or brings the reason why it is not.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::command::Command;
use crate::descriptors;
use crate::packet::Descriptors;
use crate::protocol::{FromInit, MAX_PACKET, Stage, Start, StartFailure};
use crate::signals;
use crate::sys::{Errno, check, check_descriptor};
use crate::terminal;

/// The child between fork and exec.
pub struct Child {
    /// Its pid.
    pub pid: libc::pid_t,
    report: OwnedFd,
}

impl Child {
    /// Forks the child; `terminal` is the slave of the one it shall have, if any. Init's copies
    /// of everything handed in are closed, so that the payload alone holds them.
    pub fn fork(
        start: &Start,
        received: Descriptors,
        terminal: Option<OwnedFd>,
        command: &Command,
    ) -> Result<Self, StartFailure> {
        if received.len() != start.targets().len() {
            return Err(Errno(libc::EBADMSG).during(Stage::Descriptors));
        }
        let (report, told) = pipe().map_err(|errno| errno.during(Stage::Fork))?;
        // SAFETY: there is one thread, so the child may do whatever its parent could.
        match check(unsafe { libc::fork() }).map_err(|errno| errno.during(Stage::Fork))? {
            0 => become_payload(
                told.as_raw_fd(),
                start,
                &received,
                terminal.as_ref(),
                command,
            ),
            pid => Ok(Self { pid, report }),
        }
    }

    /// Whether the command is executed, once the pipe can be read.
    pub fn result(&self) -> Result<(), StartFailure> {
        let mut bytes = [0; MAX_PACKET];
        // SAFETY: read(2) writes at most as many bytes as there are.
        let length = unsafe {
            libc::read(
                self.report.as_raw_fd(),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
            )
        };
        let told = usize::try_from(length).ok();
        match told
            .and_then(|length| bytes.get(..length))
            .map(FromInit::decode)
        {
            Some(Ok(FromInit::StartFailed(failure))) => Err(failure),
            _ => Ok(()),
        }
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }
}

/// Never returns: becomes the payload, or reports and exits. The exit code is seen by init only.
fn become_payload(
    mut report: RawFd,
    start: &Start,
    received: &Descriptors,
    terminal: Option<&OwnedFd>,
    command: &Command,
) -> ! {
    let failure = match prepare(&mut report, start, received, terminal) {
        Ok(()) => {
            signals::unblock_all();
            command.execute()
        }
        Err(failure) => failure,
    };
    let packet = FromInit::StartFailed(failure).encode();
    let bytes = packet.as_bytes();
    // SAFETY: write(2) reads as many bytes as there are; _exit(2) ends this process.
    unsafe {
        libc::write(report, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(1)
    }
}

fn prepare(
    report: &mut RawFd,
    start: &Start,
    received: &Descriptors,
    terminal: Option<&OwnedFd>,
) -> Result<(), StartFailure> {
    // A session of its own even without a terminal, so that a kill of its process group is its
    // own affair. SAFETY: setsid(2) takes nothing; a fresh child leads no group, so it succeeds.
    unsafe { libc::setsid() };
    if let Some(slave) = terminal {
        terminal::take_control(slave).map_err(|errno| errno.during(Stage::Terminal))?;
    }
    descriptors::arrange(report, terminal, received, start.targets())
        .map_err(|errno| errno.during(Stage::Descriptors))
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0; 2];
    // SAFETY: pipe2(2) fills both numbers with new descriptors.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        let [read, write] = ends;
        Ok((check_descriptor(read)?, check_descriptor(write)?))
    }
}
