//! Killing everything in a group, whatever it does meanwhile.
//!
//! v2 has a file for it since Linux 5.14, `cgroup.kill`, which no fork escapes; a hybrid host has it
//! too, since the runtime puts processes into the unified directory as well. Who is not there, or all
//! on v1, is frozen first, so that nothing forks between the look and the signal; where nothing can
//! be frozen, forking is forbidden by `pids.max`. All is repeated until nobody is left. Never
//! signalled: a pid that was not read from the group, nor ourselves.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};

use super::controls::{Freezer, Frozen};
use super::tree::{self, Inhabitants};
use super::{Group, Version, wait};
use crate::failure::{Context, Failure, Kind, Result};
use crate::leash::pidfd;

/// How long one round waits for all to stand still: a process in an uninterruptible call may take
/// longer, and is then signalled as it is.
const FREEZE_PATIENCE: Duration = Duration::from_millis(100);
/// How long one round waits for those that were signalled: after that somebody slipped in.
const ROUND: Duration = Duration::from_millis(250);
/// How many process handles are open at once: well below the usual limit of 1024 descriptors.
const HANDLES: usize = 256;

impl Group {
    /// Kills every process in the group and in those nested in it. Returns those that still live
    /// after `limit`: processes that hang in the kernel.
    pub fn kill(&self, limit: Duration) -> Result<Vec<i32>> {
        let deadline = Instant::now() + limit;
        loop {
            let found = self.inhabitants()?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            self.refuse_our_own(&found)?;
            self.round(deadline)?;
            let soon = deadline.min(Instant::now() + ROUND);
            let events = self.events();
            if wait::until(events.as_deref(), soon, || self.is_empty()) {
                return Ok(Vec::new());
            }
            if Instant::now() >= deadline {
                return self.survivors();
            }
        }
    }

    /// One attempt at everybody who is there.
    fn round(&self, deadline: Instant) -> Result<()> {
        if self.kill_unified(deadline) && !self.anybody_outside()? {
            return Ok(());
        }
        let patience = deadline.min(Instant::now() + FREEZE_PATIENCE);
        let freezer = self.freezer();
        // A group that cannot be frozen is no reason to let it live.
        let frozen = freezer.as_ref().and_then(|f| f.freeze(patience).ok());
        if !frozen.as_ref().is_some_and(Frozen::is_complete) {
            self.forbid_forks();
        }
        self.signal_everybody()?;
        drop(frozen);
        self.thaw();
        Ok(())
    }

    /// SIGKILL to everybody who is listed. A handle is opened for each pid, and only then it is looked
    /// at again: one that was reused meanwhile by a process outside is not listed any more.
    fn signal_everybody(&self) -> Result<()> {
        let listed: Vec<_> = self.inhabitants()?.pids.into_iter().collect();
        for some in listed.chunks(HANDLES) {
            let handles: Vec<_> = some.iter().map(|pid| (pid, pidfd::open(*pid))).collect();
            let still = self.inhabitants()?.pids;
            for (pid, handle) in handles {
                if still.contains(pid) {
                    signal(*pid, handle)?;
                }
            }
        }
        Ok(())
    }

    /// Writes `cgroup.kill` and waits for those it reaches; `false` when there is no such file, or it
    /// is refused (a threaded group).
    fn kill_unified(&self, deadline: Instant) -> bool {
        let Some(directory) = self.v2() else {
            return false;
        };
        let file = OpenOptions::new()
            .write(true)
            .open(directory.join("cgroup.kill"));
        if file.and_then(|mut file| file.write_all(b"1")).is_err() {
            return false;
        }
        self.thaw();
        let soon = deadline.min(Instant::now() + ROUND);
        let events = directory.join("cgroup.events");
        wait::until(Some(&events), soon, || is_empty(&directory));
        true
    }

    /// Somebody is in v1 directories only, where `cgroup.kill` does not reach.
    fn anybody_outside(&self) -> Result<bool> {
        let mut reached = Inhabitants::default();
        if let Some(directory) = self.v2() {
            tree::inhabitants(&directory, &mut reached)
                .or_fail(Kind::Host, || self.unreadable())?;
        }
        Ok(!self.inhabitants()?.pids.is_subset(&reached.pids))
    }

    /// Which freezer holds everybody: v1's where there is one.
    pub(super) fn freezer(&self) -> Option<Freezer> {
        let v1 = self.v1("freezer").map(|d| Freezer::new(&d, Version::V1));
        let v2 = || self.v2().map(|d| Freezer::new(&d, Version::V2));
        v1.or_else(v2).filter(Freezer::exists)
    }

    /// What v1 has frozen does not die of a signal before it is thawed; the payload, or whoever paused
    /// it, may have frozen nested groups too.
    fn thaw(&self) {
        let Some(top) = self.v1("freezer") else {
            return;
        };
        for directory in tree::directories(&top).unwrap_or_default() {
            let freezer = Freezer::new(&directory, Version::V1);
            if freezer.is_frozen() {
                // Fails when the group has gone meanwhile.
                let _ = freezer.thaw();
            }
        }
    }

    /// The second best to standing still; the limit ends with the group.
    fn forbid_forks(&self) {
        for directory in [self.v1("pids"), self.v2()].into_iter().flatten() {
            let file = OpenOptions::new()
                .write(true)
                .open(directory.join("pids.max"));
            // Without that controller the rounds have to be faster than the forks.
            let _ = file.and_then(|mut file| file.write_all(b"0"));
        }
    }

    fn refuse_our_own(&self, found: &Inhabitants) -> Result<()> {
        if !found.pids.contains(&getpid().as_raw_pid()) {
            return Ok(());
        }
        Err(
            Failure::host(format!("cannot kill cgroup {}", self.shown()))
                .because("airtight itself is in it"),
        )
    }

    fn survivors(&self) -> Result<Vec<i32>> {
        let found = self.inhabitants()?;
        if found.pids.is_empty() && found.hidden {
            return Err(
                Failure::host(format!("cannot kill cgroup {}", self.shown()))
                    .because("processes from outside our pid namespace are in it"),
            );
        }
        Ok(found.pids.into_iter().collect())
    }
}

fn is_empty(directory: &Path) -> bool {
    let mut found = Inhabitants::default();
    tree::inhabitants(directory, &mut found).is_ok() && found.is_empty()
}

/// SIGKILL; who is gone already is no error. A kernel before 5.3, or a table of descriptors that is
/// full, leaves us the pid alone.
fn signal(pid: i32, handle: io::Result<OwnedFd>) -> Result<()> {
    let sent = match (handle, Pid::from_raw(pid)) {
        (Ok(handle), _) => pidfd::signal(handle, nix::libc::SIGKILL),
        (Err(_), Some(pid)) => match kill_process(pid, Signal::KILL) {
            Err(Errno::SRCH) => Ok(()),
            sent => sent.map_err(io::Error::from),
        },
        (Err(_), None) => Ok(()),
    };
    sent.or_fail(Kind::Host, || format!("cannot kill process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, Payload, Real};
    use super::*;
    use std::fs;

    /// Long enough for a loaded machine; a test that needs it all has failed.
    const LIMIT: Duration = Duration::from_secs(30);
    /// Forks as fast as it can; each child does the same for a while.
    const BOMB: &str = "while :; do (while :; do sleep 0 & done) & done 2>/dev/null";

    /// Only those directories of `group` that v1 has.
    fn without_v2(place: &Real, name: &str) -> Option<Group> {
        let group = place.create(name);
        if group.v1("freezer").is_none() {
            eprintln!("needs a host with cgroup v1 or hybrid");
            return None;
        }
        Some(group.v1_only())
    }

    fn limit_pids(group: &Group) {
        for directory in [group.v1("pids"), group.v2()].into_iter().flatten() {
            let _ = fs::write(directory.join("pids.max"), "60");
        }
    }

    fn assert_killed(group: &Group) {
        assert_eq!(group.kill(LIMIT).unwrap(), [0; 0]);
        assert!(group.is_empty());
    }

    #[test]
    fn an_empty_group_is_killed_at_once() {
        assert_killed(&Fixture::legacy().group("docker", "a"));
    }

    #[test]
    fn a_fork_bomb_is_killed() {
        let place = Real::new();
        let group = place.create("bomb");
        limit_pids(&group);
        let mut payload = Payload::start(&group, BOMB);
        assert_killed(&group);
        assert!(!payload.0.wait().unwrap().success());
        group.remove(&place.parents()).unwrap();
    }

    #[test]
    fn a_fork_bomb_is_killed_with_v1_alone() {
        let place = Real::new();
        let Some(group) = without_v2(&place, "bomb") else {
            return;
        };
        limit_pids(&group);
        let _payload = Payload::start(&group, BOMB);
        assert_killed(&group);
    }

    #[test]
    fn a_frozen_process_is_killed() {
        let place = Real::new();
        let group = place.create("frozen");
        let _payload = Payload::start(&group, "sleep 1000");
        let freezer = group.freezer().unwrap();
        let frozen = freezer.freeze(Instant::now() + LIMIT).unwrap();
        assert!(frozen.is_complete());
        assert_killed(&group);
    }

    #[test]
    fn a_process_in_a_nested_group_is_killed() {
        let place = Real::new();
        let group = place.create("outer");
        let nested = place.nested(&group, "inner");
        let _payload = Payload::start(&nested, "sleep 1000");
        assert!(!group.is_empty());
        assert_killed(&group);
        group.remove(&place.parents()).unwrap();
        assert_eq!(place.left(), Vec::<std::path::PathBuf>::new());
    }

    #[test]
    fn a_process_that_is_in_v1_directories_only_is_killed_too() {
        let place = Real::new();
        let Some(group) = without_v2(&place, "stray") else {
            return;
        };
        let _payload = Payload::start(&group, "sleep 1000");
        assert_killed(&Group::at(
            &place.hierarchies,
            &super::super::fixture::path(&place.subpath),
            &super::super::fixture::id("stray"),
        ));
    }

    #[test]
    fn a_group_that_we_are_in_is_not_killed() {
        let fixture = Fixture::legacy();
        let group = fixture.group("docker", "a");
        let procs = format!("{}\n", std::process::id());
        fs::write(group.v1("memory").unwrap().join("cgroup.procs"), procs).unwrap();
        let why = group.kill(LIMIT).unwrap_err();
        assert!(why.to_string().contains("airtight itself"), "{why}");
    }

    #[test]
    fn processes_that_have_no_pid_here_are_reported() {
        let fixture = Fixture::legacy();
        let group = fixture.group("docker", "a");
        fs::write(group.v1("memory").unwrap().join("cgroup.procs"), "0\n").unwrap();
        assert!(group.kill(Duration::ZERO).is_err());
    }
}
