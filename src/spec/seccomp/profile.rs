//! Seccomp profiles in Docker's format, which plain OCI `linux.seccomp` JSON is a subset of.
//!
//! In goes a file; out comes a [`Profile`], checked as far as it can be without knowing the host.
//! A key that is not understood is refused: dropped, it might have been a restriction.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompFilterFlag, LinuxSeccompOperator,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::failure::Result;
use crate::kernel::KernelVersion;
use crate::spec::data_file;

const BUILTIN: &str = include_str!("../../../runtime-specs/seccomp.json");

/// A system call has six arguments (`struct seccomp_data` in linux/seccomp.h).
const MAX_ARGUMENT_INDEX: usize = 5;

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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileText {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u16>,
    /// Podman's profiles name the number again; the name alone would be a loss.
    default_errno: Option<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    architectures: Vec<Arch>,
    #[serde(default, deserialize_with = "null_as_empty")]
    arch_map: Vec<ArchitectureMapping>,
    #[serde(default, deserialize_with = "null_as_empty")]
    flags: Vec<LinuxSeccompFilterFlag>,
    listener_path: Option<PathBuf>,
    listener_metadata: Option<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    syscalls: Vec<Rule>,
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleText {
    /// Docker's profiles of before 2018 have one name per rule.
    name: Option<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    names: Vec<String>,
    action: LinuxSeccompAction,
    errno_ret: Option<u16>,
    /// See [`ProfileText::default_errno`].
    errno: Option<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    args: Vec<ArgumentText>,
    #[serde(default, deserialize_with = "null_as_empty")]
    includes: Conditions,
    #[serde(default, deserialize_with = "null_as_empty")]
    excludes: Conditions,
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
}

/// The OCI type would overlook a misspelt key, and with it a comparison.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArgumentText {
    index: usize,
    value: u64,
    value_two: Option<u64>,
    op: LinuxSeccompOperator,
}

impl TryFrom<ProfileText> for Profile {
    type Error = &'static str;

    fn try_from(text: ProfileText) -> Result<Self, Self::Error> {
        let notifies = text.default_action == LinuxSeccompAction::ScmpActNotify
            || text
                .syscalls
                .iter()
                .any(|rule| rule.action == LinuxSeccompAction::ScmpActNotify);
        if notifies && text.listener_path.is_none() {
            return Err("SCMP_ACT_NOTIFY needs a listenerPath");
        }
        if text.default_errno.is_some() && text.default_errno_ret.is_none() {
            return Err("defaultErrno needs its number as defaultErrnoRet too");
        }
        let architectures = match (text.architectures, text.arch_map) {
            (fixed, map) if map.is_empty() && !fixed.is_empty() => Architectures::Fixed(fixed),
            (fixed, map) if fixed.is_empty() => Architectures::ByHost(map),
            _ => return Err("architectures and archMap exclude each other"),
        };
        Ok(Self {
            default_action: text.default_action,
            default_errno: text.default_errno_ret,
            architectures,
            flags: text.flags,
            listener_path: text.listener_path,
            listener_metadata: text.listener_metadata,
            rules: text.syscalls,
        })
    }
}

impl TryFrom<RuleText> for Rule {
    type Error = String;

    fn try_from(text: RuleText) -> Result<Self, Self::Error> {
        let names = match (text.name, text.names) {
            (Some(_), names) if !names.is_empty() => {
                return Err("name and names exclude each other".to_owned());
            }
            (Some(name), _) => vec![name],
            (None, names) => names,
        };
        if let Some(name) = names.iter().find(|name| !is_syscall_name(name)) {
            return Err(format!("{name:?} is not the name of a system call"));
        }
        if text.errno.is_some() && text.errno_ret.is_none() {
            return Err("errno needs its number as errnoRet too".to_owned());
        }
        Ok(Self {
            names,
            action: text.action,
            errno: text.errno_ret,
            arguments: text
                .args
                .into_iter()
                .map(argument)
                .collect::<Result<_, _>>()?,
            includes: text.includes,
            excludes: text.excludes,
        })
    }
}

fn argument(text: ArgumentText) -> Result<LinuxSeccompArg, String> {
    if text.index > MAX_ARGUMENT_INDEX {
        return Err(format!("there is no argument {}, only 0 to 5", text.index));
    }
    let builder = LinuxSeccompArgBuilder::default()
        .index(text.index)
        .value(text.value)
        .op(text.op);
    let builder = match text.value_two {
        Some(value) => builder.value_two(value),
        None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

fn is_syscall_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Go writes an empty list or object as `null`.
fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn profile(text: &str) -> Result<Profile, String> {
        data_file::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    fn with_rule(rule: &str) -> Result<Profile, String> {
        profile(&format!(
            "{{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [\n{rule}\n]}}"
        ))
    }

    #[test]
    fn the_built_in_profile_denies_by_default() {
        let profile = Profile::builtin();
        assert_eq!(profile.default_action, LinuxSeccompAction::ScmpActErrno);
        assert_eq!(profile.default_errno, Some(1));
        assert!(matches!(profile.architectures, Architectures::ByHost(map) if map.len() == 9));
    }

    #[test]
    fn plain_oci_json_is_a_profile() {
        let profile = profile(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}"#,
        )
        .unwrap();
        assert_eq!(
            profile.architectures,
            Architectures::Fixed(vec![Arch::ScmpArchX86_64])
        );
        assert_eq!(profile.flags.len(), 1);
        assert_eq!(profile.rules[0].errno, Some(5));
    }

    #[test]
    fn dockers_old_form_with_one_name_per_rule_is_read() {
        let rule = r#"{"name": "read", "action": "SCMP_ACT_ALLOW", "args": null,
            "comment": "", "includes": {}, "excludes": null}"#;
        assert_eq!(with_rule(rule).unwrap().rules[0].names, ["read"]);
    }

    #[test]
    fn a_misspelt_condition_is_refused_with_its_line() {
        let rule = r#"{"names": ["mount"], "action": "SCMP_ACT_ALLOW",
            "include": {"caps": ["CAP_SYS_ADMIN"]}}"#;
        let message = with_rule(rule).unwrap_err();
        assert!(message.contains("`include`"), "{message}");
        assert!(message.contains("line 3"), "{message}");
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused_with_its_line() {
        for (rule, why) in [
            (
                r#"{"name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW"}"#,
                "exclude each other",
            ),
            (
                r#"{"names": ["a b"], "action": "SCMP_ACT_ALLOW"}"#,
                "system call",
            ),
            (
                r#"{"names": [""], "action": "SCMP_ACT_ALLOW"}"#,
                "system call",
            ),
            (
                r#"{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS"}"#,
                "errnoRet",
            ),
            (
                r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}"#,
                "0 to 5",
            ),
            (
                r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4"}}"#,
                "kernel version",
            ),
            (
                r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X"]}}"#,
                "CAP_X",
            ),
        ] {
            let message = with_rule(rule).unwrap_err();
            assert!(message.contains(why), "{message}");
            assert!(message.contains("at line "), "{message}");
        }
    }

    #[test]
    fn two_lists_of_architectures_are_refused() {
        let message = profile(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM"],
                "archMap": [{"architecture": "SCMP_ARCH_ARM"}]}"#,
        )
        .unwrap_err();
        assert!(message.contains("exclude each other"), "{message}");
    }

    #[test]
    fn a_notification_needs_somebody_to_notify() {
        let rule = r#"{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}"#;
        assert!(with_rule(rule).unwrap_err().contains("listenerPath"));
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

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = data_file::parse::<Profile>(&bytes);
        }

        #[test]
        fn a_damaged_profile_is_read_or_refused(at in 0..BUILTIN.len(), byte: u8) {
            let mut text = BUILTIN.as_bytes().to_vec();
            text[at] = byte;
            let _ = data_file::parse::<Profile>(&text);
        }
    }
}
