//! airflow.cfg, read exactly as Python's `configparser` and Airflow 2 and 3 read it, with the place
//! each value was written at.
//!
//! In: the file, an [`Environment`]. Out: [`Value`]s with their [`Origin`], or failures that name
//! file and line. It knows no key of ours, and runs a command only for a key it is asked for as a
//! secret.
//!
//! The crate `configparser` was no help: it has neither lines nor `%(name)s`, `[DEFAULT]`, errors
//! for duplicates, or a limit. Where Python and Airflow disagree, this is what holds:
//! - Keys are found whatever their case, as AIP-46 writes them. Airflow's own parser keeps the case
//!   of a file's keys and asks for lower case only, so `conf.get` finds no `SOCKET_PATH`. A key that
//!   is there in two spellings is valid for Airflow; it is an error here when it is asked for.
//! - [`AirflowConfig::get`] expands `$NAME` and `~`, as `conf.get` does;
//!   [`AirflowConfig::section`] does so in variables only, as `conf.getsection` does.
//! - `_CMD` and `_SECRET` exist for Airflow's sensitive keys, in this order: variable, variable with
//!   `_CMD`, with `_SECRET`, file, file with `_cmd`, with `_secret`. For ours,
//!   [`AirflowConfig::get_secret`] does the same; everywhere else such a name is a key as any other.
//! - A file that cannot be read is an error; Airflow ignores it. So is a NUL byte in a value, and
//!   what exceeds the limits of its modules.

mod command;
mod document;
mod environment;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
mod interpolate;
mod lookup;
mod problem;
mod python;
mod reader;
mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use environment::{Environment, variable_name};
pub use value::{Origin, Scope, Value};

use super::text_file;
use crate::failure::{Failure, Place, Result};
use document::Document;

/// Ten times the file that Airflow writes with all its comments.
const MAX_SIZE: u64 = 1 << 20;

/// An airflow.cfg and the environment on top of it.
#[derive(Debug)]
pub struct AirflowConfig {
    path: Arc<PathBuf>,
    document: Document,
    environment: Environment,
}

impl AirflowConfig {
    /// Where Airflow would look for its file: `AIRFLOW_CONFIG`, else `AIRFLOW_HOME/airflow.cfg`,
    /// else `~/airflow/airflow.cfg`. `None` if there is no file in the home; one that
    /// `AIRFLOW_CONFIG` names has to be there, and [`read`](Self::read) says so.
    pub fn find(environment: &Environment) -> Result<Option<PathBuf>> {
        if let Some(path) = path_in("AIRFLOW_CONFIG", environment)? {
            return Ok(Some(path));
        }
        let path = Self::in_home(environment)?;
        let missing = std::fs::metadata(&path).is_err_and(|why| is_missing(&why));
        Ok((!missing).then_some(path))
    }

    fn in_home(environment: &Environment) -> Result<PathBuf> {
        Ok(Self::home(environment)?.join("airflow.cfg"))
    }

    /// `AIRFLOW_HOME`, else `~/airflow`.
    pub fn home(environment: &Environment) -> Result<PathBuf> {
        match path_in("AIRFLOW_HOME", environment)? {
            Some(home) => Ok(home),
            None => expanded("~/airflow", "~", environment),
        }
    }

    /// The folder that a key names, which is `name` in Airflow's home where nobody says anything.
    /// Airflow takes a relative one as relative to the working directory.
    pub fn folder(&self, section: &str, key: &str, name: &str) -> Result<PathBuf> {
        let value = self.get(section, key)?;
        let path = value.map(|value| PathBuf::from(&*value.text));
        let path = path.and_then(|path| std::path::absolute(path).ok());
        match path {
            Some(path) => Ok(path),
            None => Ok(self.absolute_home()?.join(name)),
        }
    }

    /// Airflow's home, absolute.
    pub fn absolute_home(&self) -> Result<PathBuf> {
        let home = Self::home(&self.environment)?;
        Ok(std::path::absolute(&home).unwrap_or(home))
    }

    /// The file where Airflow would look for it; without one, `environment` alone.
    pub fn found(environment: Environment) -> Result<Self> {
        match Self::find(&environment)? {
            Some(path) => Self::read(path, environment),
            None => Ok(Self::without_file(environment)),
        }
    }

    /// Reads the file.
    pub fn read(path: impl Into<PathBuf>, environment: Environment) -> Result<Self> {
        let path = path.into();
        match text_file::read(&path, MAX_SIZE)? {
            Some(text) => Self::parse(&text, path, environment),
            None => Err(
                Failure::usage(format!("there is no file {}", path.display()))
                    .hint("AIRFLOW_CONFIG or AIRFLOW_HOME names another"),
            ),
        }
    }

    /// What holds without a file: the environment alone.
    pub fn without_file(environment: Environment) -> Self {
        Self {
            path: Arc::default(),
            document: Document::default(),
            environment,
        }
    }

    /// Reads the text of the file `path`.
    pub fn parse(text: &str, path: PathBuf, environment: Environment) -> Result<Self> {
        let path = Arc::new(path);
        let document = reader::parse(text).map_err(|misread| {
            let origin = Origin::File {
                path: Arc::clone(&path),
                line: misread.line,
            };
            Failure::usage("cannot read this line")
                .because(misread.problem)
                .at(origin.place())
        })?;
        Ok(Self {
            path,
            document,
            environment,
        })
    }

    /// The file; empty without one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file has the section, even an empty one, or a variable speaks of it.
    pub fn has(&self, section: &str) -> bool {
        self.document.section(section).is_some() || self.section(section).next().is_some()
    }

    /// The environment on top of it.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A line of the file.
    pub fn place(&self, line: usize) -> Place {
        Place {
            path: Arc::clone(&self.path),
            line: u64::try_from(line).ok(),
            column: None,
        }
    }

    /// The sections of the file and their lines, without `[DEFAULT]`. A section that only variables
    /// speak of is not among them.
    pub fn sections(&self) -> impl Iterator<Item = (&str, usize)> {
        self.document.sections()
    }
}

/// A path in a variable, expanded as Airflow does; it must not be empty.
fn path_in(variable: &str, environment: &Environment) -> Result<Option<PathBuf>> {
    let Some(value) = environment.get(variable) else {
        return Ok(None);
    };
    if value.is_empty() {
        return Err(
            Failure::usage(format!("${variable} is empty")).hint("unset it, or name a path")
        );
    }
    match value.to_str() {
        Some(text) => expanded(text, variable, environment).map(Some),
        None => Ok(Some(value.into())),
    }
}

fn expanded(text: &str, name: &str, environment: &Environment) -> Result<PathBuf> {
    let path = environment::expand(text, environment);
    let path = path.map_err(|why| Failure::usage(format!("cannot expand ${name}")).because(why))?;
    Ok(path.into())
}

fn is_missing(why: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(why.kind(), NotFound | NotADirectory)
}
