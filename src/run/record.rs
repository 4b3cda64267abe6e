//! What one run is about to make, written before any of it exists.
//!
//! Cleanup needs nothing else: each thing named here is removed if it exists. So one record, written
//! once, serves a normal end, a failure half-way, and a later reap. Its text is also on each thing that
//! outlives the run directory ([`LABEL`], the cgroup's mark, [`VOLUMES_FILE`]): it says whose the thing is,
//! and it is all that is needed where the run directory is gone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Group, Subpath};
use crate::config::values::OwnerDeath;
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::owner::{Life, Owner};

/// The label of our containers and snapshots: the record. containerd takes 4096 bytes with the name
/// (containerd, `labels/validate.go`).
pub const LABEL: &str = "airtight.record";
/// The same beside anonymous volumes.
pub const VOLUMES_FILE: &str = "record.json";

/// The names of everything that belongs to one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Container, task and snapshot are called so.
    pub id: ContainerId,
    /// No other run has it, though it be called the same.
    pub token: String,
    /// Whose lock is on the run directory.
    pub owner: Owner,
    /// The state directory: only who uses the same one undoes the run.
    pub state: PathBuf,
    /// containerd's socket.
    pub address: String,
    /// containerd's namespace.
    pub namespace: String,
    /// The image's name; a record of an older airtight has none.
    #[serde(default)]
    pub image: String,
    /// Its manifest's digest.
    #[serde(default)]
    pub image_digest: String,
    /// Where the snapshot is.
    pub snapshotter: String,
    /// Where the cgroup is.
    pub cgroup_mount_path: PathBuf,
    /// Where the cgroup is.
    pub cgroup_subpath: Subpath,
    /// What is to become of the payload when the owner is dead.
    #[serde(default)]
    pub on_owner_death: OwnerDeath,
    /// With which signal a stop begins; 0 in a record of an older airtight.
    #[serde(default)]
    pub stop_signal: i32,
    /// How long a stop may take until everything inside is killed.
    #[serde(default)]
    pub stop_timeout: Duration,
    /// The directory of anonymous volumes, when there are any.
    pub volumes: Option<PathBuf>,
}

impl Record {
    /// Its cgroup, if it is there.
    pub fn group(&self) -> Result<Option<Group>> {
        Group::find(&self.cgroup_mount_path, &self.cgroup_subpath, &self.id)
    }

    /// Its cgroup, which must be there.
    pub fn present_group(&self) -> Result<Group> {
        self.group()?.ok_or_else(|| {
            Failure::host(format!("run {} has no cgroup {}", self.id, self.cgroup()))
        })
    }

    /// Where its cgroup is below each controller's mount.
    pub fn cgroup(&self) -> String {
        let path = self.cgroup_subpath.cgroups_path(&self.id);
        path.to_string_lossy().into_owned()
    }

    /// The same, of a run that nobody picks up any more.
    pub fn to_be_undone(&self) -> Self {
        Self {
            on_owner_death: OwnerDeath::Kill,
            ..self.clone()
        }
    }

    /// Whether what is there is not to be undone, although its owner is dead: another run picks it up. After a
    /// reboot nothing of it is alive.
    pub fn is_kept(&self) -> bool {
        self.on_owner_death == OwnerDeath::Keep && !self.owner.is_of_another_boot()
    }

    /// The record as a label or mark has it.
    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self).or_fail(Kind::Host, || "cannot write the record")
    }

    /// The record that somebody's label or mark holds; `None` for what is no record of ours.
    pub fn from_text(text: impl AsRef<[u8]>) -> Option<Self> {
        serde_json::from_slice(text.as_ref()).ok()
    }

    /// The record of what has these labels.
    pub fn from_labels(labels: &HashMap<String, String>) -> Option<Self> {
        labels.get(LABEL).and_then(Self::from_text)
    }

    /// Whether a label or mark says that its thing is this very run's.
    pub fn is_on(&self, text: impl AsRef<[u8]>) -> bool {
        Self::from_text(text).is_some_and(|found| self.is_same_run(&found))
    }

    /// Whether `other` is of the same run.
    pub fn is_same_run(&self, other: &Self) -> bool {
        self.token == other.token
    }

    /// Whether it is of a run that `state` had and whose owner is dead for certain: then nobody but us
    /// may undo it.
    pub fn is_left_over(&self, state: &Path) -> bool {
        // What bears the record of a run that is kept names its first owner, whoever has picked it up since.
        let may_have_an_heir = || {
            let group = self.group().ok().flatten();
            self.is_kept() && group.is_some_and(|group| !group.is_empty())
        };
        self.state == state && self.owner.life() == Life::Dead && !may_have_an_heir()
    }
}

#[cfg(test)]
impl Record {
    /// A record for tests of this crate.
    pub fn fixture(id: &str) -> Self {
        Self {
            id: id.parse().unwrap(),
            token: "t".into(),
            owner: Owner::this_process().unwrap(),
            state: "/nowhere/state".into(),
            address: "/nowhere/containerd.sock".into(),
            namespace: "test".into(),
            image: "i".into(),
            image_digest: "d".into(),
            snapshotter: "overlayfs".into(),
            cgroup_mount_path: "/sys/fs/cgroup".into(),
            cgroup_subpath: "docker".parse().unwrap(),
            on_owner_death: OwnerDeath::Kill,
            stop_signal: 15,
            stop_timeout: Duration::ZERO,
            volumes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_whose_a_thing_is() {
        let record = Record::fixture("a");
        let text = record.text().unwrap();
        let labels = HashMap::from([(LABEL.to_owned(), text.clone())]);
        assert_eq!(Record::from_labels(&labels), Some(record.clone()));
        assert!(record.is_on(&text));
        let later = Record {
            token: "u".into(),
            ..record
        };
        assert!(!later.is_on(&text) && !later.is_on("{}") && !later.is_on(""));
    }

    #[test]
    fn what_is_left_over_has_our_state_directory_and_a_dead_owner() {
        let state = Path::new("/nowhere/state");
        let alive = Record::fixture("a");
        let dead = Record {
            owner: Owner::dead(),
            ..alive.clone()
        };
        assert!(dead.is_left_over(state));
        assert!(!dead.is_left_over(Path::new("/nowhere/else")));
        assert!(!alive.is_left_over(state));
    }
}
