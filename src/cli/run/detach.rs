//! `airtight run -d`: the run's owner goes on in the background.
//!
//! The airtight that was called starts itself again, with the same arguments and the end of a pipe. That
//! one is the owner, an ordinary run in a session of its own; until the payload has been started it speaks
//! on the caller's stderr and dies with the caller. It has the caller's stdin only while it reads settings
//! (`--env-file /dev/stdin`): the payload must never get it. Then it writes the id to the pipe, which the caller
//! prints; an owner that ends without it has said why, and its exit code is the caller's.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};

use clap::{Arg, ArgMatches};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{dup2_stderr, dup2_stdin, setsid};

use crate::cli::{out, settings};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::inherited;

/// The flag of `run`, and its name among clap's.
pub const DETACH: &str = "detach";

/// The flag of the owner in the background, and its name among clap's.
const OWNER: &str = "background-owner";

/// `--detach`.
pub fn detach_flag() -> Arg {
    settings::switch(Arg::new(DETACH).long(DETACH))
        .short('d')
        .help("Goes on in the background and prints the id: airtight logs, wait and rm take it, and --name")
}

/// What the owner is started with, in front of everything else.
pub fn flag() -> Arg {
    Arg::new(OWNER)
        .long(OWNER)
        .value_name("FD")
        .value_parser(clap::value_parser!(i32))
        .hide(true)
        .help("For airtight run -d: where it is told that the payload runs")
}

/// Whether `matches` of `run` ask for an owner in the background.
pub fn is_wanted(matches: &ArgMatches) -> bool {
    matches.get_one::<bool>(DETACH).copied().unwrap_or_default() && !matches.get_flag("dry-run")
}

/// Starts the owner and waits until the payload runs.
pub fn start() -> Result<ExitCode> {
    let cannot = || "cannot start an owner in the background";
    let (mut told, tell) = pipe().or_fail(Kind::Host, cannot)?;
    let mut owner = spawn(tell).or_fail(Kind::Host, cannot)?;
    let id = read(&mut told).or_fail(Kind::Host, cannot)?;
    if let Some(id) = id.strip_suffix('\n') {
        out::print(&format!("{id}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = owner.wait().or_fail(Kind::Host, cannot)?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(125))),
        (None, signal) => Err(Failure::host("the run did not start").because(format!(
            "its owner in the background was killed by signal {}",
            signal.unwrap_or_default()
        ))),
    }
}

fn spawn(tell: PipeWriter) -> std::io::Result<Child> {
    let mut words = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(words.next().unwrap_or_else(|| OsString::from("airtight")));
    let number = tell.as_raw_fd();
    command
        .arg(format!("--{OWNER}={number}"))
        .args(words)
        .stdout(Stdio::null());
    inherited::hand_over(&mut command, vec![(OwnedFd::from(tell), number)])?;
    // With the command, our end goes.
    command.spawn()
}

fn read(told: &mut PipeReader) -> std::io::Result<String> {
    let mut id = String::new();
    told.read_to_string(&mut id)?;
    Ok(id)
}

/// Who waits for the start, as the owner sees it.
pub struct Caller(RefCell<Option<PipeWriter>>);

impl Caller {
    /// The one that `matches` of the whole command line speak of: from now on we are an owner in the
    /// background.
    pub fn of(matches: &ArgMatches) -> Result<Option<Self>> {
        let Some(number) = matches.get_one::<i32>(OWNER) else {
            return Ok(None);
        };
        let cannot = || "cannot go to the background";
        let tell = inherited::take(*number).or_fail(Kind::Usage, cannot)?;
        // No terminal can hang us up.
        setsid().or_fail(Kind::Host, cannot)?;
        set_pdeathsig(Signal::SIGTERM).or_fail(Kind::Host, cannot)?;
        // It may have died a moment ago.
        if has_no_reader(&tell).or_fail(Kind::Host, cannot)? {
            let failure = Failure::new(Kind::Interrupted(libc::SIGTERM), cannot());
            return Err(failure.because("the caller is gone"));
        }
        Ok(Some(Self(RefCell::new(Some(PipeWriter::from(tell))))))
    }

    /// The settings are read: from now on our stdin is `/dev/null`, and the caller's is the caller's alone.
    pub fn let_go_of_stdin(&self) -> Result<()> {
        File::open("/dev/null")
            .and_then(|nothing| Ok(dup2_stdin(nothing)?))
            .or_fail(Kind::Host, || "cannot let go of the caller's stdin")
    }

    /// The payload of `id` runs: its caller may go, and what we have to say goes nowhere.
    pub fn tell(&self, id: &ContainerId) {
        let Some(mut tell) = self.0.borrow_mut().take() else {
            return;
        };
        // All of it can fail only where the caller is gone or the kernel has nothing left; the payload
        // runs, and is to go on.
        let _ = set_pdeathsig(None);
        if let Ok(nothing) = File::options().write(true).open("/dev/null") {
            let _ = dup2_stderr(nothing);
        }
        let _ = tell.write_all(format!("{id}\n").as_bytes());
    }
}

/// Whether nobody can read from the pipe `tell` any more (pipe(7), poll(2)).
fn has_no_reader(tell: &OwnedFd) -> nix::Result<bool> {
    let mut watched = [PollFd::new(tell.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::ZERO)?;
    Ok(watched.iter().any(|one| one.any().unwrap_or_default()))
}
