//! What one run is about to make, written before any of it exists.
//!
//! Cleanup needs nothing else: each thing named here is removed if it exists. So one record, written
//! once, serves a normal end, a failure half-way, and a later reap.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Group, Subpath};
use crate::config::values::OwnerDeath;
use crate::failure::{Failure, Result};
use crate::id::ContainerId;

/// The names of everything that belongs to one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Container, task and snapshot are called so.
    pub id: ContainerId,
    /// The kernel's boot id: with another one, no process of the run can be alive.
    pub boot_id: String,
    /// For people; the lock says whether it lives.
    pub owner: u32,
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

    /// Whether what is there is not to be undone, although its owner is dead: another run picks it up. After a
    /// reboot nothing of it is alive.
    pub fn is_kept(&self, boot_id: &str) -> bool {
        self.on_owner_death == OwnerDeath::Keep && self.boot_id == boot_id
    }
}

#[cfg(test)]
impl Record {
    /// A record for tests of this room.
    pub(super) fn fixture(id: &str) -> Self {
        Self {
            id: id.parse().unwrap(),
            boot_id: "b".into(),
            owner: 1,
            address: "/nowhere/containerd.sock".into(),
            namespace: "test".into(),
            image: "i".into(),
            image_digest: "d".into(),
            snapshotter: "overlayfs".into(),
            cgroup_mount_path: "/sys/fs/cgroup".into(),
            cgroup_subpath: "docker".parse().unwrap(),
            on_owner_death: OwnerDeath::Kill,
            volumes: None,
        }
    }
}
