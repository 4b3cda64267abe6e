//! Signals: all blocked and read from a descriptor here, all at their defaults in the payload.
//!
//! The masks and dispositions are set by raw system calls, because the C library leaves out the
//! two signals it keeps for itself (nptl(7)), and the payload shall inherit neither of them
//! blocked or ignored.

use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use crate::sys::{Errno, check, check_descriptor};

/// The kernel's signal set: one bit for each of 64 signals.
type Set = u64;

/// The kernel's `struct sigaction`, at least as large as on any architecture, zeroed: SIG_DFL.
static DEFAULT: [u64; 4] = [0; 4];

/// The signals sent to us, as they come.
pub struct Signals(OwnedFd);

/// One of them.
pub enum Arrived {
    /// A child changed its state, or several did.
    Child,
    /// Some other signal, by number.
    Other(i32),
}

impl Signals {
    /// Everything that is blocked, from now on to be read.
    pub fn open() -> Result<Self, Errno> {
        // SAFETY: a sigset_t is plain bits; all set means all signals.
        unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            ptr::from_mut(&mut all).write_bytes(0xff, 1);
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            check_descriptor(libc::signalfd(-1, &all, flags)).map(Self)
        }
    }

    /// The next signal, if one is there.
    pub fn next(&self) -> Option<Arrived> {
        // SAFETY: signalfd(2) writes whole structures, for which there is room for one.
        let signal = unsafe {
            let mut info: libc::signalfd_siginfo = mem::zeroed();
            let size = mem::size_of_val(&info);
            let length = libc::read(self.0.as_raw_fd(), ptr::from_mut(&mut info).cast(), size);
            if usize::try_from(length) != Ok(size) {
                return None;
            }
            info.ssi_signo
        };
        match i32::try_from(signal) {
            Ok(libc::SIGCHLD) => Some(Arrived::Child),
            Ok(other) => Some(Arrived::Other(other)),
            Err(_) => None,
        }
    }

    /// Waits for a signal, for `milliseconds` at most.
    pub fn wait(&self, milliseconds: libc::c_int) {
        let mut one = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd, as said.
        unsafe { libc::poll(&mut one, 1, milliseconds) };
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Blocks every signal that can be blocked, and makes each what it is by default, whatever we
/// inherited: were SIGCHLD ignored, nobody would hear of the payload's end (wait(2)).
pub fn take_over() {
    set_mask(Set::MAX);
    for signal in 1..=64 {
        // SAFETY: the kernel reads a struct sigaction, for which DEFAULT is large enough. It
        // refuses SIGKILL and SIGSTOP, which are always at their default.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                ptr::null::<u64>(),
                mem::size_of::<Set>(),
            )
        };
    }
}

/// In the child: lets every signal through again.
pub fn unblock_all() {
    set_mask(0);
}

fn set_mask(mask: Set) {
    // SAFETY: the kernel reads one set of the size given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            ptr::null::<Set>(),
            mem::size_of::<Set>(),
        )
    };
}

/// Sends a signal to one process.
pub fn send(pid: libc::pid_t, signal: i32) -> Result<(), Errno> {
    one(pid).and_then(|pid| kill(pid, signal))
}

/// Kills the process group that `leader` leads.
pub fn kill_group(leader: libc::pid_t) -> Result<(), Errno> {
    one(leader).and_then(|leader| kill(-leader, libc::SIGKILL))
}

/// Only a number that names one process, and not PID 1: 0 and -1 would reach our own group, or
/// everybody (kill(2)), and in the host's pid namespace that is not ours to kill.
fn one(pid: libc::pid_t) -> Result<libc::pid_t, Errno> {
    match pid {
        2.. => Ok(pid),
        _ => Err(Errno(libc::ESRCH)),
    }
}

fn kill(pid: libc::pid_t, signal: i32) -> Result<(), Errno> {
    // SAFETY: kill(2) takes numbers.
    check(unsafe { libc::kill(pid, signal) }).map(|_| ())
}
