//! Pids inside a container that no other container is likely to have.
//!
//! In: the container's first process. Out: the next process in its pid namespace gets a random pid. Pids
//! of containers are small and alike, and programs that know each other by host name and pid, such as
//! two tasks of Airflow on one worker, would take one for the other.
//!
//! The kernel lets only a member of the namespace write `ns_last_pid`, and only one with a capability
//! that no container has (proc_sys_kernel(5), CONFIG_CHECKPOINT_RESTORE). So a child of ours joins it for
//! this one write.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// Those below are kept for the first start of a system: a wrapped counter begins here (RESERVED_PIDS
/// in the kernel's kernel/pid.c).
const LOWEST: u64 = 300;

/// Lets the pids in the namespace of process `init` go on from a random one.
pub fn randomise(init: u32) -> io::Result<()> {
    let namespace = File::open(format!("/proc/{init}/ns/pid"))?;
    let last = random_below(highest()?).to_string();
    // The namespace of a thread's children is the thread's own affair, and ends with it.
    let writer = thread::Builder::new().spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWPID)?;
        write_inside(last.as_bytes())
    })?;
    let written = writer.join().unwrap_or(Err(Errno::ECHILD));
    Ok(written?)
}

fn highest() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/sys/kernel/pid_max")?;
    text.trim().parse().map_err(io::Error::other)
}

/// Std's hash maps have the randomness that is needed here.
fn random_below(highest: u64) -> u64 {
    let random = RandomState::new().build_hasher().finish();
    LOWEST + random % highest.saturating_sub(LOWEST).max(1)
}

fn write_inside(last: &[u8]) -> Result<(), Errno> {
    // SAFETY: until it exits, the child makes system calls only: no memory is allocated, no lock taken.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let errno = write(last).err().map_or(0, |errno| errno as i32);
            // SAFETY: _exit(2) ends this process, and runs nothing of ours.
            unsafe { libc::_exit(errno) }
        }
        ForkResult::Parent { child } => ended(child),
    }
}

fn write(last: &[u8]) -> Result<(), Errno> {
    // SAFETY: open(2) reads a C string, write(2) as many bytes as there are. Exit closes.
    unsafe {
        let file = Errno::result(libc::open(
            c"/proc/sys/kernel/ns_last_pid".as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC,
        ))?;
        Errno::result(libc::write(file, last.as_ptr().cast(), last.len()))?;
    }
    Ok(())
}

fn ended(child: Pid) -> Result<(), Errno> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(WaitStatus::Exited(_, errno)) => return Err(Errno::from_raw(errno)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            // Killed: the container's end was faster.
            Ok(_) => return Err(Errno::ESRCH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_pid_is_one_that_the_kernel_takes() {
        for highest in [301, 32_768, 4 << 20] {
            let number = random_below(highest);
            assert!((LOWEST..highest).contains(&number), "{number}");
        }
    }
}
