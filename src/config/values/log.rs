//! Whether and how the output of a detached run is kept.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde::Serialize;

use super::{Bytes, Invalid, SwapLimit};

/// `--log-driver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogDriver {
    /// In files of ours.
    Local,
    /// Nowhere.
    None,
}

impl FromStr for LogDriver {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "local" | "json-file" => Ok(Self::Local),
            "none" => Ok(Self::None),
            _ => Err(Invalid::new(
                "it must be local, json-file (which means the same here) or none",
            )),
        }
    }
}

/// How long a file of a log may become; None is unlimited.
pub fn log_size(text: &str) -> Result<Option<u64>, Invalid> {
    match text.parse()? {
        SwapLimit::Unlimited | SwapLimit::Total(Bytes(0)) => Ok(None),
        SwapLimit::Total(Bytes(bytes)) => Ok(Some(bytes)),
    }
}

/// How many files a log may have.
pub fn log_files(text: &str) -> Result<NonZeroU32, Invalid> {
    let number = text.trim().parse();
    number.map_err(|_| Invalid::new("a whole number from 1 on is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_two_drivers_are_one() {
        for text in ["local", "json-file"] {
            assert_eq!(text.parse(), Ok(LogDriver::Local));
        }
        assert!("journald".parse::<LogDriver>().is_err());
    }

    #[test]
    fn a_size_is_docker_s_or_unlimited() {
        assert_eq!(log_size("20m"), Ok(Some(20 << 20)));
        assert_eq!(log_size("-1"), Ok(None));
        assert_eq!(log_size("0"), Ok(None));
        assert!(log_size("x").is_err());
        assert!(log_files("0").is_err() && log_files("5").is_ok());
    }
}
