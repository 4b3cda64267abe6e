//! One value of airflow.cfg or of the environment, with its origin, and how Airflow converts it.
//!
//! In: text as [`AirflowConfig`](super::AirflowConfig) found it. Out: truth values and whole
//! numbers, or a failure that names the origin.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::python;
use crate::failure::{Failure, Result};

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

/// `[section] key (origin)`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {} ({})", self.section, self.key, self.origin)
    }
}

impl Value {
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

    /// As `conf.getint` of Airflow 3, which takes more than that of 2 does: `20`, `1_000`, and a
    /// whole number in another form, `5.0` or `1e3`.
    pub fn integer(&self) -> Result<i64> {
        let text = python::strip(&self.text);
        let number = without_underscores(text).and_then(|digits| {
            let whole = digits.parse::<i64>().ok();
            whole.or_else(|| whole_number(digits.parse().ok()?))
        });
        number.ok_or_else(|| self.refuse("expected a whole number"))
    }

    /// A failure that says which value cannot be, and why.
    pub fn refuse(&self, why: &str) -> Failure {
        Failure::usage(format!("invalid value {:?} for {self}", self.text)).because(why)
    }
}

/// Python's `1_000`: an underscore between two digits counts for nothing.
fn without_underscores(text: &str) -> Option<String> {
    let is_digit = |c: Option<&u8>| c.is_some_and(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        is_digit(before) && is_digit(bytes.get(at + 1))
    };
    let mut underscores = text.match_indices('_');
    underscores
        .all(|(at, _)| between_digits(at))
        .then(|| text.replace('_', ""))
}

/// The number, if it is whole and fits.
fn whole_number(number: f64) -> Option<i64> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    let fits = (-BEYOND..BEYOND).contains(&number);
    (fits && number.fract() == 0.0).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value {
            section: "docker_runtime".into(),
            key: "stop_timeout".into(),
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
        let expected = "invalid value \"soon\" for [docker_runtime] stop_timeout (a.cfg:7): expected a whole number";
        assert_eq!(value("soon").integer().unwrap_err().to_string(), expected);
        assert!(value("yes").boolean().is_err());
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        for text in ["9223372036854775808", "1e300", "-inf", "nan", "1e19"] {
            assert!(value(text).integer().is_err(), "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_text() {
        assert!(!format!("{:?}", value("hunter2")).contains("hunter2"));
    }
}
