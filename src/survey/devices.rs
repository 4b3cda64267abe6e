//! Device nodes of the host that a container is given.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::stat::{major, minor};
use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};
use serde::Serialize;

use crate::config::values::Device;
use crate::failure::{Context, Failure, Kind, Result};

/// A device node of the host.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceNode {
    /// Where it appears inside.
    pub target: String,
    /// Block device; otherwise character.
    pub block: bool,
    /// Device numbers.
    pub major: i64,
    /// Device numbers.
    pub minor: i64,
    /// Permission bits on the host.
    pub mode: u32,
    /// Owner on the host.
    pub uid: u32,
    /// Group on the host.
    pub gid: u32,
    /// Letters of the device cgroup.
    pub access: String,
}

impl DeviceNode {
    /// The rule of the device cgroup that allows it.
    pub fn rule(&self) -> LinuxDeviceCgroup {
        let mut rule = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(self.kind())
            .major(self.major)
            .minor(self.minor)
            .build()
            .unwrap_or_default();
        rule.set_access(Some(self.access.clone()));
        rule
    }

    /// The node as the OCI spec takes it.
    pub fn node(&self) -> LinuxDevice {
        let mut device = LinuxDeviceBuilder::default()
            .path(&self.target)
            .typ(self.kind())
            .major(self.major)
            .minor(self.minor)
            .build()
            .unwrap_or_default();
        device
            .set_file_mode(Some(self.mode))
            .set_uid(Some(self.uid))
            .set_gid(Some(self.gid));
        device
    }

    fn kind(&self) -> LinuxDeviceType {
        if self.block {
            LinuxDeviceType::B
        } else {
            LinuxDeviceType::C
        }
    }
}

/// The node, or every node of the directory, that `--device` names.
pub(super) fn requested(device: &Device) -> Result<Vec<DeviceNode>> {
    let what = || format!("cannot use device {}", device.host.display());
    let metadata = fs::metadata(&device.host).or_fail(Kind::Usage, what)?;
    if metadata.is_dir() {
        // docker adds every node below a directory.
        let nodes = all(&device.host).into_iter().map(|mut node| {
            let below = node
                .target
                .strip_prefix(&*device.host.to_string_lossy())
                .unwrap_or_default()
                .to_owned();
            node.target = format!("{}{below}", device.target);
            node.access.clone_from(&device.access);
            node
        });
        return Ok(nodes.collect());
    }
    node(&metadata, device.target.clone(), &device.access)
        .map(|node| vec![node])
        .ok_or_else(|| Failure::usage(what()).because("it is not a device node"))
}

fn node(metadata: &fs::Metadata, target: String, access: &str) -> Option<DeviceNode> {
    let kind = metadata.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return None;
    }
    Some(DeviceNode {
        target,
        block: kind.is_block_device(),
        major: i64::try_from(major(metadata.rdev())).ok()?,
        minor: i64::try_from(minor(metadata.rdev())).ok()?,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        access: access.to_owned(),
    })
}

/// Directories of `/dev` that the container has its own of.
const OWN: &[&str] = &["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

/// Every device node below `dir`, but for those a container has its own of.
pub(super) fn all(dir: &Path) -> Vec<DeviceNode> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && !OWN.iter().any(|own| name == *own) {
            nodes.extend(all(&entry.path()));
        }
        let (Some(target), Ok(metadata)) =
            (entry.path().to_str().map(str::to_owned), entry.metadata())
        else {
            continue;
        };
        // The console is the container's own terminal, when it has one.
        if name != "console" {
            nodes.extend(node(&metadata, target, "rwm"));
        }
    }
    nodes
}
