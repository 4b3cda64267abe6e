//! Where a running payload is between its start and its end: plain data, no handles but our terminal.

use std::time::Duration;

use nix::libc;
use tokio::time::Instant;

use super::end::{Asked, PayloadEnd};
use super::terminal::Terminal;
use crate::containerd::ABSENCE;
use crate::leash::{SignalNumber, Status};

/// From SIGKILL to the first process until the cgroup is killed as a whole.
pub const AFTER_KILL: Duration = Duration::from_secs(2);
/// From the payload's end, or the last kill, until containerd is no longer waited for.
pub const AFTER_END: Duration = Duration::from_secs(10);
/// The same where the end is known already, and containerd's word would only make the clean-up easier.
pub const AFTER_KNOWN_END: Duration = Duration::from_secs(3);
/// The same where only containerd can say how the payload ended, and nobody is in a hurry: it may be
/// away for so long.
pub const FOR_THE_STATUS: Duration = ABSENCE;
/// What a process killed with SIGKILL has as its status, to a shim.
const KILLED: u32 = 128 + libc::SIGKILL.unsigned_abs();
/// The same as never: a century.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How far down the ladder we are.
#[derive(Debug, Clone, Copy)]
pub enum Rung {
    /// Nothing is asked of the payload.
    Calm,
    /// The stop signal is sent; until then it has time.
    Asked(Instant),
    /// SIGKILL is sent to the first process.
    Killed(Instant),
    /// Nothing more can be done but to wait for containerd to notice.
    Waiting(Instant),
}

/// The payload as we see it.
pub enum Payload {
    /// Not executed yet; what it is to be sent as soon as it is.
    Starting(Vec<i32>),
    /// As far as we know.
    Running,
    /// By the init's word.
    Ended(PayloadEnd),
}

/// What has happened so far.
pub struct Progress {
    /// Of the ladder.
    pub rung: Rung,
    /// Who asked for an end, if anybody did.
    pub asked: Option<Asked>,
    /// The payload.
    pub payload: Payload,
    /// SIGINTs so far.
    pub interrupts: u32,
    /// The payload's, with us at its other end.
    pub terminal: Option<Terminal>,
    /// Whether the first process is our init.
    pub init: bool,
    /// Killed because nobody reads what it writes.
    pub unread: bool,
    /// The first process has ended.
    pub gone: bool,
    /// It was alive when we killed it.
    pub killed: bool,
    /// containerd has not said how it ended, and is not waited for any more.
    pub unreported: bool,
}

impl Rung {
    /// When it is over.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Calm => None,
            Self::Asked(until) | Self::Killed(until) | Self::Waiting(until) => Some(until),
        }
    }
}

impl Progress {
    /// Before anything has happened. A payload that is still starting has an init.
    pub fn of(payload: Payload) -> Self {
        Self {
            rung: Rung::Calm,
            asked: None,
            init: matches!(payload, Payload::Starting(_)),
            payload,
            interrupts: 0,
            terminal: None,
            unread: false,
            gone: false,
            killed: false,
            unreported: false,
        }
    }

    /// The first process has ended: nothing is left to be done but to hear how.
    pub fn first_gone(&mut self) {
        self.gone = true;
        let patience = match (self.has_ended(), self.asked) {
            (true, _) => AFTER_KNOWN_END,
            (false, Some(_)) => AFTER_END,
            (false, None) => FOR_THE_STATUS,
        };
        self.rung = Rung::Waiting(Instant::now() + patience);
    }

    /// SIGKILL was sent to the first process.
    pub fn killed(&mut self) {
        self.killed |= !self.gone;
        self.rung = Rung::Killed(Instant::now() + AFTER_KILL);
    }

    /// containerd does not say in time how the first process ended.
    pub fn unreported(&mut self) -> PayloadEnd {
        self.unreported = true;
        if self.gone && self.killed {
            return self.first_ended(KILLED);
        }
        PayloadEnd::Unknown("containerd does not report the task's end".into())
    }

    /// The payload itself has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.payload, Payload::Ended(_))
    }

    /// Nobody has asked for an end, and there is something to end.
    pub fn can_be_asked(&self) -> bool {
        self.asked.is_none() && !self.has_ended()
    }

    /// The payload's own end is known.
    pub fn ended(&mut self, end: PayloadEnd) {
        self.payload = Payload::Ended(end);
        // The init kills what is left and exits; that must not take for ever either.
        self.rung = Rung::Killed(Instant::now() + AFTER_END);
    }

    /// What the end of the container's first process means, when nobody has said more.
    pub fn first_ended(&self, status: u32) -> PayloadEnd {
        let signal = status.checked_sub(128).and_then(|n| i32::try_from(n).ok());
        match signal.map(SignalNumber::try_from) {
            // The kernel has killed the payload with it.
            Some(Ok(signal)) if self.init => PayloadEnd::Status(Status::Signal(signal)),
            _ if self.init => PayloadEnd::Lost(format!("the init ended, with status {status}")),
            _ if self.unread && status == KILLED => {
                PayloadEnd::Status(Status::Signal(SignalNumber::PIPE))
            }
            _ => PayloadEnd::TaskStatus(status),
        }
    }
}

/// So much later, or as good as never.
pub fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + NEVER)
}
