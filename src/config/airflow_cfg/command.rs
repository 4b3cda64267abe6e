//! Values that are the output of a command (`KEY_cmd`), as Airflow has them for its secrets.
//!
//! In: a command line, without a shell. Out: what it printed. It never waits longer than a limit,
//! keeps more than 64 KiB, shows what was printed, or leaves anything running in its process group.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use thiserror::Error;

use super::words::{self, Unsplittable};

/// How long a command may take. Airflow sets no limit; a vault's client answers in a second or two.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// No secret is larger; an environment variable could hold no more than twice that.
const MAX_OUTPUT: usize = 64 << 10;

/// What the failure of a command quotes of its standard error.
const MAX_QUOTE: usize = 300;

/// Why a command gave no value.
#[derive(Debug, Error)]
pub(super) enum NoOutput {
    #[error("the command is empty")]
    Empty,
    #[error(transparent)]
    Unsplittable(#[from] Unsplittable),
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
    #[error("what it printed is not UTF-8")]
    NotUtf8,
    #[error("{status}: {said}")]
    Failed { status: ExitStatus, said: String },
}

/// Runs `command` and returns its standard output without the newlines at its end.
pub(super) fn output(command: &str, limit: Duration) -> Result<String, NoOutput> {
    let words = words::split(command)?;
    let (program, arguments) = words.split_first().ok_or(NoOutput::Empty)?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| NoOutput::Start {
            program: program.clone(),
            source,
        })?;
    let mut running = Running {
        group: Pid::from_raw(child.id() as i32),
        leader: child,
    };
    let (out, said) = running.gather(limit)?;
    let status = running.end().map_err(NoOutput::Read)?;
    if !status.success() {
        let said = String::from_utf8_lossy(said.get(..MAX_QUOTE).unwrap_or(&said));
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        return Err(NoOutput::Failed { status, said });
    }
    let out = String::from_utf8(out).map_err(|_| NoOutput::NotUtf8)?;
    Ok(out.trim_end_matches(['\n', '\r']).to_owned())
}

/// A command, which leads a process group of its own.
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
    /// Kills what is left of the group, and waits for the command; a second call only repeats the
    /// status.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        // Until its leader is waited for, no other group can have this number.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.leader.wait()
    }

    /// Everything it prints on both streams, until both are closed and it has ended.
    fn gather(&mut self, limit: Duration) -> Result<(Vec<u8>, Vec<u8>), NoOutput> {
        let deadline = Instant::now() + limit;
        let mut out = Stream::new(self.leader.stdout.take().map(OwnedFd::from))?;
        let mut said = Stream::new(self.leader.stderr.take().map(OwnedFd::from))?;
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
                .ok_or(NoOutput::TooSlow { limit })?
                .map_err(NoOutput::Read)?;
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
}

impl Stream {
    fn new(from: Option<OwnedFd>) -> Result<Self, NoOutput> {
        if let Some(pipe) = &from {
            let set = fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            set.map_err(|why| NoOutput::Read(why.into()))?;
        }
        Ok(Self {
            from,
            bytes: Vec::new(),
        })
    }

    /// Takes what is there, without waiting.
    fn read(&mut self) -> Result<(), NoOutput> {
        let Some(pipe) = self.from.take() else {
            return Ok(());
        };
        let mut file = std::fs::File::from(pipe).take((MAX_OUTPUT + 1 - self.bytes.len()) as u64);
        let ended = match file.read_to_end(&mut self.bytes) {
            Ok(_) => true,
            Err(why) if why.kind() == ErrorKind::WouldBlock => false,
            Err(why) => return Err(NoOutput::Read(why)),
        };
        if self.bytes.len() > MAX_OUTPUT {
            return Err(NoOutput::TooMuch);
        }
        if !ended {
            self.from = Some(file.into_inner().into());
        }
        Ok(())
    }
}

fn pidfd(child: &Child) -> Result<Option<OwnedFd>, NoOutput> {
    let pid = Pid::from_raw(child.id() as i32);
    let handle = pid
        .map(|pid| pidfd_open(pid, PidfdFlags::empty()))
        .transpose();
    handle.map_err(|why| NoOutput::Read(why.into()))
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

    fn why(command: &str) -> String {
        output(command, LIMIT).unwrap_err().to_string()
    }

    #[test]
    fn the_output_is_the_value_without_its_last_newline() {
        assert_eq!(output("printf ' a\\nb\\n\\n'", LIMIT).unwrap(), " a\nb");
        assert_eq!(output("true", LIMIT).unwrap(), "");
    }

    #[test]
    fn no_shell_takes_part() {
        assert_eq!(
            output("echo $HOME '*'; true", LIMIT).unwrap(),
            "$HOME *; true"
        );
    }

    #[test]
    fn a_failure_quotes_what_it_said_but_not_what_it_printed() {
        let why = why("sh -c 'echo secret; echo no vault >&2; exit 3'");
        assert!(
            why.contains('3') && why.contains("no vault") && !why.contains("secret"),
            "{why}"
        );
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        assert_eq!(why(" "), "the command is empty");
        assert_eq!(
            why("/no/such/program x"),
            "cannot start \"/no/such/program\""
        );
    }

    #[test]
    fn a_command_that_does_not_end_is_killed_with_its_children() {
        let limit = Duration::from_millis(50);
        for command in [
            "sleep 1000",
            "sh -c 'sleep 1000 & exec >&- 2>&-; wait'",
            "sh -c 'sleep 1000 &'",
        ] {
            assert!(
                matches!(output(command, limit), Err(NoOutput::TooSlow { .. })),
                "{command}"
            );
        }
    }

    #[test]
    fn what_a_command_leaves_behind_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("held-by-the-child");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let held = nix::fcntl::open(&fifo, flags, nix::sys::stat::Mode::empty()).unwrap();
        let command = format!("sh -c 'exec 3>{}; sleep 1000 >&- 2>&- &'", fifo.display());
        output(&command, LIMIT).unwrap();
        let mut polled = [PollFd::new(held.as_fd(), PollFlags::POLLIN)];
        assert_eq!(
            poll(&mut polled, PollTimeout::from(10_000u16)),
            Ok(1),
            "the FIFO is still open"
        );
    }

    #[test]
    fn endless_output_is_refused_on_either_stream() {
        assert!(matches!(
            output("cat /dev/zero", LIMIT),
            Err(NoOutput::TooMuch)
        ));
        assert!(matches!(
            output("sh -c 'cat /dev/zero >&2'", LIMIT),
            Err(NoOutput::TooMuch)
        ));
        assert!(matches!(
            output("printf '\\377'", LIMIT),
            Err(NoOutput::NotUtf8)
        ));
    }
}
