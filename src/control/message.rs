//! What is asked of an owner, and what it answers: one JSON object each.
//!
//! In and out: bytes of packets. Both sides may be of different versions of airtight: [`VERSION`] is in every
//! packet, and is looked at before anything else. Whatever bytes come, nothing here panics.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::ContainerId;

/// To be raised with any change that another version would misunderstand.
pub const VERSION: u32 = 1;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// To end the run: the connection ends when it is over.
    Stop {
        /// In place of the run's own first signal.
        signal: Option<i32>,
        /// In place of the run's own time until SIGKILL.
        timeout: Option<Duration>,
    },
    /// To send the payload a signal.
    Signal(i32),
    /// To end a process that is about to run beside the payload, should this connection break.
    Guard(ContainerId),
    /// The payload's stdin or terminal, as far as the owner has them.
    Attach,
}

/// What comes on the connection of a guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Guarded {
    /// It runs, as this process of the host; a handle on it comes along.
    Runs(i32),
    /// It has ended, and everything of it is undone.
    Over,
    /// It runs, and goes on when the connection ends; whoever guards it forgets it when it has ended, and says
    /// so at once.
    Detached,
}

/// What the owner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// It is done.
    Done,
    /// The run ends, and everything inside is dead within this time, whatever it does.
    Ends(Duration),
    /// What there is of it to be had, and these descriptors in this order: with a terminal, its other side, and
    /// a pipe of what it shows from now on; else, where input is taken, a pipe to its stdin.
    Attached {
        /// It has a terminal, and the owner is at the other side.
        terminal: bool,
        /// What is typed, or written, reaches it.
        input: bool,
    },
    /// It can be done once the payload runs.
    NotYet,
    /// It will not be done.
    Refused {
        /// Why not.
        why: String,
        /// What to do instead.
        hint: Option<String>,
    },
}

/// What every packet is.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    says: T,
}

/// The part of a packet that every version understands.
#[derive(Deserialize)]
struct OnlyVersion {
    version: u32,
}

/// Why a packet says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// From an airtight that may mean something else.
    #[error("it speaks version {0} of the control protocol, and this airtight version {VERSION}")]
    OtherVersion(u32),
    /// Not one of ours.
    #[error("not understood: {0}")]
    Other(String),
}

/// The bytes of a packet.
pub fn write(says: &impl Serialize) -> Vec<u8> {
    let packet = Versioned {
        version: VERSION,
        says,
    };
    // Types of ours, without maps: they are always written.
    serde_json::to_vec(&packet).unwrap_or_default()
}

/// What the bytes of a packet say.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    let other = |why: serde_json::Error| Malformed::Other(why.to_string());
    let OnlyVersion { version } = serde_json::from_slice(bytes).map_err(other)?;
    if version != VERSION {
        return Err(Malformed::OtherVersion(version));
    }
    let packet: Versioned<T> = serde_json::from_slice(bytes).map_err(other)?;
    Ok(packet.says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for request in [
            Request::Stop {
                signal: Some(2),
                timeout: Some(Duration::from_millis(1500)),
            },
            Request::Stop {
                signal: None,
                timeout: None,
            },
            Request::Signal(9),
            Request::Guard("a".parse().unwrap()),
            Request::Attach,
        ] {
            assert_eq!(read(&write(&request)), Ok(request));
        }
    }

    #[test]
    fn another_version_is_told_from_nonsense_whatever_it_says() {
        let other = br#"{"version": 7, "says": {"dance": true}, "more": 1}"#;
        assert_eq!(read::<Request>(other), Err(Malformed::OtherVersion(7)));
        let nonsense = br#"{"version": 1, "says": {"dance": true}}"#;
        assert!(matches!(
            read::<Request>(nonsense),
            Err(Malformed::Other(_))
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_say_something_or_nothing(bytes: Vec<u8>) {
            let _ = read::<Request>(&bytes);
            let _ = read::<Reply>(&bytes);
        }
    }
}
