//! The version of a Linux kernel: what `uname -r` prints, and what a seccomp profile's `minKernel`
//! asks for. Text in, an ordered value out; nothing here looks at the running kernel.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A kernel version such as 6.18.44; what a distribution appends to it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that does not begin with `major.minor`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a kernel version such as 6.1 or 5.10.0-28-amd64")]
pub struct InvalidKernelVersion(String);

impl KernelVersion {
    /// The version `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

/// Reads `major.minor`, `major.minor.patch`, and either followed by anything that is not a digit.
impl FromStr for KernelVersion {
    type Err = InvalidKernelVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidKernelVersion(text.to_owned());
        let (major, rest) = leading_number(text.trim()).ok_or_else(invalid)?;
        let (minor, rest) = after_dot(rest).ok_or_else(invalid)?;
        let patch = after_dot(rest).map_or(0, |(patch, _)| patch);
        Ok(Self::new(major, minor, patch))
    }
}

fn after_dot(text: &str) -> Option<(u32, &str)> {
    leading_number(text.strip_prefix('.')?)
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

impl TryFrom<String> for KernelVersion {
    type Error = InvalidKernelVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KernelVersion> for String {
    fn from(version: KernelVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> KernelVersion {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_distribution_appends_is_left_out() {
        assert_eq!(version("6.18.44-foo"), KernelVersion::new(6, 18, 44));
        assert_eq!(version("5.10.0-28-amd64\n"), KernelVersion::new(5, 10, 0));
        assert_eq!(version("4.8"), KernelVersion::new(4, 8, 0));
        assert_eq!(version("6.1+"), KernelVersion::new(6, 1, 0));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("4.10") > version("4.8"));
        assert!(version("4.8.0-rc1") >= version("4.8"));
        assert!(version("6.0") > version("5.19.17"));
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "6", "6.", ".6", "six.one", "-4.8", "99999999999.1"] {
            assert!(bad.parse::<KernelVersion>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = text.parse::<KernelVersion>();
        }

        #[test]
        fn a_printed_version_reads_back(major: u32, minor: u32, patch: u32) {
            let printed = KernelVersion::new(major, minor, patch);
            prop_assert_eq!(version(&printed.to_string()), printed);
        }
    }
}
