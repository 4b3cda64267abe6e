//! `--as-payload`: airtight's own end in place of the payload's, for callers such as Airflow that read
//! more than a number from how a process ended.
//!
//! In: how the run ended. Out: an exit code, or death by the payload's signal. 124 to 126 mean things of
//! their own to Airflow's supervisor, so airtight's own failures are 121.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use signal_hook::low_level::emulate_default_handler;

use crate::failure::{Failure, Kind, Result};
use crate::run::verdict::Cause;

/// What the caller sees where airtight failed.
pub const FAILED: u8 = 121;

/// From now on, the death of whoever started us is ours, and so the payload's: nobody else would ever
/// stop it.
pub fn die_with_the_caller() -> Result<()> {
    let what = || "cannot be tied to the caller";
    let caller = getppid();
    set_pdeathsig(Signal::SIGKILL).map_err(|why| Failure::host(what()).because(why))?;
    // It may have died a moment ago.
    if getppid() == caller {
        Ok(())
    } else {
        let kind = Kind::Interrupted(libc::SIGKILL);
        Err(Failure::new(kind, what()).because("it is gone"))
    }
}

/// How airtight is to end.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Code(u8),
    /// Of this signal.
    Signal(i32),
}

impl End {
    /// As the payload did. Shells and docker write death by signal n as 128 + n, which is all that is
    /// known of a payload that we stopped.
    pub fn of(cause: &Cause) -> Self {
        match *cause {
            Cause::Exited { code } => Self::Code(u8::try_from(code).unwrap_or(u8::MAX)),
            Cause::Signaled { signal } => Self::Signal(signal),
            Cause::Oom => Self::Signal(libc::SIGKILL),
            Cause::Timeout => Self::Signal(libc::SIGTERM),
            Cause::Stopped {
                code: code @ 129..=192,
            } => Self::Signal(code - 128),
            Cause::Stopped { code } => Self::Code(u8::try_from(code).unwrap_or(u8::MAX)),
            Cause::StartFailed { .. } | Cause::Lost { .. } => Self::Code(FAILED),
        }
    }

    /// The exit code; of a signal, only when it did not kill us.
    pub fn come(self) -> u8 {
        let signal = match self {
            Self::Code(code) => return code,
            Self::Signal(signal) => signal,
        };
        // The payload's core is the payload's affair; ours would say nothing. It works for everybody.
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        // It fails only for what is no signal, and returns for those that end nobody by default.
        let _ = emulate_default_handler(signal);
        u8::try_from(128 + signal).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_the_payload_ends_us() {
        let lost = Cause::Lost {
            reason: String::new(),
        };
        let failed = Cause::StartFailed {
            code: 126,
            reason: String::new(),
        };
        for (cause, end) in [
            (Cause::Exited { code: 125 }, End::Code(125)),
            (Cause::Signaled { signal: 11 }, End::Signal(11)),
            (Cause::Oom, End::Signal(9)),
            (Cause::Timeout, End::Signal(15)),
            (Cause::Stopped { code: 137 }, End::Signal(9)),
            (Cause::Stopped { code: 3 }, End::Code(3)),
            (lost, End::Code(FAILED)),
            (failed, End::Code(FAILED)),
        ] {
            assert_eq!(End::of(&cause), end, "{cause:?}");
        }
    }
}
