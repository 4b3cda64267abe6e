//! How a seccomp profile is written: Docker's format, which plain OCI `linux.seccomp` JSON is a
//! subset of, with what Docker's oldest and Podman's profiles have besides.
//!
//! In goes JSON by way of serde; out come the types of `profile.rs`. A key that is not understood
//! is refused: dropped, it might have been a restriction.

use std::path::PathBuf;

use oci_spec::runtime::{
    Arch, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompFilterFlag,
    LinuxSeccompOperator,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::profile::{ArchitectureMapping, Architectures, Conditions, Profile, Rule};

/// A system call has six arguments (`struct seccomp_data` in linux/seccomp.h).
const MAX_ARGUMENT_INDEX: usize = 5;

/// A whole profile.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ProfileText {
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

/// One of its rules.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RuleText {
    /// Docker's oldest profiles have one name per rule.
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
pub(super) fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::data_file;
    use proptest::prelude::*;

    const BUILTIN: &str = include_str!("../../../runtime-specs/seccomp.json");

    fn profile(text: &str) -> Result<Profile, String> {
        data_file::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    fn with_rule(rule: &str) -> Result<Profile, String> {
        profile(&format!(
            "{{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [\n{rule}\n]}}"
        ))
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
