//! Which value counts: a variable's, the file's, a command's.
//!
//! In: section and key. Out: the [`Value`] with its origin; a failure names where the value was
//! written. Only [`AirflowConfig::get_secret`] ever runs a command.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::sync::Arc;

use super::super::short::Short;
use super::document::{DEFAULT, Setting};
use super::environment::{expand, variable_name};
use super::interpolate::{Budget, interpolate};
use super::problem::Broken;
use super::{AirflowConfig, Origin, Scope, Value, command};
use crate::failure::{Failure, Result};

/// A value that a file or a variable holds, with references followed and variables left alone.
struct Written {
    text: Arc<str>,
    raw: Arc<str>,
    spelling: String,
    origin: Origin,
    scope: Scope,
}

impl AirflowConfig {
    /// The value of a key, as `conf.get`: the variable `AIRFLOW__SECTION__KEY`, else the file.
    /// `$NAME` and `~` are expanded in both. Sections are told apart by case, keys are not.
    pub fn get(&self, section: &str, key: &str) -> Result<Option<Value>> {
        let asked = Asked::new(section, key);
        let found = match self.variable(&asked)? {
            Some(written) => Some(written),
            None => self.setting(&asked, &mut Budget::default())?,
        };
        let value = found.map(|written| self.expanded(&asked, written));
        value.transpose()
    }

    /// The value of a key that is a secret, which may also be the output of a command:
    /// `AIRFLOW__SECTION__KEY_CMD`, or `key_cmd` in the file. The command is run by this call, and
    /// without a shell. A `_SECRET` is refused, since only Airflow can ask its secrets backend.
    pub fn get_secret(&self, section: &str, key: &str) -> Result<Option<Value>> {
        let asked = Asked::new(section, key);
        if let Some(written) = self.variable(&asked)? {
            return self.expanded(&asked, written).map(Some);
        }
        if let Some(command) = self.variable(&asked.with("_cmd"))? {
            return asked.run(command).map(Some);
        }
        if let Some(name) = self.variable(&asked.with("_secret"))? {
            return Err(asked.no_backend(&name));
        }
        let mut budget = Budget::default();
        if let Some(written) = self.setting(&asked, &mut budget)? {
            return self.expanded(&asked, written).map(Some);
        }
        if let Some(command) = self.setting(&asked.with("_cmd"), &mut budget)? {
            let value = asked.run(command)?;
            // As Airflow: a command in the file that prints nothing says nothing.
            if !value.text.is_empty() {
                return Ok(Some(value));
            }
        }
        match self.setting(&asked.with("_secret"), &mut budget)? {
            Some(name) => Err(asked.no_backend(&name)),
            None => Ok(None),
        }
    }

    /// All keys of a section with their values, as `conf.getsection`: the section's own, those of
    /// `[DEFAULT]` if the file has the section, then those that only a variable sets. Only the
    /// variables' values are expanded, and each value may fail alone.
    pub fn section(&self, section: &str) -> impl Iterator<Item = (String, Result<Value>)> {
        let mut budget = Budget::default();
        self.keys(section).into_iter().map(move |key| {
            let asked = Asked::new(section, &key);
            let value = self.value_in_section(&asked, &mut budget);
            (key, value)
        })
    }

    fn value_in_section(&self, asked: &Asked, budget: &mut Budget) -> Result<Value> {
        if let Some(written) = self.variable(asked)? {
            return self.expanded(asked, written);
        }
        let written = self.setting(asked, budget)?;
        let written = written.ok_or_else(|| Failure::usage(format!("{asked} is gone")))?;
        asked.value(written)
    }

    fn keys(&self, section: &str) -> Vec<String> {
        let mut keys = Vec::new();
        if let Some(own) = self.document.section(section) {
            keys.extend(own.settings().map(|setting| setting.key.clone()));
            if section != DEFAULT {
                let inherited = self.document.defaults().settings();
                keys.extend(inherited.map(|setting| setting.key.clone()));
            }
        }
        let prefix = variable_name(section, "");
        let variables = self
            .environment
            .after_prefix(&prefix)
            .filter(|key| *key == key.to_lowercase().to_uppercase());
        let variables: BTreeSet<_> = variables.map(str::to_lowercase).collect();
        keys.extend(variables.into_iter().filter(|key| !key.is_empty()));
        let mut seen = HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        keys
    }

    fn variable(&self, asked: &Asked) -> Result<Option<Written>> {
        let name = variable_name(asked.section, &asked.key);
        let text: Option<Arc<str>> = self.environment.text(&name)?.map(Arc::from);
        Ok(text.map(|text| Written {
            raw: text.clone(),
            text,
            spelling: asked.key.clone(),
            origin: Origin::Variable { name },
            scope: Scope::Own,
        }))
    }

    /// The file's value, with `%(name)s` replaced.
    fn setting(&self, asked: &Asked, budget: &mut Budget) -> Result<Option<Written>> {
        let found = self.find_setting(asked.section, &asked.key);
        let at = |line| Origin::File {
            path: self.path.clone(),
            line,
        };
        let found = found.map_err(|why| asked.fail(&at(why.line().unwrap_or_default()), why));
        let Some((setting, scope)) = found? else {
            return Ok(None);
        };
        let origin = at(setting.line);
        let look_up = |name: &str| {
            let found = self.find_setting(asked.section, name)?;
            Ok(found.map(|(setting, _)| setting.raw.clone()))
        };
        let text =
            interpolate(&setting.raw, look_up, budget).map_err(|why| asked.fail(&origin, why))?;
        let raw = setting.raw.clone();
        Ok(Some(Written {
            text,
            raw,
            spelling: setting.spelling.clone(),
            origin,
            scope,
        }))
    }

    fn find_setting(&self, section: &str, key: &str) -> Result<Option<(&Setting, Scope)>, Broken> {
        let Some(own) = self.document.section(section) else {
            return Ok(None);
        };
        if let Some(setting) = own.find(key)? {
            return Ok(Some((setting, Scope::Own)));
        }
        let inherited = self.document.defaults().find(key)?;
        Ok(inherited.map(|setting| (setting, Scope::Default)))
    }

    fn expanded(&self, asked: &Asked, mut written: Written) -> Result<Value> {
        let text = expand(&written.text, &self.environment);
        written.text = text.map_err(|why| asked.fail(&written.origin, why))?.into();
        asked.value(written)
    }
}

/// A key that somebody wants.
struct Asked<'a> {
    section: &'a str,
    /// In lower case.
    key: String,
}

impl<'a> Asked<'a> {
    fn new(section: &'a str, key: &str) -> Self {
        let key = key.to_lowercase();
        Self { section, key }
    }

    fn with(&self, suffix: &str) -> Self {
        let key = format!("{}{suffix}", self.key);
        Self {
            section: self.section,
            key,
        }
    }

    fn value(&self, written: Written) -> Result<Value> {
        if written.text.contains('\0') {
            return Err(self.fail(&written.origin, Broken::Nul));
        }
        Ok(Value {
            section: self.section.to_owned(),
            key: self.key.clone(),
            spelling: written.spelling,
            text: written.text,
            raw: written.raw,
            origin: written.origin,
            scope: written.scope,
        })
    }

    fn run(&self, command: Written) -> Result<Value> {
        let origin = Origin::Command {
            written: Box::new(command.origin),
        };
        let text = command::output(&command.text, command::LIMIT)
            .map_err(|why| self.fail(&origin, why))?;
        self.value(Written {
            text: text.into(),
            raw: command.text,
            spelling: self.key.clone(),
            origin,
            scope: Scope::Own,
        })
    }

    fn no_backend(&self, name: &Written) -> Failure {
        let why = "only Airflow can ask its secrets backend";
        let hint = format!(
            "set {0}, or {0}_cmd with a command that prints it",
            self.key
        );
        self.fail(&name.origin, why).hint(hint)
    }

    fn fail(&self, origin: &Origin, why: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        let what = match origin {
            Origin::File { .. } => format!("cannot use {self}"),
            other => format!("cannot use {self} ({other})"),
        };
        Failure::usage(what).because(why).at(origin.place())
    }
}

/// `[section] key`.
impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "[{}] {}",
            Short::new(self.section),
            Short::new(&self.key)
        )
    }
}
