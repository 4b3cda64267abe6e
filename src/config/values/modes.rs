//! Which namespaces are shared, and with whom; and what holds when somebody else is there or gone.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// `--ipc`: System V IPC, POSIX queues and `/dev/shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IpcMode {
    /// Its own, with its own `/dev/shm`.
    Private,
    /// Its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
}

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Its own, with nothing but the loopback device.
    None,
    /// The host's.
    Host,
}

/// `--pid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PidMode {
    /// Its own.
    Private,
    /// The host's.
    Host,
}

/// `--uts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UtsMode {
    /// Its own host name.
    Private,
    /// The host's.
    Host,
}

/// `--on-owner-death`: what becomes of a payload whose airtight was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerDeath {
    /// Everything inside is killed at once.
    #[default]
    Kill,
    /// It is stopped, as on SIGTERM.
    Stop,
    /// It goes on, for a later run with the same key.
    Keep,
}

/// `--on-conflict`: what a run does whose key another one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It refuses.
    Fail,
    /// It stops the other one first.
    Replace,
    /// It stays beside the other one, and ends as that does.
    Attach,
}

impl FromStr for OwnerDeath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "kill" => Ok(Self::Kill),
            "stop" => Ok(Self::Stop),
            "keep" => Ok(Self::Keep),
            _ => Err(Invalid::new("it must be kill, stop or keep")),
        }
    }
}

impl FromStr for OnConflict {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "fail" => Ok(Self::Fail),
            "replace" => Ok(Self::Replace),
            "attach" => Ok(Self::Attach),
            _ => Err(Invalid::new("it must be fail, replace or attach")),
        }
    }
}

impl FromStr for IpcMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" | "private" => Ok(Self::Private),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            "shareable" => Err(not_yet("shareable")),
            _ if text.starts_with("container:") => Err(not_yet("container:…")),
            _ => Err(Invalid::new("it must be private, none or host")),
        }
    }
}

impl FromStr for NetworkMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" | "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            "bridge" | "default" => Err(not_yet(text)),
            _ if text.starts_with("container:") || text.starts_with("ns:") => Err(not_yet(text)),
            _ => Err(Invalid::new("it must be none or host")),
        }
    }
}

impl FromStr for PidMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" | "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ if text.starts_with("container:") => Err(not_yet("container:…")),
            _ => Err(Invalid::new("it must be private or host")),
        }
    }
}

impl FromStr for UtsMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" | "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err(Invalid::new("it must be private or host")),
        }
    }
}

/// A mode docker has and this version does not.
fn not_yet(mode: &str) -> Invalid {
    Invalid::new(format!(
        "this version of airtight has no mode {mode:?}; --help lists those it has"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_docker_has_and_we_have_not_is_refused_by_name() {
        let why = "bridge".parse::<NetworkMode>().unwrap_err();
        assert_eq!(
            why.to_string(),
            "this version of airtight has no mode \"bridge\"; --help lists those it has"
        );
        assert!("container:x".parse::<IpcMode>().is_err());
        assert!("bogus".parse::<PidMode>().is_err());
    }
}
