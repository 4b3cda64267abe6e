//! The leash: the socket between the owner and the container's init. When it breaks, everything
//! inside dies.
//!
//! The owner writes the init program into a directory ([`program`]), listens beside it
//! ([`Listener`]), has the directory mounted into the container, and starts init there. Init
//! connects; from then on the owner holds the [`Leash`]: it hands in the payload's descriptors,
//! sends signals, hears [`Event`]s, and kills. `docs/leash.md` tells the whole conversation.
//!
//! Nothing here knows containerd or waits for it.

#[allow(dead_code, reason = "init uses the other half")]
mod codec;
#[cfg(test)]
mod codec_tests;
pub mod inherited;
mod listener;
mod owner;
#[allow(dead_code, reason = "init uses the other half")]
mod packet;
mod peer;
pub mod pidfd;
pub mod pids;
pub mod program;
mod protocol;
pub mod rights;
pub mod watch;

pub use listener::Listener;
pub use owner::{Event, Leash, Payload};
pub use protocol::{
    Exit, MAX_DESCRIPTORS, Malformed, SignalNumber, SignalRefusal, Stage, StartFailure, Status,
    WhenAlone, WindowSize,
};

/// The directory in the container under which init finds itself and the leash.
pub const INSIDE: &str = "/.airtight";

/// The name of the socket; init looks for it in the directory it was started from.
pub const SOCKET: &str = "leash";
