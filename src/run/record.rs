//! What one run is about to make, written before any of it exists.
//!
//! Cleanup needs nothing else: each thing named here is removed if it exists. So one record, written
//! once, serves a normal end, a failure half-way, and a later reap.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::Subpath;
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
    /// Where the snapshot is.
    pub snapshotter: String,
    /// Where the cgroup is.
    pub cgroup_mount_path: PathBuf,
    /// Where the cgroup is.
    pub cgroup_subpath: Subpath,
    /// The directory of anonymous volumes, when there are any.
    pub volumes: Option<PathBuf>,
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
            snapshotter: "overlayfs".into(),
            cgroup_mount_path: "/sys/fs/cgroup".into(),
            cgroup_subpath: "docker".parse().unwrap(),
            volumes: None,
        }
    }
}
