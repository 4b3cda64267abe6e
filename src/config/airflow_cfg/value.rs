//! One value of airflow.cfg or of the environment, with its origin, and how Airflow converts it.
//!
//! In: text as [`AirflowConfig`](super::AirflowConfig) found it. Out: truth values, or a failure that
//! names the origin.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::secret::beginning;
use super::python;
use crate::failure::{Failure, Place, Result};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of airflow.cfg: the one with the key.
    File {
        /// The file as it was named or found.
        path: Arc<PathBuf>,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable {
        /// `AIRFLOW__SECTION__KEY`.
        name: String,
    },
    /// The output of a command.
    Command {
        /// Where the command was written.
        written: Box<Origin>,
    },
}

impl Origin {
    /// The line of the file, also for a command that is written there.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::File { path, line } => Some(Place {
                path: Arc::clone(path),
                line: u64::try_from(*line).ok(),
                column: None,
            }),
            Self::Variable { .. } => None,
            Self::Command { written } => written.place(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable { name } => write!(f, "${name}"),
            Self::Command { written } => write!(f, "the command of {written}"),
        }
    }
}

/// Which section a value stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The one that was asked for.
    Own,
    /// `[DEFAULT]`, from which every section inherits.
    Default,
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The section that was asked for.
    pub section: String,
    /// In lower case.
    pub key: String,
    /// As it is written; of a variable, in lower case.
    pub spelling: String,
    /// What Airflow would work with.
    pub text: Arc<str>,
    /// What was written, before interpolation and expansion; for a command, the command.
    pub raw: Arc<str>,
    /// Where.
    pub origin: Origin,
    /// In which section of the file; always the own one for variables and commands.
    pub scope: Scope,
}

/// Without the text, which may be secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({self})")
    }
}

/// `[section] key`, and the origin where it is no place in a file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.section, self.key)?;
        match self.origin {
            Origin::File { .. } => Ok(()),
            _ => write!(f, " ({})", self.origin),
        }
    }
}

/// A value with more parts than this is no list for people, and each part costs a value of its own.
const MAX_PARTS: usize = 2000;

impl Value {
    /// The parts between `separators` that are not empty, without white space around them.
    pub fn parts(&self, separators: &[char]) -> Result<Vec<&str>> {
        let parts = self.text.split(separators).map(str::trim);
        let parts: Vec<_> = parts
            .filter(|part| !part.is_empty())
            .take(MAX_PARTS + 1)
            .collect();
        match parts.len() > MAX_PARTS {
            true => Err(self.failure(format!("{self} names more than {MAX_PARTS} things"))),
            false => Ok(parts),
        }
    }

    /// As `conf.getboolean`: `t`, `true`, `1`, `f`, `false`, `0` in any case, and what follows a
    /// `#` is ignored. Not `yes` or `on`, which Airflow refuses.
    pub fn boolean(&self) -> Result<bool> {
        let text = self.text.to_lowercase();
        let before = text
            .split_once('#')
            .map_or(text.as_str(), |(before, _)| before);
        match python::strip(before) {
            "t" | "true" | "1" => Ok(true),
            "f" | "false" | "0" => Ok(false),
            _ => Err(self.refuse("expected true or false, as t, true, 1, f, false or 0")),
        }
    }

    /// A failure that says which value cannot be, and why.
    pub fn refuse(&self, why: &str) -> Failure {
        self.failure(format!(
            "invalid value {} for {self}",
            beginning(&self.text)
        ))
        .because(why)
    }

    /// A failure in other words, at the place of this value.
    pub fn failure(&self, what: impl Into<String>) -> Failure {
        Failure::usage(what).at(self.origin.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value {
            section: "docker_runtime".into(),
            key: "stop_timeout".into(),
            spelling: "STOP_TIMEOUT".into(),
            text: text.into(),
            raw: text.into(),
            origin: Origin::File {
                path: Arc::new("a.cfg".into()),
                line: 7,
            },
            scope: Scope::Own,
        }
    }

    #[test]
    fn a_comment_after_a_truth_value_is_ignored() {
        assert!(value("True # because").boolean().unwrap());
        assert!(!value("f").boolean().unwrap());
    }

    #[test]
    fn a_refusal_names_value_key_file_and_line() {
        let expected = "a.cfg:7: invalid value \"yes\" for [docker_runtime] stop_timeout: expected true or false, as t, true, 1, f, false or 0";
        assert_eq!(value("yes").boolean().unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_list_has_parts_and_not_too_many() {
        let listed = value(" a b ,,\nc\n");
        assert_eq!(listed.parts(&[',', '\n']).unwrap(), ["a b", "c"]);
        assert_eq!(listed.parts(&[]).unwrap(), ["a b ,,\nc"]);
        assert!(value(&"a,".repeat(MAX_PARTS)).parts(&[',']).is_ok());
        let long = value(&"a,".repeat(MAX_PARTS + 1));
        let why = long.parts(&[',']);
        let expected = "a.cfg:7: [docker_runtime] stop_timeout names more than 2000 things";
        assert_eq!(why.unwrap_err().to_string(), expected);
    }

    #[test]
    fn debug_output_shows_no_text() {
        assert!(!format!("{:?}", value("hunter2")).contains("hunter2"));
    }
}
