//! What the plan needs to know of this host for the settings at hand: reads only, changes nothing.
//!
//! The plan itself does no I/O, so everything it decides upon is looked up here first.

mod descriptors;
mod devices;
mod limits;
mod numbers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capabilities, PosixRlimitType};

use crate::cgroup::Hierarchies;
use crate::config::Settings;
use crate::config::values::{IpcMode, MountSource, NetworkMode, Seccomp};
use crate::failure::Result;
use crate::host::Facts;
use crate::spec::base::thermal_throttle_paths;
use crate::spec::capabilities;
use crate::spec::seccomp::Profile;

pub use descriptors::Descriptor;
pub use devices::DeviceNode;
pub use numbers::NumberList;

/// The findings.
#[derive(Debug)]
pub struct Survey {
    /// What does not depend on the settings.
    pub facts: Facts,
    /// CPUs that are online.
    pub cpus: NumberList,
    /// Memory nodes that are online.
    pub memory_nodes: NumberList,
    /// The kernel can weigh block I/O.
    pub weighs_block_io: bool,
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

/// Where shared memory is mounted, outside and inside.
pub const SHM: &str = "/dev/shm";

impl Survey {
    /// Looks at this host.
    pub fn take(settings: &Settings) -> Result<Self> {
        let hierarchies = Hierarchies::detect(Path::new(&settings.cgroup_mount_path))?;
        let facts = Facts::with(Path::new("/"), &hierarchies)?;
        let mut found = if settings.privileged {
            devices::all(Path::new("/dev"))
        } else {
            Vec::new()
        };
        for device in &settings.devices {
            found.extend(devices::requested(device)?);
        }
        let capabilities = own_capabilities();
        let shares_network = settings.network_mode == NetworkMode::Host;
        let numbers = [0, 1, 2].iter().chain(&settings.pass_fds);
        Ok(Self {
            facts,
            cpus: NumberList::read(Path::new("/sys/devices/system/cpu/online")),
            memory_nodes: NumberList::read(Path::new("/sys/devices/system/node/online")),
            weighs_block_io: weighs_block_io(&hierarchies),
            sources: sources(settings),
            devices: found,
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
                .filter_map(|fd| Some((*fd, descriptors::kind(*fd)?)))
                .collect(),
        })
    }

    /// What our own descriptor `fd` is; `None` when it is not open.
    pub fn descriptor(&self, fd: i32) -> Option<Descriptor> {
        self.descriptors.get(&fd).copied()
    }
}

/// The effective set in a `status` file (proc(5)).
/// The capabilities that can be given: our own.
pub fn own_capabilities() -> Capabilities {
    let status = fs::read_to_string("/proc/self/status");
    status.map_or_else(|_| Capabilities::new(), |text| effective(&text))
}

fn effective(status: &str) -> Capabilities {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    capabilities::of_mask(mask.unwrap_or_default())
}

fn sources(settings: &Settings) -> BTreeMap<PathBuf, Source> {
    let asked = settings
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            MountSource::Bind { host, .. } => Some(host.clone()),
            MountSource::Anonymous | MountSource::Tmpfs => None,
        });
    let shared = (settings.ipc_mode == IpcMode::Host).then(|| SHM.into());
    let look = |host: PathBuf| {
        let found = look_at(&host);
        (host, found)
    };
    asked.chain(shared).map(look).collect()
}

/// v1 has the weight of CFQ, which is gone since Linux 5.0, or BFQ's, whose file is not in the root
/// group but comes together with its statistics (kernel, block/bfq-cgroup.c). v2 has it as part of
/// `io`.
fn weighs_block_io(hierarchies: &Hierarchies) -> bool {
    match hierarchies.v1("blkio") {
        Some(blkio) => ["blkio.weight", "blkio.bfq.io_serviced"]
            .iter()
            .any(|file| blkio.root().join(file).exists()),
        None => hierarchies.controllers().contains("io"),
    }
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
