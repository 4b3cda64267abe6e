//! What a finished command said.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Exit code and texts.
#[derive(Debug)]
pub struct Output {
    /// The exit code, or 128 and the signal's number.
    pub code: i32,
    /// As text.
    pub stdout: String,
    /// As text.
    pub stderr: String,
}

impl Output {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the command can be started");
        let signal = || 128 + output.status.signal().unwrap_or_default();
        Self {
            code: output.status.code().unwrap_or_else(signal),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs `command` to its end with `input` on a pipe as its stdin.
    pub fn with_stdin(command: &mut Command, input: &[u8]) -> Self {
        let (reader, mut writer) = std::io::pipe().unwrap();
        // A pipe of Linux holds this much (pipe(7)).
        assert!(input.len() <= 65_536);
        writer.write_all(input).unwrap();
        drop(writer);
        Self::of(command.stdin(reader))
    }

    /// Asserts that it was a reap that found a clean host.
    #[track_caller]
    pub fn nothing_is_left_over(&self) {
        let said = (self.code, self.stdout.as_str(), self.stderr.as_str());
        assert_eq!(said, (0, "", "airtight: nothing is left over\n"));
    }

    /// Asserts success, and that airtight itself said nothing; the payload's output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self.stdout
    }

    /// Asserts that airtight refused (125), saying each of `words`, with nothing on stdout.
    #[track_caller]
    pub fn refused(self, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (125, ""), "{self:?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} is not in {:?}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{:?}", self.stderr);
    }
}
