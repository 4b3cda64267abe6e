//! `--security-opt`.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::Invalid;

/// Which system call filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Ours.
    Default,
    /// None.
    Unconfined,
    /// A profile in docker's format.
    File(PathBuf),
}

/// Which AppArmor profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppArmor {
    /// None.
    Unconfined,
    /// One the kernel has loaded.
    Profile(String),
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityOption {
    /// `seccomp=…`
    Seccomp(Seccomp),
    /// `apparmor=…`
    AppArmor(AppArmor),
    /// `no-new-privileges[=true|false]`
    NoNewPrivileges(bool),
}

impl FromStr for SecurityOption {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // docker's older spelling has a colon.
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => Ok(Self::NoNewPrivileges(true)),
            ("no-new-privileges", "false") => Ok(Self::NoNewPrivileges(false)),
            ("seccomp" | "apparmor", "") => Err(Invalid::new(format!("{name}= needs a value"))),
            ("seccomp", "unconfined") => Ok(Self::Seccomp(Seccomp::Unconfined)),
            ("seccomp", "builtin" | "default") => Ok(Self::Seccomp(Seccomp::Default)),
            ("seccomp", file) => Ok(Self::Seccomp(Seccomp::File(file.into()))),
            ("apparmor", "unconfined") => Ok(Self::AppArmor(AppArmor::Unconfined)),
            ("apparmor", profile) => Ok(Self::AppArmor(AppArmor::Profile(profile.to_owned()))),
            ("label", _) => Err(Invalid::new("airtight sets no SELinux labels")),
            _ => Err(Invalid::new(
                "it must be seccomp=FILE|unconfined, apparmor=PROFILE|unconfined or no-new-privileges",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_options_are_known() {
        assert_eq!(
            "no-new-privileges".parse(),
            Ok(SecurityOption::NoNewPrivileges(true))
        );
        assert_eq!(
            "no-new-privileges:true".parse(),
            Ok(SecurityOption::NoNewPrivileges(true))
        );
        assert_eq!(
            "seccomp=unconfined".parse(),
            Ok(SecurityOption::Seccomp(Seccomp::Unconfined))
        );
        for bad in [
            "",
            "seccomp",
            "seccomp=",
            "label=disable",
            "bogus=1",
            "no-new-privileges=maybe",
        ] {
            assert!(bad.parse::<SecurityOption>().is_err(), "{bad}");
        }
    }
}
