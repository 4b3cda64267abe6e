//! A handle on the container's first process, and on everything in its cgroup.
//!
//! Neither needs containerd or the shim: the handle is a pidfd, the tree is the cgroup's.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use crate::cgroup::Group;
use crate::leash::pidfd;
use crate::leash::watch::watch;

/// From SIGKILL to a process that is gone; one that takes longer hangs in the kernel.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The first process of a container.
#[derive(Debug)]
pub struct FirstProcess {
    handle: Option<AsyncFd<OwnedFd>>,
    group: Group,
}

impl FirstProcess {
    /// Takes hold of process `pid`, which must not have been waited for yet: the shim reaps it only
    /// after it was started.
    pub fn hold(pid: u32, group: Group) -> Self {
        let pid = i32::try_from(pid).ok();
        let handle = pid.and_then(|pid| pidfd::open(pid).ok());
        // Looked at now that the pid cannot become another process's: it may have become one before.
        let listed = group.pids().unwrap_or_default();
        let handle = handle.filter(|_| pid.is_some_and(|pid| listed.contains(&pid)));
        let handle = handle.and_then(|handle| watch(handle).ok());
        Self { handle, group }
    }

    /// Whether it was there.
    pub fn is_held(&self) -> bool {
        self.handle.is_some()
    }

    /// Resolves when it has ended, whether or not anybody has waited for it (pidfd_open(2), poll).
    pub async fn ended(&self) {
        if let Some(handle) = &self.handle
            && handle.readable().await.is_ok()
        {
            return;
        }
        // Without a handle only the shim knows.
        std::future::pending().await
    }

    /// Without a hold of that process: only the others of its cgroup can be reached.
    pub fn of(group: Group) -> Self {
        Self {
            handle: None,
            group,
        }
    }

    /// Sends it a signal. One that is gone already is none to worry about.
    pub fn signal(&self, number: i32) {
        if let Some(handle) = &self.handle {
            // What cannot be signalled is left to the kill of the whole tree.
            let _ = pidfd::signal(handle.get_ref(), number);
        }
    }

    /// SIGKILL; where it is PID 1 of its namespace, everything inside dies with it.
    pub fn kill(&self) {
        self.signal(nix::libc::SIGKILL);
    }

    /// Kills everything in the cgroup.
    pub async fn kill_tree(&self) {
        let group = self.group.clone();
        // What survives is found again, and reported, by cleanup.
        let _ = tokio::task::spawn_blocking(move || group.kill(KILL_LIMIT)).await;
    }

    /// Sends a signal to the process that is called `pid` inside.
    pub fn signal_inside(&self, pid: i32, number: i32) {
        let candidates = self.group.pids().unwrap_or_default();
        let called_so = |candidate: &i32| innermost_pid(*candidate) == Some(pid);
        for found in candidates.into_iter().filter(called_so) {
            // The handle is taken, and only then the name checked: the pid may have been reused.
            if let Ok(handle) = pidfd::open(found)
                && innermost_pid(found) == Some(pid)
            {
                let _ = pidfd::signal(&handle, number);
            }
        }
    }
}

/// The pid of `pid` in its own namespace (proc_pid_status(5), NSpid).
fn innermost_pid(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::innermost_pid;

    #[test]
    fn a_process_of_our_own_namespace_is_called_as_we_call_it() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(innermost_pid(own).is_some());
        assert_eq!(innermost_pid(i32::MAX), None);
    }
}
