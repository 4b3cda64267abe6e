//! Programs of the operator's that give a value: the commands of airflow.cfg, the image hook.
//!
//! In: a command, and how long it may take. Out: how it ended and what it printed. It has nothing on
//! its stdin, never takes longer or prints more than it may, and leaves nothing running in its
//! process group.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use thiserror::Error;

/// What is kept of a stream. No secret and no image's name is larger; an environment variable could
/// hold no more than twice that.
const MAX_OUTPUT: usize = 64 << 10;

/// What happens when a program says more than is kept on its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLongSpeech {
    /// It fails.
    Refuse,
    /// The end of it is kept: that is where an error is.
    KeepEnd,
}

/// A program that ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub status: ExitStatus,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub said: Vec<u8>,
}

/// Why a program did not come to its end.
#[derive(Debug, Error)]
pub(super) enum NoEnd {
    #[error("cannot start {program:?}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    #[error("cannot read what it prints")]
    Read(#[source] std::io::Error),
    #[error("it did not end within {} s", limit.as_secs())]
    TooSlow { limit: Duration },
    #[error("it printed more than 64 KiB")]
    TooMuch,
}

/// Runs `command` to its end.
pub(super) fn run(
    mut command: Command,
    speech: OnLongSpeech,
    limit: Duration,
) -> Result<Ended, NoEnd> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = command.spawn().map_err(|source| NoEnd::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    let mut running = Running {
        group: Pid::from_raw(child.id() as i32),
        leader: child,
    };
    let (out, said) = running.gather(speech, limit)?;
    let status = running.end().map_err(NoEnd::Read)?;
    Ok(Ended { status, out, said })
}

/// A program, which leads a process group of its own.
struct Running {
    leader: Child,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Running {
    /// Kills what is left of the group, and waits for the program; a second call only repeats the
    /// status.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        // Until its leader is waited for, no other group can have this number.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.leader.wait()
    }

    /// Everything it prints on both streams, until both are closed and it has ended.
    fn gather(
        &mut self,
        speech: OnLongSpeech,
        limit: Duration,
    ) -> Result<(Vec<u8>, Vec<u8>), NoEnd> {
        let deadline = Instant::now() + limit;
        let out = self.leader.stdout.take().map(OwnedFd::from);
        let mut out = Stream::new(out, OnLongSpeech::Refuse)?;
        let said = self.leader.stderr.take().map(OwnedFd::from);
        let mut said = Stream::new(said, speech)?;
        let mut ended = pidfd(&self.leader)?;
        loop {
            let open: Vec<BorrowedFd> = [&out.from, &said.from, &ended]
                .into_iter()
                .flatten()
                .map(AsFd::as_fd)
                .collect();
            if open.is_empty() {
                return Ok((out.bytes, said.bytes));
            }
            wait(&open, deadline)
                .ok_or(NoEnd::TooSlow { limit })?
                .map_err(NoEnd::Read)?;
            drop(open);
            out.read()?;
            said.read()?;
            ended = ended.filter(|handle| !is_ready(handle));
        }
    }
}

/// One pipe and what came out of it; closed when it ended.
struct Stream {
    from: Option<OwnedFd>,
    bytes: Vec<u8>,
    on_more: OnLongSpeech,
}

impl Stream {
    fn new(from: Option<OwnedFd>, on_more: OnLongSpeech) -> Result<Self, NoEnd> {
        if let Some(pipe) = &from {
            let set = fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            set.map_err(|why| NoEnd::Read(why.into()))?;
        }
        Ok(Self {
            from,
            bytes: Vec::new(),
            on_more,
        })
    }

    /// Takes what is there, without waiting, but no more than is kept: the other stream and the
    /// deadline are to have their turn.
    fn read(&mut self) -> Result<(), NoEnd> {
        let Some(pipe) = self.from.take() else {
            return Ok(());
        };
        let mut file = std::fs::File::from(pipe).take(MAX_OUTPUT as u64);
        let ended = match file.read_to_end(&mut self.bytes) {
            Ok(count) => count < MAX_OUTPUT,
            Err(why) if why.kind() == ErrorKind::WouldBlock => false,
            Err(why) => return Err(NoEnd::Read(why)),
        };
        if let Some(surplus @ 1..) = self.bytes.len().checked_sub(MAX_OUTPUT) {
            match self.on_more {
                OnLongSpeech::Refuse => return Err(NoEnd::TooMuch),
                OnLongSpeech::KeepEnd => drop(self.bytes.drain(..surplus)),
            }
        }
        if !ended {
            self.from = Some(file.into_inner().into());
        }
        Ok(())
    }
}

fn pidfd(child: &Child) -> Result<Option<OwnedFd>, NoEnd> {
    let pid = Pid::from_raw(child.id() as i32);
    let handle = pid
        .map(|pid| pidfd_open(pid, PidfdFlags::empty()))
        .transpose();
    handle.map_err(|why| NoEnd::Read(why.into()))
}

/// Waits until one of them is ready; `None` when the deadline has passed.
fn wait(descriptors: &[BorrowedFd], deadline: Instant) -> Option<std::io::Result<()>> {
    let left = deadline.checked_duration_since(Instant::now())?;
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut polled: Vec<_> = descriptors
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    match poll(&mut polled, timeout) {
        Ok(0) if Instant::now() >= deadline => None,
        Ok(_) | Err(nix::Error::EINTR) => Some(Ok(())),
        Err(why) => Some(Err(why.into())),
    }
}

fn is_ready(handle: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn sh(script: &str, speech: OnLongSpeech, limit: Duration) -> Result<Ended, NoEnd> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, speech, limit)
    }

    #[test]
    fn the_streams_are_kept_apart_and_the_status_is_told() {
        let ended = sh(
            "cat; echo out; echo said >&2; exit 3",
            OnLongSpeech::Refuse,
            LIMIT,
        )
        .unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(
            (&ended.out[..], &ended.said[..]),
            (&b"out\n"[..], &b"said\n"[..])
        );
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        let why = run(
            Command::new("/no/such/program"),
            OnLongSpeech::Refuse,
            LIMIT,
        );
        assert_eq!(
            why.unwrap_err().to_string(),
            "cannot start \"/no/such/program\""
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_its_children() {
        let limit = Duration::from_millis(50);
        for script in [
            "exec sleep 1000",
            "sleep 1000 & exec >&- 2>&-; wait",
            "sleep 1000 &",
        ] {
            let ended = sh(script, OnLongSpeech::Refuse, limit);
            assert!(matches!(ended, Err(NoEnd::TooSlow { .. })), "{script}");
        }
    }

    #[test]
    fn what_a_program_leaves_behind_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("held-by-the-child");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let held = nix::fcntl::open(&fifo, flags, nix::sys::stat::Mode::empty()).unwrap();
        let script = format!("exec 3>{}; sleep 1000 >&- 2>&- &", fifo.display());
        sh(&script, OnLongSpeech::Refuse, LIMIT).unwrap();
        let mut polled = [PollFd::new(held.as_fd(), PollFlags::POLLIN)];
        assert_eq!(
            poll(&mut polled, PollTimeout::from(10_000u16)),
            Ok(1),
            "the FIFO is still open"
        );
    }

    #[test]
    fn endless_output_is_refused_on_either_stream() {
        for script in ["exec cat /dev/zero", "exec cat /dev/zero >&2"] {
            let ended = sh(script, OnLongSpeech::Refuse, LIMIT);
            assert!(matches!(ended, Err(NoEnd::TooMuch)), "{script}");
        }
    }

    #[test]
    fn the_end_of_a_long_speech_is_kept() {
        let script = "head -c 300000 /dev/zero >&2; echo why >&2";
        let ended = sh(script, OnLongSpeech::KeepEnd, LIMIT).unwrap();
        assert!(ended.said.ends_with(b"\0why\n") && ended.said.len() == MAX_OUTPUT);
        let endless = sh(
            "exec cat /dev/zero >&2",
            OnLongSpeech::KeepEnd,
            Duration::from_millis(50),
        );
        assert!(matches!(endless, Err(NoEnd::TooSlow { .. })));
    }
}
