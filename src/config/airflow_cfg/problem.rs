//! What can be wrong with an airflow.cfg or with one of its values.
//!
//! The words for it, without file and line: those are added where they are known. No text of the
//! file but names of sections and keys appears, since the rest may be secret.

use thiserror::Error;

use super::super::short::Short;

/// A problem of the file as a whole, at a line (counted from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misread {
    pub line: usize,
    pub problem: Problem,
}

/// Why Python's parser, and so Airflow, would refuse the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Problem {
    #[error("a setting before the first [section]")]
    NoHeader,
    #[error("a byte order mark, which Python takes for a setting before the first [section]")]
    ByteOrderMark,
    #[error("section [{name}] is there already, at line {first}")]
    SectionTwice { name: Short, first: usize },
    #[error("{key} is there already, at line {first}")]
    KeyTwice { key: Short, first: usize },
    #[error("neither a [section] nor a setting: there is no = or :")]
    NoDelimiter,
    #[error("a setting without a name")]
    NoKey,
    #[error("more than {limit} sections, settings and further lines of settings")]
    TooMany { limit: usize },
}

/// Why a value cannot be had, though the file was read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Broken {
    #[error("one key is written in two ways, at lines {first} and {second}")]
    Twins { first: usize, second: usize },
    #[error("% must be followed by % or (name)s; write %% for a percent sign")]
    LonePercent,
    #[error("%( must be followed by a name and )s; write %% for a percent sign")]
    BadReference,
    #[error("%({name})s: there is no {name} in this section or in [DEFAULT]")]
    NoSuchOption { name: Short },
    #[error("%(…)s goes deeper than {limit} references, or in a circle")]
    TooDeep { limit: usize },
    #[error("%(…)s makes more than {limit} bytes of it")]
    TooLong { limit: usize },
    #[error("it contains a NUL byte, which no path, name or variable can")]
    Nul,
    #[error("the variables in it go in a circle, or make more than {limit} bytes of it")]
    EndlessVariables { limit: usize },
    #[error("${{{name}}} is not UTF-8")]
    VariableNotUtf8 { name: Short },
}

impl Broken {
    /// The line that is to blame, where it is another one than the setting's.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Twins { second, .. } => Some(*second),
            _ => None,
        }
    }
}
