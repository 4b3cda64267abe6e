//! Why a container ended, in words for the people whose DAG files were in it.
//!
//! In: airtight's verdict, its process's end, what was written on its standard output and standard error.
//! Out: one [`Death`]. Both the verdict and the words may be missing or cut.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::Deserialize;

use crate::failure::Kind;

/// How many of the last lines are kept for an explanation: a traceback's end.
const MAX_LINES: usize = 20;

/// The longest line that is kept whole.
const MAX_LINE: usize = 1000;

/// How many lines of one container are handed on: what it writes is its program's, who may be hostile.
const MAX_TOLD: usize = 200;

/// Larger than any verdict.
const MAX_VERDICT: u64 = 1 << 20;

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Whether it never began, because what it read was not what the keeper had read.
    pub changed: bool,
    /// The reason.
    pub why: String,
}

/// What of a verdict counts here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verdict {
    cause: String,
    code: Option<i32>,
    signal: Option<i32>,
    reason: Option<String>,
    oom_kills: Option<u64>,
}

impl Death {
    /// Puts the reasons together; `killed` is why we killed it ourselves.
    pub fn of(
        verdict: &OwnedFd,
        status: io::Result<ExitStatus>,
        killed: Option<String>,
        words: &LastWords,
    ) -> Self {
        let verdict = read(verdict).unwrap_or_default();
        let changed =
            verdict.cause == "start-failed" && verdict.code == Some(Kind::Changed.exit_code());
        let mut why = match killed {
            Some(why) => why,
            None => verdict.words().unwrap_or_else(|| process_words(status)),
        };
        let quiet = matches!(verdict.cause.as_str(), "start-failed" | "lost" | "oom");
        if !quiet && !words.is_empty() {
            why.push_str(":\n");
            why.push_str(&words.text());
        }
        Self { changed, why }
    }
}

impl Verdict {
    fn words(&self) -> Option<String> {
        let mut words = match (self.cause.as_str(), self.code, self.signal) {
            ("exited", Some(code), _) => format!("its program exited with code {code}"),
            ("signaled", _, Some(signal)) => format!("its program was killed by signal {signal}"),
            ("oom", ..) => "its program was killed for memory".into(),
            ("timeout", ..) => "its time limit passed".into(),
            ("stopped", ..) => "it was stopped".into(),
            ("start-failed", ..) => self.reason.clone()?,
            ("lost", ..) => format!("it was lost: {}", self.reason.clone()?),
            _ => return None,
        };
        if let (Some(kills @ 1..), true) = (self.oom_kills, self.cause != "oom") {
            words.push_str(&format!(
                "; {kills} of its processes were killed for memory"
            ));
        }
        Some(words)
    }
}

fn read(verdict: &OwnedFd) -> io::Result<Verdict> {
    let mut file = File::from(verdict.as_fd().try_clone_to_owned()?);
    file.rewind()?;
    let mut text = Vec::new();
    file.take(MAX_VERDICT).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn process_words(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match status.signal() {
            Some(signal) => format!("airtight run was killed by signal {signal}"),
            None => format!("airtight run ended without a verdict ({status})"),
        },
        Err(why) => format!("nobody knows how airtight run ended: {why}"),
    }
}

/// The lines that were written, as far as they are of use to anybody.
#[derive(Debug, Default)]
pub struct LastWords {
    line: Vec<u8>,
    kept: VecDeque<String>,
    fresh: Vec<String>,
    told: usize,
}

impl LastWords {
    /// Takes in what was written next.
    pub fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                _ if self.line.len() < MAX_LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if self.kept.len() == MAX_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(line.clone());
        self.told += 1;
        match self.told {
            ..MAX_TOLD => self.fresh.push(line),
            MAX_TOLD => self.fresh.push("… and more, which is not shown".into()),
            _ => {}
        }
    }

    /// The lines that are complete since the last time.
    pub fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh)
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.line.is_empty()
    }

    fn text(&self) -> String {
        let mut lines: Vec<&str> = self.kept.iter().map(String::as_str).collect();
        let rest = String::from_utf8_lossy(&self.line);
        if !rest.is_empty() {
            lines.push(&rest);
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn death(verdict: &str, killed: Option<&str>, said: &str) -> Death {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(verdict.as_bytes()).unwrap();
        let mut words = LastWords::default();
        words.hear(said.as_bytes());
        let status = Ok(ExitStatus::from_raw(9));
        Death::of(&file.into(), status, killed.map(str::to_owned), &words)
    }

    #[test]
    fn the_verdict_says_why_and_the_last_words_say_more() {
        let why = |verdict, said| death(verdict, None, said).why;
        assert_eq!(
            why(r#"{"cause": "exited", "code": 1, "oom_kills": 2}"#, "a\nb"),
            "its program exited with code 1; 2 of its processes were killed for memory:\na\nb"
        );
        assert_eq!(
            why(
                r#"{"cause": "start-failed", "code": 127, "reason": "no python3"}"#,
                "x\n"
            ),
            "no python3"
        );
        assert_eq!(why("", ""), "airtight run was killed by signal 9");
        assert_eq!(why("[1", ""), "airtight run was killed by signal 9");
        let killed = death("", Some("it did not end by itself"), "");
        assert_eq!(killed.why, "it did not end by itself");
    }

    #[test]
    fn what_was_changed_in_between_is_known_by_its_code() {
        let changed = |code: i32| {
            let verdict = format!(r#"{{"cause": "start-failed", "code": {code}, "reason": "x"}}"#);
            death(&verdict, None, "").changed
        };
        assert!(changed(Kind::Changed.exit_code()));
        assert!(!changed(125));
        let exited = r#"{"cause": "exited", "code": 120}"#;
        assert!(
            !death(exited, None, "").changed,
            "a program can exit with any code"
        );
    }

    #[test]
    fn of_many_and_long_lines_the_last_are_kept() {
        let mut words = LastWords::default();
        for number in 0..1000 {
            words.hear(format!("{number}{}\n", "x".repeat(5000)).as_bytes());
        }
        assert_eq!(words.lines().len(), MAX_TOLD);
        assert!(words.text().starts_with("980x"));
        assert_eq!(words.text().len(), MAX_LINES * (MAX_LINE + 1) - 1);
    }
}
