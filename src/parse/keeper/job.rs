//! A job of the keeper's, and where it is on its way: read, seated, sent, ended.

use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::parse::control::Control;
use crate::parse::message::Order;
use crate::parse::pool::Number;
use crate::parse::recipe::Recipe;

/// A file of the client's.
pub struct Job {
    /// What the client wants.
    pub order: Order,
    /// Where it waits for the end.
    pub control: Control,
    /// For the program.
    pub descriptors: Vec<OwnedFd>,
    /// What its settings are, once they have been read.
    pub recipe: Option<Recipe>,
    /// How often a container was in vain for it, and for it alone.
    pub attempts: u32,
    /// Where it is.
    pub place: Place,
}

/// How often a file is tried again whose container's settings were changed while it started, or whose
/// container left before it had the file.
const MAX_ATTEMPTS: u32 = 5;

impl Job {
    /// Whether it may be tried again; then that counts.
    pub fn tries_again(&mut self) -> bool {
        let may = self.attempts < MAX_ATTEMPTS;
        self.attempts += u32::from(may);
        may
    }
}

/// Where a job is.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// Its settings are being read.
    Read,
    /// There are as many containers as there may be.
    Waiting,
    /// Its container is not ready yet.
    Starting(Number),
    /// Its program has it, at most until then.
    Sent {
        /// The container.
        number: Number,
        /// Its time limit.
        until: Option<Instant>,
    },
    /// Its program was told to kill it, and its container dies then.
    Dying {
        /// The container.
        number: Number,
        /// Then the container dies.
        until: Instant,
        /// The reason.
        why: Killed,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// Nobody waits for it any more.
    GivenUp,
    /// Its time is up.
    Late,
}

impl Place {
    /// The container that has it or will have it.
    pub fn container(self) -> Option<Number> {
        match self {
            Self::Read | Self::Waiting => None,
            Self::Starting(number) | Self::Sent { number, .. } | Self::Dying { number, .. } => {
                Some(number)
            }
        }
    }

    /// When something has to be done about it.
    pub fn until(self) -> Option<Instant> {
        match self {
            Self::Sent { until, .. } => until,
            Self::Dying { until, .. } => Some(until),
            Self::Read | Self::Waiting | Self::Starting(_) => None,
        }
    }
}
