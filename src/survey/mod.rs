//! What the plan needs to know of this host for the settings at hand: reads only, changes nothing.
//!
//! The plan itself does no I/O, so everything it decides upon is looked up here first.

mod limits;

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use oci_spec::runtime::{
    Capabilities, LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder,
    LinuxDeviceType, PosixRlimitType,
};
use serde::Serialize;

use crate::config::Settings;
use crate::config::values::{Device, MountSource, NetworkMode, Seccomp};
use crate::failure::{Context, Failure, Kind, Result};
use crate::host::Facts;
use crate::spec::base::thermal_throttle_paths;
use crate::spec::capabilities;
use crate::spec::seccomp::Profile;

/// The findings.
#[derive(Debug)]
pub struct Survey {
    /// What does not depend on the settings.
    pub facts: Facts,
    /// CPUs that can be used, numbered from 0.
    pub online_cpus: u32,
    /// What each host path of a bind mount is.
    pub sources: BTreeMap<PathBuf, Source>,
    /// Devices asked for; all of them when privileged.
    pub devices: Vec<DeviceNode>,
    /// The host's `/etc/hosts`; read only where the container shares the network.
    pub hosts: String,
    /// The host's `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// What docker hides of each processor beside the fixed paths.
    pub thermal_throttle: Vec<PathBuf>,
    /// The capabilities that can be given: our own.
    pub capabilities: Capabilities,
    /// The highest hard limits that can be set; nothing where any can.
    pub highest_rlimits: Vec<(PosixRlimitType, u64)>,
    /// The profile that the settings name.
    pub seccomp: Profile,
    /// Our own descriptors 0, 1, 2 and those to be passed.
    pub descriptors: BTreeMap<i32, Descriptor>,
}

/// The source of a bind mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Something is there.
    Present,
    /// Nothing is there.
    Missing,
    /// It cannot be looked at.
    Unusable(&'static str),
}

/// What kind of file a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// A pipe, a socket, `/dev/null` and the like: handed over as it is.
    Passable,
    /// A regular file: handed over only on request, for its reader could reopen it for writing.
    File,
    /// A terminal: never handed over, for its reader could type into it.
    Terminal,
    /// Never handed over.
    Refused(&'static str),
}

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

impl Survey {
    /// Looks at this host.
    pub fn take(settings: &Settings) -> Result<Self> {
        let facts = Facts::read(Path::new("/"), Path::new(&settings.cgroup_mount_path))?;
        let mut devices = if settings.privileged {
            all_devices(Path::new("/dev"))
        } else {
            Vec::new()
        };
        for device in &settings.devices {
            devices.extend(requested(device)?);
        }
        let status = fs::read_to_string("/proc/self/status");
        let capabilities = status.map_or_else(|_| Capabilities::new(), |text| effective(&text));
        let shares_network = settings.network_mode == NetworkMode::Host;
        let numbers = [0, 1, 2].iter().chain(&settings.pass_fds);
        Ok(Self {
            facts,
            online_cpus: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            sources: settings
                .mounts
                .iter()
                .filter_map(|mount| match &mount.source {
                    MountSource::Bind { host, .. } => Some((host.clone(), look_at(host))),
                    MountSource::Anonymous | MountSource::Tmpfs => None,
                })
                .collect(),
            devices,
            hosts: if shares_network {
                etc("/etc/hosts")
            } else {
                String::new()
            },
            resolv_conf: etc("/etc/resolv.conf"),
            highest_rlimits: limits::highest(&capabilities),
            capabilities,
            thermal_throttle: thermal_throttle_paths(Path::new("/sys")),
            seccomp: match &settings.security.seccomp {
                Seccomp::File(path) => Profile::read(path)?,
                Seccomp::Default | Seccomp::Unconfined => Profile::builtin(),
            },
            descriptors: numbers
                .filter_map(|fd| Some((*fd, descriptor(*fd)?)))
                .collect(),
        })
    }

    /// What our own descriptor `fd` is; `None` when it is not open.
    pub fn descriptor(&self, fd: i32) -> Option<Descriptor> {
        self.descriptors.get(&fd).copied()
    }
}

/// The effective set in a `status` file (proc(5)).
fn effective(status: &str) -> Capabilities {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    capabilities::of_mask(mask.unwrap_or_default())
}

fn look_at(host: &Path) -> Source {
    match fs::metadata(host) {
        Ok(_) => Source::Present,
        // A dangling link cannot be made into a directory.
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => match host.symlink_metadata() {
            Ok(_) => Source::Unusable("it is a symbolic link to nothing"),
            Err(_) => Source::Missing,
        },
        Err(why) if why.kind() == std::io::ErrorKind::NotADirectory => {
            Source::Unusable("a part of it is not a directory")
        }
        Err(_) => Source::Unusable("it cannot be looked at"),
    }
}

/// A host without the file has an empty one.
fn etc(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What descriptor `fd` of this process is.
fn descriptor(fd: i32) -> Option<Descriptor> {
    let metadata = fs::metadata(format!("/proc/self/fd/{fd}")).ok()?;
    let kind = metadata.file_type();
    let device = (major(metadata.rdev()), minor(metadata.rdev()));
    Some(if kind.is_file() {
        Descriptor::File
    } else if kind.is_dir() {
        Descriptor::Refused("it is a directory")
    } else if kind.is_block_device() {
        Descriptor::Refused("it is a block device")
    } else if is_terminal(fd, device) {
        Descriptor::Terminal
    } else if kind.is_char_device() && !MEMORY_DEVICES.contains(&device) {
        Descriptor::Refused("it is a device")
    } else {
        Descriptor::Passable
    })
}

/// null, zero, full, random and urandom (kernel, admin-guide/devices).
const MEMORY_DEVICES: [(u64, u64); 5] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)];

fn is_terminal(fd: i32, (major, _): (u64, u64)) -> bool {
    match fd {
        0 => std::io::stdin().is_terminal(),
        1 => std::io::stdout().is_terminal(),
        2 => std::io::stderr().is_terminal(),
        // Virtual consoles, /dev/tty and the console, pseudo-terminals (kernel, admin-guide/devices).
        _ => matches!(major, 4 | 5 | 136..=143),
    }
}

fn requested(device: &Device) -> Result<Vec<DeviceNode>> {
    let what = || format!("cannot use device {}", device.host.display());
    let metadata = fs::metadata(&device.host).or_fail(Kind::Usage, what)?;
    if metadata.is_dir() {
        // docker adds every node below a directory.
        let nodes = all_devices(&device.host).into_iter().map(|mut node| {
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
fn all_devices(dir: &Path) -> Vec<DeviceNode> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && !OWN.iter().any(|own| name == *own) {
            nodes.extend(all_devices(&entry.path()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Capability;

    #[test]
    fn capabilities_are_those_of_the_effective_set() {
        let caps = effective("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000200001\n");
        assert_eq!(caps, [Capability::Chown, Capability::SysAdmin].into());
        assert_eq!(effective(""), Capabilities::new());
    }
}
