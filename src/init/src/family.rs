//! All processes inside, and their end.
//!
//! As PID 1 of a pid namespace our exit is theirs: the kernel kills the namespace
//! (pid_namespaces(7)). In a pid namespace that is not ours, the host's for instance, we are a
//! subreaper: whoever loses its parent becomes our child. There only children are killed, and
//! never a pid that anybody but us could have reaped meanwhile, so never a stranger.

use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use crate::protocol::{Exit, SignalNumber, Status};
use crate::signals::{self, Signals};
use crate::sys::{self, Errno, check, check_descriptor};

/// How long children are killed and waited for: what is still there then cannot be killed by us
/// (setuid, or stuck in the kernel), and the owner's kill of the cgroup takes over.
const PATIENCE_SECONDS: libc::time_t = 5;

/// How long to wait for a child to die before looking for new ones.
const ROUND_MILLISECONDS: libc::c_int = 10;

/// How many are reaped before looking for new ones: they may come faster than they die.
const REAPED_AT_ONCE: usize = 64;

/// Our place among the processes.
pub enum Family {
    /// PID 1 of a pid namespace.
    Namespace,
    /// A subreaper, with the list of our children, where the kernel has it
    /// (proc_pid_children(5)).
    Subreaper(Option<OwnedFd>),
}

/// A child that ended.
pub struct Reaped {
    /// Its pid until now.
    pub pid: libc::pid_t,
    /// How it ended.
    pub exit: Exit,
}

impl Family {
    /// Makes sure that no process inside can escape us.
    pub fn take_over() -> Result<Self, Errno> {
        if sys::own_pid() == 1 {
            return Ok(Self::Namespace);
        }
        // SAFETY: PR_SET_CHILD_SUBREAPER takes numbers.
        check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
        Ok(Self::Subreaper(open_children()))
    }

    /// Kills everything inside, or leaves it to the kernel at our exit. `payload` is its pid
    /// unless it has been reaped.
    pub fn kill(&self, payload: Option<libc::pid_t>, signals: &Signals) {
        let Self::Subreaper(children) = self else {
            return;
        };
        if let Some(payload) = payload {
            // Its process group bears its number as long as it is not reaped. Between fork and
            // setsid there is no such group yet.
            let _ = signals::kill_group(payload);
            let _ = signals::send(payload, libc::SIGKILL);
        }
        let end = sys::seconds().saturating_add(PATIENCE_SECONDS);
        while sys::seconds() < end {
            if let Some(children) = children {
                for_each_child(children, |child| {
                    let _ = signals::send(child, libc::SIGKILL);
                });
            }
            for _ in 0..REAPED_AT_ONCE {
                match reap() {
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        signals.wait(ROUND_MILLISECONDS);
                        while signals.next().is_some() {}
                        break;
                    }
                    Err(_no_children) => return,
                }
            }
        }
    }
}

/// One child that has ended, if any; an error when there are no children at all.
pub fn reap() -> Result<Option<Reaped>, Errno> {
    let mut status = 0;
    // SAFETY: a rusage is plain numbers; wait4(2) fills both. __WALL: children of clone(2) too.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        let flags = libc::WNOHANG | libc::__WALL;
        (
            check(libc::wait4(-1, &mut status, flags, &mut usage))?,
            usage,
        )
    };
    Ok((pid != 0).then(|| Reaped {
        pid,
        exit: Exit {
            status: decode(status),
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
            // In KiB (getrusage(2)).
            max_rss: u64::try_from(usage.ru_maxrss)
                .unwrap_or(0)
                .saturating_mul(1024),
        },
    }))
}

/// The wait status as wait(2) packs it; without WUNTRACED it is an exit or a signal.
fn decode(status: libc::c_int) -> Status {
    match SignalNumber::try_from(libc::WTERMSIG(status)) {
        Ok(signal) if libc::WCOREDUMP(status) => Status::CoreDumped(signal),
        Ok(signal) => Status::Signal(signal),
        Err(_) => {
            let [code, ..] = libc::WEXITSTATUS(status).to_le_bytes();
            Status::Code(code)
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_micros(
        part(time.tv_sec)
            .saturating_mul(1_000_000)
            .saturating_add(part(time.tv_usec)),
    )
}

/// Our children's list, if /proc is there and counts pids as we do. It is kept open, so the
/// payload cannot put another in its place.
fn open_children() -> Option<OwnedFd> {
    let mut target = [0u8; 16];
    // SAFETY: C strings, and a buffer of the length given.
    let (length, children) = unsafe {
        let length = libc::readlink(
            c"/proc/self".as_ptr(),
            target.as_mut_ptr().cast(),
            target.len(),
        );
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let children = libc::open(c"/proc/thread-self/children".as_ptr(), flags);
        (length, check_descriptor(children))
    };
    let digits = target.get(..usize::try_from(length).ok()?)?;
    let pid = digits.iter().fold(0i64, |pid, &digit| {
        pid.saturating_mul(10)
            .saturating_add(i64::from(digit) - i64::from(b'0'))
    });
    children.ok().filter(|_| pid == i64::from(sys::own_pid()))
}

/// Reads the list of children: decimal pids, each followed by a space.
fn for_each_child(children: &OwnedFd, mut act: impl FnMut(libc::pid_t)) {
    // SAFETY: lseek(2) takes numbers.
    unsafe { libc::lseek(children.as_raw_fd(), 0, libc::SEEK_SET) };
    let mut pid: libc::pid_t = 0;
    let mut bytes = [0u8; 1024];
    loop {
        // SAFETY: read(2) writes at most as many bytes as there are.
        let length = unsafe {
            let room = ptr::from_mut(&mut bytes).cast();
            libc::read(children.as_raw_fd(), room, bytes.len())
        };
        let Some(read) = usize::try_from(length)
            .ok()
            .and_then(|length| bytes.get(..length))
        else {
            return;
        };
        if read.is_empty() {
            return;
        }
        for &byte in read {
            if byte.is_ascii_digit() {
                pid = pid.saturating_mul(10).saturating_add((byte - b'0').into());
                continue;
            }
            act(mem::take(&mut pid));
        }
    }
}
