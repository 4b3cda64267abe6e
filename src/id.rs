//! Names of containers: what a user may call one, and what we call one that has no name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::{Context, Failure, Kind, Result};

/// The longest id containerd accepts (containerd, `identifiers/validate.go`).
const MAX_LENGTH: usize = 76;

/// The id of a container, of its snapshot, lease, cgroup and run directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// A fresh random id of 16 hexadecimal digits.
    pub fn random() -> Result<Self> {
        let mut bytes = [0u8; 8];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut source| std::io::Read::read_exact(&mut source, &mut bytes))
            .or_fail(Kind::Host, || "cannot read /dev/urandom")?;
        Ok(Self(format!("{:016x}", u64::from_be_bytes(bytes))))
    }

    /// The id of everything with this key: of its SHA-256, the first 16 hexadecimal digits. Two keys share
    /// them by chance as rarely as two random ids.
    pub fn of_key(key: &str) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let begin = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
        Self(format!("key-{}", begin.collect::<String>()))
    }

    /// Whether it looks like one that nobody has chosen.
    pub fn is_generated(&self) -> bool {
        let digits = self.0.strip_prefix("key-").unwrap_or(&self.0);
        digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Whether `word` may mean it: the whole of it, or the beginning of one that nobody has chosen. As with
    /// docker, a name that somebody has given is said whole: another run's name may begin so.
    pub fn answers_to(&self, word: &str) -> bool {
        let begins = || !word.is_empty() && self.is_generated() && self.0.starts_with(word);
        self.0 == word || begins()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Accepts what containerd accepts: letters and digits, joined by single `.`, `_` or `-`.
impl FromStr for ContainerId {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let refuse =
            |why: &str| Failure::usage(format!("invalid container name {text:?}")).because(why);
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.len() > MAX_LENGTH {
            return Err(refuse("it is longer than containerd's 76 characters"));
        }
        let separator = |byte: u8| matches!(byte, b'.' | b'_' | b'-');
        let bytes = text.as_bytes();
        let well_formed = bytes
            .iter()
            .all(|&b| b.is_ascii_alphanumeric() || separator(b))
            && !separator(bytes[0])
            && !separator(bytes[bytes.len() - 1])
            && !bytes
                .windows(2)
                .any(|pair| separator(pair[0]) && separator(pair[1]));
        if !well_formed {
            return Err(refuse(
                "only letters and digits, joined by single '.', '_' or '-'",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_containerd_accepts() {
        for good in ["a", "web-1", "dag.task_3", "0"] {
            assert_eq!(good.parse::<ContainerId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a..b",
            "a b",
            "ü",
            "a/b",
            "..",
            &"x".repeat(77),
        ] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn random_ids_are_valid_and_differ() {
        let (a, b) = (
            ContainerId::random().unwrap(),
            ContainerId::random().unwrap(),
        );
        assert_ne!(a, b);
        assert!(a.as_str().parse::<ContainerId>().is_ok());
    }
}
