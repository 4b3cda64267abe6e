//! What is mounted, from the three spellings of it.

use std::collections::BTreeSet;

use super::super::layer::Merged;
use super::super::values::{Invalid, Mount, parse_mount, parse_tmpfs, parse_volume};
use super::{Surroundings, read};
use crate::failure::{Failure, Result};

/// All of them; the three share one set of targets, or one mount would hide another.
pub(super) fn mounts(merged: &Merged, around: &Surroundings) -> Result<Vec<Mount>> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut targets = BTreeSet::new();
    for (key, parse) in [
        (
            "volumes",
            parse_volume as fn(&str) -> Result<Mount, Invalid>,
        ),
        ("mounts", parse_mount),
        ("tmpfs", parse_tmpfs),
    ] {
        for item in merged.all(key) {
            let mut mount = parse(&item.text).map_err(|why| item.refuse(why))?;
            if let Some(fence) = around.fences.of(item) {
                mount = mount.behind(fence);
            }
            if !targets.insert(mount.target.clone()) {
                return Err(item.refuse(format!("two mounts have the target {}", mount.target)));
            }
            mounts.push(mount);
        }
    }
    if read::switch(merged, "mount_docker_socket")? {
        let socket = around.socket.to_string_lossy();
        let mount = parse_volume(&format!("{socket}:{socket}"))
            .map_err(|why| Failure::usage("cannot mount containerd's socket").because(why))?;
        mounts.retain(|other| other.target != mount.target);
        mounts.push(mount);
    }
    Ok(mounts)
}
