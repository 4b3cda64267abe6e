//! A seccomp profile as it is understood: rules, and the conditions under which they apply.
//!
//! In goes the built-in file or a user's; out comes a [`Profile`], checked as far as it can be
//! without knowing the host. How it is written is the business of `text.rs`.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
};
use serde::Deserialize;

use super::text::{ProfileText, RuleText, null_as_empty};
use crate::failure::Result;
use crate::kernel::KernelVersion;
use crate::spec::data_file;

const BUILTIN: &str = include_str!("../../../runtime-specs/seccomp.json");

/// A seccomp profile whose conditions are still open.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "ProfileText")]
pub struct Profile {
    /// What happens to a call that no rule matches.
    pub default_action: LinuxSeccompAction,
    /// The error number of the default action.
    pub default_errno: Option<u16>,
    /// Which architectures the filter covers on which host.
    pub architectures: Architectures,
    /// Flags for installing the filter.
    pub flags: Vec<LinuxSeccompFilterFlag>,
    /// The socket of the agent that answers `SCMP_ACT_NOTIFY`.
    pub listener_path: Option<PathBuf>,
    /// What the runtime passes on to that agent.
    pub listener_metadata: Option<String>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
}

/// Which architectures a filter covers.
#[derive(Debug, Clone, PartialEq)]
pub enum Architectures {
    /// These, whatever the host (plain OCI).
    Fixed(Vec<Arch>),
    /// Those of the entry for the host's architecture; without an entry, that architecture alone.
    ByHost(Vec<ArchitectureMapping>),
}

/// An architecture and those whose programs its kernel also runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchitectureMapping {
    /// The host's own architecture.
    pub architecture: Arch,
    /// The further ones.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub sub_architectures: Vec<Arch>,
}

/// What happens to some system calls, under conditions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RuleText")]
pub struct Rule {
    /// Names of the system calls.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: LinuxSeccompAction,
    /// The error number of the action.
    pub errno: Option<u16>,
    /// Conditions on the call's arguments, all of which must hold.
    pub arguments: Vec<LinuxSeccompArg>,
    /// The rule applies only where all of these hold.
    pub includes: Conditions,
    /// The rule does not apply where any of these holds.
    pub excludes: Conditions,
}

/// Conditions on a container and its host.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// Capabilities of the container's bounding set.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub caps: Vec<Capability>,
    /// Architectures by Go's names; a profile may name some that never are a host's, such as `x32`.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub arches: Vec<String>,
    /// The oldest kernel.
    #[serde(default)]
    pub min_kernel: Option<KernelVersion>,
}

impl Profile {
    /// The default profile built into this binary.
    pub fn builtin() -> Self {
        // The text is part of the binary and a test below parses it.
        data_file::parse(BUILTIN.as_bytes()).expect("runtime-specs/seccomp.json is well-formed")
    }

    /// A user's profile (`--security-opt seccomp=FILE`).
    pub fn read(path: &Path) -> Result<Self> {
        data_file::read("seccomp profile", path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profile_denies_by_default() {
        let profile = Profile::builtin();
        assert_eq!(profile.default_action, LinuxSeccompAction::ScmpActErrno);
        assert_eq!(profile.default_errno, Some(1));
        assert!(matches!(profile.architectures, Architectures::ByHost(map) if map.len() == 9));
    }

    #[test]
    fn a_users_file_is_read_and_its_errors_name_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.json");
        std::fs::write(&path, BUILTIN).unwrap();
        assert_eq!(Profile::read(&path).unwrap(), Profile::builtin());
        std::fs::write(&path, "{\n \"defaultAction\": \"ALLOW\"}").unwrap();
        let message = Profile::read(&path).unwrap_err().to_string();
        assert!(message.contains("profile.json") && message.contains("line 2 column"));
    }
}
