//! What went wrong, written for the person at the terminal.
//!
//! Every room returns [`Failure`] at its edge: a kind (which decides the exit code), the place in a
//! file where there is one, what was attempted on which object, why it failed, and what to do about
//! it. Nothing here prints.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::secret;

/// The result of everything that can fail with a [`Failure`].
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What sort of failure it is; the exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line, a metadata file or a configuration file asks for something impossible.
    Usage,
    /// There is no such run.
    NoRun,
    /// This host lacks something, or a system call failed.
    Host,
    /// containerd is absent, refused or failed.
    Containerd,
    /// containerd cannot be reached, or does not answer, but may do so later.
    ContainerdAway,
    /// The image is absent or broken.
    Image,
    /// The payload's command does not exist in the image (exit code 127).
    CommandNotFound,
    /// The payload's command exists but cannot be executed (exit code 126).
    CommandNotExecutable,
    /// A signal with this number told us to end before we were done.
    Interrupted(i32),
    /// What the keeper of DAG files has read is not what we have read: it reads again.
    Changed,
}

impl Kind {
    /// What a run exits with, as docker's users expect it: 127 and 126 for the command itself, 125 for
    /// everything else (design.md, "Outcomes and exit codes").
    pub fn exit_code(self) -> i32 {
        match self {
            Self::CommandNotFound => 127,
            Self::CommandNotExecutable => 126,
            Self::Usage | Self::NoRun | Self::Host | Self::Image => 125,
            Self::Containerd | Self::ContainerdAway => 125,
            Self::Interrupted(signal) => 128 + signal,
            // Only a keeper sees it, in the verdict.
            Self::Changed => 120,
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as the user named it.
    pub path: Arc<PathBuf>,
    /// Counted from 1.
    pub line: Option<u64>,
    /// Counted from 1, in characters.
    pub column: Option<u64>,
}

/// `FILE:LINE:COLUMN`, as compilers print it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

/// A failure: kind, place, what, why, hints.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    place: Option<Place>,
    what: String,
    why: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure of `kind`; `what` names the action and its object, without a full stop.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            place: None,
            what: what.into(),
            why: None,
            hints: Vec::new(),
        }
    }

    /// Shorthand for [`Kind::Usage`].
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// Shorthand for [`Kind::Host`].
    pub fn host(what: impl Into<String>) -> Self {
        Self::new(Kind::Host, what)
    }

    /// Says where the mistake is written, if that is known; an earlier place stays.
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = self.place.or_else(|| place.into());
        self
    }

    /// Adds the cause; the hints and the place of a cause that is a failure itself are taken over.
    pub fn because(mut self, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut why = why.into();
        if let Some(inner) = why.downcast_mut::<Self>() {
            self.hints.append(&mut inner.hints);
            if self.place.is_none() {
                self.place = inner.place.take();
            }
        }
        self.why = Some(why);
        self
    }

    /// Adds one thing the reader can do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure with other words for what was attempted; the cause and the hints stay.
    pub fn reworded(self, what: impl Into<String>) -> Self {
        let why = self.why.or_else(|| Some(self.what.into()));
        Self {
            what: what.into(),
            why,
            ..self
        }
    }

    /// The place in a file, where there is one.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Everything but the place and the hints: `what: why: why of that …`, on one line. Passwords of
    /// URLs are hidden, whoever quoted them.
    pub fn message(&self) -> String {
        let mut text = self.what.clone();
        let mut cause = self.why.as_deref().map(|why| why as &dyn Error);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        secret::text(&text)
    }

    /// The kind, for the exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the reader can do about it, most useful first.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

/// The message behind its place.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message())
    }
}

impl Error for Failure {}

/// Turns any error into a [`Failure`] where it is known what was attempted.
pub trait Context<T> {
    /// On error: a failure of `kind` saying `what()` failed, with the error as its cause.
    fn or_fail<S: Into<String>>(self, kind: Kind, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E> Context<T> for std::result::Result<T, E>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn or_fail<S: Into<String>>(self, kind: Kind, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Failure::new(kind, what()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_one_line_from_what_to_why() {
        let inner = std::io::Error::other("no such device");
        let failure = Failure::host("cannot mount /data")
            .because(inner)
            .hint("check the path");
        assert_eq!(failure.to_string(), "cannot mount /data: no such device");
        assert_eq!(failure.hints(), ["check the path"]);
    }

    #[test]
    fn what_to_do_about_a_cause_is_not_lost() {
        let inner = Failure::usage("unknown capability").hint("did you mean KILL?");
        let failure = Failure::usage("invalid value").because(inner);
        assert_eq!(failure.hints(), ["did you mean KILL?"]);
        assert_eq!(failure.to_string(), "invalid value: unknown capability");
    }

    #[test]
    fn the_place_comes_first_and_is_that_of_the_innermost_that_knows_it() {
        let place = |line| Place {
            path: Arc::new("a.yaml".into()),
            line: Some(line),
            column: None,
        };
        let inner = Failure::usage("unknown key").at(place(3)).at(place(9));
        let failure = Failure::usage("cannot read").because(inner);
        assert_eq!(failure.to_string(), "a.yaml:3: cannot read: unknown key");
        assert_eq!(failure.message(), "cannot read: unknown key");
        assert_eq!(failure.place(), Some(&place(3)));
    }

    #[test]
    fn a_reworded_failure_keeps_its_cause_and_hints() {
        let inner = Failure::usage("invalid user \"-1\"").because("no such id");
        let failure = inner.hint("use 0").reworded("invalid value for --user");
        assert_eq!(
            (failure.to_string().as_str(), failure.hints()),
            (
                "invalid value for --user: no such id",
                &["use 0".to_owned()][..]
            )
        );
        let plain = Failure::usage("unknown capability").reworded("invalid value");
        assert_eq!(plain.to_string(), "invalid value: unknown capability");
    }
}
