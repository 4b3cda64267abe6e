//! What every container gets before its settings are looked at: `runtime-specs/base.json` as types.
//!
//! In goes the built-in file or one that replaces it; out come capabilities, masked and read-only
//! paths, mounts and device rules. The planner adds to and takes from them; nothing is decided here.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capabilities, LinuxDeviceCgroup, Mount, PosixRlimit};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::data_file;
use crate::failure::Result;

const BUILTIN: &str = include_str!("../../runtime-specs/base.json");

/// The defaults of a container.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Capabilities of a container that asks for none.
    pub capabilities: Capabilities,
    /// Paths that appear empty inside.
    pub masked_paths: Vec<PathBuf>,
    /// Paths that cannot be written inside.
    pub readonly_paths: Vec<PathBuf>,
    /// File systems mounted in this order, all but `/dev/shm`.
    pub mounts: Vec<Mount>,
    /// Rules of the device controller, the first of which denies everything.
    pub devices: Vec<LinuxDeviceCgroup>,
    /// Every limit of setrlimit(2), so that none is inherited from containerd.
    pub rlimits: Vec<PosixRlimit>,
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
}

impl Base {
    /// The defaults built into this binary.
    pub fn builtin() -> Self {
        // The text is part of the binary and a test below parses it.
        data_file::parse(BUILTIN.as_bytes()).expect("runtime-specs/base.json is well-formed")
    }

    /// The defaults of an operator, in place of the built-in ones.
    pub fn read(path: &Path) -> Result<Self> {
        data_file::read("container defaults", path)
    }
}

/// The thermal counters of each processor below `sys`, which Docker masks because their timing
/// tells of other tenants' work. They are no part of the data file: each machine has its own.
pub fn thermal_throttle_paths(sys: &Path) -> Vec<PathBuf> {
    let Ok(entries) = sys.join("devices/system/cpu").read_dir() else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().join("thermal_throttle").is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("cpu"))
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names
        .iter()
        .map(|name| PathBuf::from(format!("/sys/devices/system/cpu/{name}/thermal_throttle")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Capability;

    #[test]
    fn the_built_in_defaults_are_dockers() {
        let base = Base::builtin();
        assert_eq!(base.capabilities.len(), 14);
        assert!(base.capabilities.contains(&Capability::NetRaw));
        assert!(!base.capabilities.contains(&Capability::SysAdmin));
        assert!(base.masked_paths.contains(&PathBuf::from("/proc/kcore")));
        assert!(base.readonly_paths.contains(&PathBuf::from("/proc/sys")));
    }

    #[test]
    fn a_mount_point_is_mounted_after_the_one_it_lies_in() {
        let mounts = Base::builtin().mounts;
        let position = |path: &str| {
            mounts
                .iter()
                .position(|mount| mount.destination() == Path::new(path))
                .unwrap()
        };
        assert!(position("/dev") < position("/dev/pts"));
        assert!(position("/dev") < position("/dev/mqueue"));
        assert!(position("/sys") < position("/sys/fs/cgroup"));
    }

    #[test]
    fn devices_are_denied_before_some_are_allowed() {
        let devices = Base::builtin().devices;
        let (first, rest) = devices.split_first().unwrap();
        assert!(!first.allow() && first.typ().is_none() && first.major().is_none());
        assert!(rest.iter().all(LinuxDeviceCgroup::allow));
        assert!(
            rest.iter()
                .all(|rule| rule.major().is_some() || rule.access().as_deref() == Some("m"))
        );
    }

    #[test]
    fn an_operators_file_with_an_unknown_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base.json");
        std::fs::write(&path, BUILTIN.replace("masked_paths", "maskedpaths")).unwrap();
        let message = Base::read(&path).unwrap_err().to_string();
        assert!(
            message.contains("maskedpaths") && message.contains("line"),
            "{message}"
        );
        std::fs::write(&path, BUILTIN).unwrap();
        assert_eq!(Base::read(&path).unwrap(), Base::builtin());
    }

    #[test]
    fn thermal_counters_are_found_for_each_processor_that_has_them() {
        let sys = tempfile::tempdir().unwrap();
        let cpus = sys.path().join("devices/system/cpu");
        for name in ["cpu10", "cpu2", "cpufreq"] {
            std::fs::create_dir_all(cpus.join(name)).unwrap();
        }
        for name in ["cpu10", "cpu2"] {
            std::fs::create_dir(cpus.join(name).join("thermal_throttle")).unwrap();
        }
        assert_eq!(
            thermal_throttle_paths(sys.path()),
            [2, 10]
                .map(|n| PathBuf::from(format!("/sys/devices/system/cpu/cpu{n}/thermal_throttle")))
        );
        assert!(thermal_throttle_paths(Path::new("/nonexistent")).is_empty());
    }
}
