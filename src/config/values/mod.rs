//! The types of settings: each parsed once, from text, with an error that says why not.

mod bytes;
mod device;
mod duration;
mod environment;
mod limits;
mod log;
mod modes;
mod mount;
mod security;
mod signal;
mod ulimit;

pub use bytes::{Bytes, SwapLimit};
pub use device::Device;
pub use duration::duration;
pub use environment::{Label, Variable, hostname, sysctl};
pub use limits::{BlkioWeight, CpuShares, Cpus, OomScoreAdj, PidsLimit, cpu_list};
pub use log::{LogDriver, log_files, log_size};
pub use modes::{IpcMode, NetworkMode, OnConflict, OwnerDeath, PidMode, UtsMode};
pub use mount::{
    Mount, MountSource, Propagation, parse_mount, parse_tmpfs, parse_volume, set as set_option,
};
pub use security::{AppArmor, Seccomp, SecurityOption};
pub use signal::signal_number;
pub use ulimit::Ulimit;

/// Why a text is not a value; shown behind the value and its origin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// A switch in docker's, Airflow's and YAML 1.1's spellings, whatever their case.
pub fn truth(text: &str) -> Result<bool, Invalid> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "on" => Ok(true),
        "false" | "f" | "0" | "no" | "off" => Ok(false),
        _ => Err(Invalid::new("true or false is needed")),
    }
}

/// Splits `NAME=VALUE`; `None` for the value where there is no `=`.
fn split_pair(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    }
}

/// Absolute, without NUL, `..` and doubled slashes, as mount targets and work directories must be.
pub fn clean_absolute(path: &str) -> Result<String, Invalid> {
    if !path.starts_with('/') {
        return Err(Invalid::new(
            "the path inside the container must be absolute",
        ));
    }
    if path.contains('\0') {
        return Err(Invalid::new("the path contains a NUL byte"));
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                return Err(Invalid::new(
                    "the path inside the container must not contain '..'",
                ));
            }
            name => parts.push(name),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// A work directory below `/proc/<pid>/fd` would name a descriptor of the runtime, not a directory
/// of the image (CVE-2024-21626).
pub fn working_dir(text: &str) -> Result<String, Invalid> {
    let clean = clean_absolute(text)?;
    let below_proc = clean.starts_with("/proc/") && clean.contains("/fd/");
    if below_proc || clean.starts_with("/dev/fd/") {
        return Err(Invalid::new(
            "a directory below /proc/…/fd is a descriptor of the runtime, not of the image",
        ));
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::{clean_absolute, working_dir};

    #[test]
    fn paths_inside_are_absolute_and_clean() {
        assert_eq!(clean_absolute("/a//b/./c/").unwrap(), "/a/b/c");
        assert_eq!(clean_absolute("/").unwrap(), "/");
        for bad in ["a", "", "/a/../b", "/a\0"] {
            assert!(clean_absolute(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_work_directory_is_no_descriptor_of_the_runtime() {
        assert_eq!(working_dir("/a/").unwrap(), "/a");
        for bad in [
            "/proc/self/fd/7",
            "/proc/1/fd/8/../..",
            "/proc/thread-self/fd/9",
            "/dev/fd/7",
            "work",
        ] {
            assert!(working_dir(bad).is_err(), "{bad}");
        }
    }
}
