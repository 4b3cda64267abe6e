//! An `airtight` that is running: its output line by line, signals to it, its end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Output;
use super::processes::{LIMIT, until};

/// A child that a failed test does not leave behind.
pub struct Kept(pub Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // It has been waited for where the test went well; then neither does anything.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running command.
pub struct Run {
    child: Kept,
    stdout: Option<File>,
    stderr: Receiver<Vec<u8>>,
}

impl Run {
    /// Starts `command` with pipes as stdout and stderr.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command can be started");
        let stdout = child
            .stdout
            .take()
            .map(|pipe| File::from(std::os::fd::OwnedFd::from(pipe)));
        let stderr = read_all(child.stderr.take().unwrap());
        Self {
            child: Kept(child),
            stdout,
            stderr,
        }
    }

    /// Starts `command`, whose payload says `ready` on its first line, and waits for that.
    #[track_caller]
    pub fn ready(command: &mut Command) -> Self {
        let mut run = Self::start(command);
        let line = run.line();
        if line != "ready" {
            let output = run.end();
            panic!("{line:?} in place of ready, then {output:?}");
        }
        run
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.0.id()).unwrap()
    }

    /// The next line of its stdout without its end; less when stdout ends.
    #[track_caller]
    pub fn line(&mut self) -> String {
        line(self.stdout.as_mut().expect("stdout is open"))
    }

    /// Whether there is something of its stdout that was not read yet.
    pub fn has_output(&self) -> bool {
        let stdout = self.stdout.as_ref().expect("stdout is open");
        let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        poll(&mut watched, PollTimeout::ZERO) != Ok(0)
    }

    /// Closes our end of its stdout.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Whether its stdin is a pipe of ours.
    pub fn has_stdin(&self) -> bool {
        self.child.0.stdin.is_some()
    }

    /// Writes to its stdin, which must be a pipe.
    pub fn write(&mut self, bytes: &[u8]) {
        self.child
            .0
            .stdin
            .as_mut()
            .unwrap()
            .write_all(bytes)
            .unwrap();
    }

    /// Ends its stdin.
    pub fn close_stdin(&mut self) {
        self.child.0.stdin = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end; what is left of its output.
    #[track_caller]
    pub fn end(mut self) -> Output {
        self.close_stdin();
        let stdout = self.stdout.take().map(read_all);
        let status = wait(&mut self.child.0);
        let text = |bytes: &Receiver<Vec<u8>>| {
            let bytes = bytes
                .recv_timeout(LIMIT)
                .expect("the pipe is closed by everybody");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Output {
            code: code(status),
            stdout: stdout.as_ref().map(text).unwrap_or_default(),
            stderr: text(&self.stderr),
        }
    }

    /// Kills it at once (SIGKILL) and waits for its end.
    pub fn destroy(self) {
        drop(self.child);
    }
}

/// The exit code as a shell shows it.
pub fn code(status: ExitStatus) -> i32 {
    let signal = || 128 + status.signal().unwrap_or_default();
    status.code().unwrap_or_else(signal)
}

/// Waits for `child`; one that hangs is killed, and the test fails.
#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("airtight has ended", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// The next line from `file` without its end; less when the file ends.
#[track_caller]
pub fn line(file: &mut File) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        let limit = PollTimeout::try_from(LIMIT).unwrap();
        let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        assert_ne!(poll(&mut watched, limit), Ok(0), "no line came: {line:?}");
        match file.read(&mut byte) {
            Ok(1) if byte != *b"\n" => line.push(byte[0]),
            _ => return String::from_utf8_lossy(&line).into_owned(),
        }
    }
}

/// Everything that comes from `file`, when it has ended.
pub fn read_all(mut file: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pseudo-terminal ends with an error.
        let _ = file.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// `command` started by bash after `script`, which may open and close descriptors.
pub fn after(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &format!("{script}\nexec \"$@\""), "bash"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null());
    shell
}

/// `command` with no signal ignored, though the tests themselves be run by nohup(1).
pub fn hearing(command: &Command) -> Command {
    after("set -- env --default-signal=HUP,INT,QUIT \"$@\"", command)
}

/// What airtight wrote with `--verdict`.
#[track_caller]
pub fn verdict(path: &Path) -> serde_json::Value {
    let text = std::fs::read(path).expect("there is a verdict");
    serde_json::from_slice(&text).expect("the verdict is JSON")
}
