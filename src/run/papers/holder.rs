//! The process that holds the lock of papers: their run's owner.
//!
//! In: where the papers are. Out: its pid, and a handle on it. Who only has the lock file open, as everybody who
//! waits has, is never taken for it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::leash::pidfd;
use crate::run::state::LOCK;

/// A process, whatever becomes of its pid.
#[derive(Debug)]
#[allow(missing_docs, reason = "each name says what it is")]
pub struct Holder {
    pub pid: i32,
    pub handle: OwnedFd,
}

/// Who holds the lock of the papers in `dir`; none where it is free, or where its holder is in another PID
/// namespace.
pub fn holder(dir: &Path) -> Option<Holder> {
    let lock = dir.join(LOCK).canonicalize().ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.find_map(|pid: i32| {
        if !holds(pid, &lock) {
            return None;
        }
        let handle = pidfd::open(pid).ok()?;
        // Looked at again now that the pid cannot become another process's.
        holds(pid, &lock).then_some(Holder { pid, handle })
    })
}

/// proc_pid_fdinfo(5) shows the locks that were taken through a descriptor.
fn holds(pid: i32, lock: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let open = fs::read_dir(process.join("fd")).into_iter().flatten();
    open.flatten().any(|descriptor| {
        let is_lock = || fs::read_link(descriptor.path()).is_ok_and(|path| path == lock);
        let info = || fs::read_to_string(process.join("fdinfo").join(descriptor.file_name()));
        is_lock() && info().is_ok_and(|info| info.contains("FLOCK") && info.contains("WRITE"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    use nix::fcntl::{Flock, FlockArg};

    #[test]
    fn who_holds_the_lock_is_found_and_who_has_it_only_open_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(holder(dir.path()).is_none());
        let file = File::create(dir.path().join(LOCK)).unwrap();
        assert!(holder(dir.path()).is_none());
        let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
        let found = holder(dir.path()).unwrap();
        assert_eq!(found.pid, i32::try_from(std::process::id()).unwrap());
        drop(held);
        assert!(holder(dir.path()).is_none());
    }
}
