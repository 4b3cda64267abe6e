//! From what was seen of a payload's end to its cause.

use nix::errno::Errno;
use nix::libc;

use super::verdict::Cause;
use crate::cgroup::Usage;
use crate::failure::Failure;
use crate::leash::{Stage, StartFailure, Status};

/// Why the payload was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Somebody sent us SIGTERM, or interrupted us three times.
    Stop,
    /// The time limit passed.
    Timeout,
}

/// What was seen.
#[derive(Debug)]
pub struct End {
    /// Of the payload.
    pub payload: PayloadEnd,
    /// Of us.
    pub asked: Option<Asked>,
}

/// What was seen of the payload's end, most trustworthy first.
#[derive(Debug)]
pub enum PayloadEnd {
    /// The init waited for it.
    Status(Status),
    /// The init could not start it.
    StartFailed(StartFailure),
    /// The shim waited for the first process; 128 and the number for a signal.
    TaskStatus(u32),
    /// The task vanished, or the leash broke in a way that tells nothing.
    Lost(String),
    /// Nobody says anything.
    Unknown(String),
}

impl End {
    /// Nobody asked for it, and nobody knows more.
    pub fn lost(why: &Failure) -> Self {
        Self {
            payload: PayloadEnd::Lost(why.to_string()),
            asked: None,
        }
    }

    /// The cause, with what the cgroup counted. An exit code cannot show that memory ran out.
    pub fn cause(&self, program: &str, usage: &Usage) -> Cause {
        let oom = usage.oom_kills.is_some_and(|kills| kills > 0);
        if let PayloadEnd::StartFailed(failure) = &self.payload {
            return Cause::StartFailed {
                code: failure.exit_code().into(),
                reason: reason(program, *failure),
            };
        }
        match (self.asked, &self.payload) {
            (Some(Asked::Timeout), _) => Cause::Timeout,
            (Some(Asked::Stop), PayloadEnd::Status(status)) => Cause::Stopped {
                code: status.exit_code().into(),
            },
            (Some(Asked::Stop), PayloadEnd::TaskStatus(status)) => Cause::Stopped {
                code: code(*status),
            },
            (_, PayloadEnd::Status(Status::Signal(signal) | Status::CoreDumped(signal))) => {
                if oom && signal.get() == libc::SIGKILL {
                    Cause::Oom
                } else {
                    Cause::Signaled {
                        signal: signal.get(),
                    }
                }
            }
            // A shell around the task hands its child's death on as a code.
            (_, PayloadEnd::Status(Status::Code(137))) if oom => Cause::Oom,
            (_, PayloadEnd::Status(Status::Code(code))) => Cause::Exited {
                code: i32::from(*code),
            },
            (_, PayloadEnd::TaskStatus(137)) if oom => Cause::Oom,
            (_, PayloadEnd::TaskStatus(status)) => Cause::Exited {
                code: code(*status),
            },
            (_, PayloadEnd::Lost(reason) | PayloadEnd::Unknown(reason)) => Cause::Lost {
                reason: reason.clone(),
            },
            // Answered above.
            (_, PayloadEnd::StartFailed(failure)) => Cause::StartFailed {
                code: failure.exit_code().into(),
                reason: reason(program, *failure),
            },
        }
    }
}

/// containerd reports 255 where it knows nothing better; codes are a byte.
fn code(status: u32) -> i32 {
    i32::try_from(status).unwrap_or(255)
}

fn reason(program: &str, failure: StartFailure) -> String {
    let errno = Errno::from_raw(failure.errno);
    match failure.stage {
        Stage::Search => format!("{program:?} is not in the image, nor in a directory of its PATH"),
        Stage::Exec if errno == Errno::ENOENT => {
            format!("{program:?} needs an interpreter or loader that is not in the image")
        }
        Stage::Exec if errno == Errno::ENOEXEC => {
            format!("{program:?} is no program for this machine, nor a script that begins with #!")
        }
        Stage::Exec => format!("{program:?} cannot be executed: {}", errno.desc()),
        Stage::Descriptors => format!("descriptors cannot be handed over: {}", errno.desc()),
        Stage::Terminal => format!("the image's /dev has no usable terminal: {}", errno.desc()),
        Stage::Fork => format!("no process can be started: {}", errno.desc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leash::SignalNumber;

    fn cause(payload: PayloadEnd, asked: Option<Asked>, oom_kills: u64) -> Cause {
        let usage = Usage {
            oom_kills: Some(oom_kills),
            ..Usage::default()
        };
        End { payload, asked }.cause("x", &usage)
    }

    #[test]
    fn a_kill_with_an_oom_kill_counted_is_oom_and_without_is_a_signal() {
        let killed = || PayloadEnd::Status(Status::Signal(SignalNumber::KILL));
        assert_eq!(cause(killed(), None, 1), Cause::Oom);
        assert_eq!(cause(killed(), None, 0), Cause::Signaled { signal: 9 });
        assert_eq!(
            cause(PayloadEnd::Status(Status::Code(0)), None, 1),
            Cause::Exited { code: 0 }
        );
    }

    #[test]
    fn what_we_asked_for_is_the_cause() {
        let term = || PayloadEnd::Status(Status::Signal(SignalNumber::TERM));
        assert_eq!(cause(term(), Some(Asked::Timeout), 0), Cause::Timeout);
        assert_eq!(
            cause(term(), Some(Asked::Stop), 0),
            Cause::Stopped { code: 143 }
        );
    }

    #[test]
    fn a_missing_command_is_127_and_an_unusable_one_126() {
        let failed = |stage| {
            PayloadEnd::StartFailed(StartFailure {
                stage,
                errno: libc::ENOENT,
            })
        };
        assert_eq!(cause(failed(Stage::Search), None, 0).code(), 127);
        assert_eq!(cause(failed(Stage::Exec), None, 0).code(), 126);
    }

    #[test]
    fn nobody_knows_is_lost_and_never_a_code_of_the_payload() {
        assert_eq!(cause(PayloadEnd::Lost("gone".into()), None, 0).code(), 125);
    }
}
