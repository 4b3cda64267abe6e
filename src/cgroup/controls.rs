//! What cgroups-rs does for us, with its errors given an object: the freezer and the v1 cpuset.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cgroups_rs::FreezerState;
use cgroups_rs::fs::Controller;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::freezer::FreezerController;

use super::Version;
use super::wait;
use crate::failure::{Context, Failure, Kind, Result};

/// Freezes and thaws one directory and what is nested in it.
pub struct Freezer {
    controller: FreezerController,
    directory: PathBuf,
    version: Version,
}

impl Freezer {
    /// The freezer of `directory`: in v1's freezer hierarchy, or any of v2.
    pub fn new(directory: &Path, version: Version) -> Self {
        let v2 = version == Version::V2;
        Self {
            controller: FreezerController::new(directory.to_owned(), directory.to_owned(), v2),
            directory: directory.to_owned(),
            version,
        }
    }

    /// The kernel can freeze it (v2: Linux 5.2).
    pub fn exists(&self) -> bool {
        self.directory.join(self.file()).exists()
    }

    /// It is, or is about to be, frozen by a request to itself.
    pub fn is_frozen(&self) -> bool {
        self.exists() && !matches!(self.controller.state(), Ok(FreezerState::Thawed) | Err(_))
    }

    /// Freezes, until the value is dropped; [`Frozen::is_complete`] says whether every process
    /// stands still, for which this waits until `deadline`.
    pub fn freeze(&self, deadline: Instant) -> Result<Frozen<'_>> {
        self.controller
            .freeze()
            .or_fail(Kind::Host, || self.what("freeze"))?;
        let mut frozen = Frozen {
            freezer: self,
            complete: false,
        };
        let events = self.directory.join("cgroup.events");
        let events = (self.version == Version::V2).then_some(events.as_path());
        frozen.complete = wait::until(events, deadline, || self.stands_still());
        Ok(frozen)
    }

    /// Thaws it.
    pub fn thaw(&self) -> Result<()> {
        self.controller
            .thaw()
            .or_fail(Kind::Host, || self.what("thaw"))
    }

    /// v1 says FREEZING until all are frozen; v2 says so in `cgroup.events`.
    fn stands_still(&self) -> bool {
        match self.version {
            Version::V1 => matches!(self.controller.state(), Ok(FreezerState::Frozen)),
            Version::V2 => fs::read_to_string(self.directory.join("cgroup.events"))
                .is_ok_and(|events| events.lines().any(|line| line == "frozen 1")),
        }
    }

    fn file(&self) -> &'static str {
        match self.version {
            Version::V1 => "freezer.state",
            Version::V2 => "cgroup.freeze",
        }
    }

    fn what(&self, verb: &str) -> String {
        format!("cannot {verb} cgroup {}", self.directory.display())
    }
}

/// A frozen group; dropping it thaws.
pub struct Frozen<'a> {
    freezer: &'a Freezer,
    complete: bool,
}

impl Frozen<'_> {
    /// Every process stands still: none forks, none exits.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Fails when the group is gone, and then there is nothing to thaw.
        let _ = self.freezer.thaw();
    }
}

/// Gives the v1 cpuset group `directory`, and those above it that have none yet, the CPUs and memory
/// nodes of their parents: nothing can be attached below a group without them (cpusets.rst).
pub fn inherit_cpuset(directory: &Path) -> Result<()> {
    // `create` makes the directory if need be, then copies; what it cannot copy it only logs.
    let what = || {
        format!(
            "cannot give cgroup {} its CPUs and memory nodes",
            directory.display()
        )
    };
    let controller = CpuSetController::new(directory.to_owned(), PathBuf::new(), false);
    controller.create().or_fail(Kind::Host, what)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        match fs::read_to_string(directory.join(file)) {
            Ok(text) if text.trim().is_empty() => {
                return Err(
                    Failure::host(what()).because(format!("{file} is empty in its parent too"))
                );
            }
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::host(what()).because(why));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_new_v1_cpuset_gets_what_the_nearest_group_above_has() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        for (directory, value) in [("", "0-1\n"), ("a", "\n"), ("a/b", "\n")] {
            let directory = root.path().join(directory);
            fs::write(directory.join("cpuset.cpus"), value).unwrap();
            fs::write(directory.join("cpuset.mems"), value).unwrap();
        }
        inherit_cpuset(&inner).unwrap();
        for file in ["a/cpuset.cpus", "a/b/cpuset.cpus", "a/b/cpuset.mems"] {
            assert_eq!(fs::read_to_string(root.path().join(file)).unwrap(), "0-1");
        }
    }

    #[test]
    fn a_frozen_group_is_thawed_when_its_value_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("freezer.state");
        fs::write(&state, "THAWED").unwrap();
        let freezer = Freezer::new(directory.path(), Version::V1);
        let frozen = freezer.freeze(Instant::now()).unwrap();
        assert!(frozen.is_complete() && freezer.is_frozen());
        drop(frozen);
        assert_eq!(fs::read_to_string(&state).unwrap(), "THAWED");
        assert!(!freezer.is_frozen());
    }

    #[test]
    fn a_v2_group_stands_still_when_its_events_say_so() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cgroup.freeze"), "0").unwrap();
        fs::write(directory.path().join("cgroup.events"), "frozen 0\n").unwrap();
        let freezer = Freezer::new(directory.path(), Version::V2);
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(!freezer.freeze(soon).unwrap().is_complete());
        fs::write(
            directory.path().join("cgroup.events"),
            "populated 1\nfrozen 1\n",
        )
        .unwrap();
        assert!(freezer.freeze(soon).unwrap().is_complete());
    }
}
