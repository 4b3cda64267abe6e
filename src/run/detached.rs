//! What is different in a run without a terminal of ours, without our stdout, and with a log: its payload
//! gets the pipes that the shim has made to the log's writer, so that nothing of its output goes through us.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::papers::Papers;
use super::task::TaskStdio;
use crate::config::values::OnConflict;
use crate::failure::{Context, Failure, Kind, Result};
use crate::log::writer;
use crate::plan::{Plan, Process};

/// The payload's descriptors, and what we hold of them.
pub struct Streams {
    /// stdin, stdout and stderr for the payload.
    pub inside: [OwnedFd; 3],
    /// The other end of its stdin, where that is to stay open without anybody writing to it.
    pub stdin: Option<OwnedFd>,
}

/// Refuses what a detached run cannot have.
pub fn check(plan: &Plan) -> Result<()> {
    let process = &plan.process;
    if let Some(number) = process.pass_fds.iter().find(|number| **number <= 2) {
        return Err(Failure::usage(format!("cannot pass descriptor {number}"))
            .because("the output of a detached run (-d) goes to its log")
            .hint("airtight logs shows it; --pass-fd takes numbers from 3 on"));
    }
    if let Some(key) = &plan.key
        && key.on_conflict == OnConflict::Attach
    {
        return Err(Failure::usage("-d and --on-conflict attach cannot be together")
            .because("nobody would see what one is attached to")
            .hint("airtight wait says how the run with the key ends, and airtight logs what it wrote"));
    }
    if process.interactive && !process.init {
        return Err(Failure::usage(
            "-d with -i needs the init: without it nobody can hold stdin open",
        )
        .hint("leave out -i or --no-init"));
    }
    Ok(())
}

/// What containerd has to be told.
pub fn task_stdio(process: &Process, papers: &Papers) -> Result<TaskStdio> {
    let writer = papers.log().map(|log| writer::address(&log)).transpose()?;
    let writer = writer.unwrap_or_default();
    Ok(TaskStdio {
        stdin: String::new(),
        stdout: writer.clone(),
        stderr: if process.terminal {
            String::new()
        } else {
            writer
        },
        // The init makes a terminal itself.
        terminal: process.terminal && !process.init,
    })
}

/// Fails where nobody writes the log that is to be written: the payload would die of its first line.
pub fn check_log(papers: &Papers) -> Result<()> {
    match papers.log() {
        Some(log) if !writer::is_written(&log) => {
            Err(Failure::host("the writer of the log has ended at once")
                .because(format!("nobody writes {}", log.display()))
                .hint("--log-driver none does without a log"))
        }
        _ => Ok(()),
    }
}

/// The payload's descriptors: those that the init, process `pid`, got from the shim.
pub fn streams(process: &Process, pid: i32) -> Result<Streams> {
    let what = || "cannot prepare the payload's stdin, stdout and stderr";
    let (inside, stdin) = stdin(process).or_fail(Kind::Host, what)?;
    let [stdout, stderr] = [1, 2].map(|number| output(pid, number));
    Ok(Streams {
        inside: [
            inside,
            stdout.or_fail(Kind::Host, what)?.into(),
            stderr.or_fail(Kind::Host, what)?.into(),
        ],
        stdin,
    })
}

/// A further end of the pipe that is descriptor `number` of process `pid` (proc_pid_fd(5)).
pub fn output(pid: i32, number: i32) -> io::Result<File> {
    File::options()
        .write(true)
        .open(format!("/proc/{pid}/fd/{number}"))
}

/// With -i, a pipe that nobody writes to and that does not end, as docker has it.
fn stdin(process: &Process) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    if process.interactive {
        let (reader, writer) = io::pipe()?;
        Ok((reader.into(), Some(writer.into())))
    } else {
        Ok((File::open("/dev/null")?.into(), None))
    }
}
