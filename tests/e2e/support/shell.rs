//! Payloads that are shell scripts, and payloads that are looked at from outside while they run.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{Host, Output, runs};

impl Host {
    /// What `script` prints, run by the shell of `busybox:test` with `flags`.
    #[track_caller]
    pub fn sh(&self, flags: &[&str], script: &str) -> String {
        self.run(&with_script(flags, script)).ok()
    }

    /// The same, going on until its stdin ends.
    pub fn start(&self, flags: &[&str], script: &str) -> Running {
        let script = format!("{script}\nexec cat >/dev/null");
        let args = with_script(&[&["run", "-i"], flags].concat(), &script)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Running::of(&mut self.command(&args))
    }

    /// `airtight ARGS` started by a shell after it did `setup`, such as opening descriptors.
    pub fn after(&self, setup: &str, args: &[&str]) -> Output {
        Output::of(&mut runs::after(setup, &self.command(args)))
    }
}

fn with_script<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [flags, &["busybox:test", "sh", "-c", script]].concat()
}

/// A payload that runs until it is told to end.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts `command`, with pipes.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("airtight can be started");
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        }
    }

    /// The next line that it prints; waits for it.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line of text");
        if line.is_empty() {
            let mut said = String::new();
            let stderr = self.child.stderr.take();
            stderr.map(|mut stderr| stderr.read_to_string(&mut said));
            panic!("the payload ended early: {said}");
        }
        line.trim_end().to_owned()
    }

    /// Writes `text` to its stdin.
    pub fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("it is open until the end");
        stdin.write_all(text.as_bytes()).expect("it is read");
    }

    /// Ends its stdin, and waits; what else it printed.
    #[track_caller]
    pub fn end(mut self) -> String {
        drop(self.stdin.take());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("text");
        let said = self.child.stderr.take();
        said.map(|mut said| said.read_to_string(&mut stderr));
        let status = self.child.wait().expect("it can be waited for");
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
        stdout
    }
}
