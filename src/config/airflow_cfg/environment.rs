//! The environment as Airflow reads it: which variable overrides a setting, and `$NAME` and `~` in
//! values.
//!
//! In: a snapshot of variables, so that nothing here depends on the process. Out: text. A value is
//! bounded even where Airflow would expand for ever.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use nix::unistd::{Uid, User};

use super::super::short::Short;
use super::problem::Broken;
use crate::failure::{Failure, Result};

/// What expansion may make of a value, in bytes; a longer one without variables is left alone.
const MAX_EXPANDED: usize = 64 << 10;

/// `A=$B`, `B=$A` never comes to rest; nobody nests this deep on purpose.
const MAX_ROUNDS: usize = 20;

/// Longer than any user's name (`LOGIN_NAME_MAX` is 256), which spares the name service.
const MAX_USER_NAME: usize = 256;

/// Environment variables.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// Those of this process, now.
    pub fn of_this_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable's value, whatever its bytes.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
    }

    /// A variable's value as text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let not_utf8 = || Failure::usage(format!("cannot use the variable {}", Short::new(name)));
        let text = value
            .to_str()
            .ok_or_else(|| not_utf8().because("it is not UTF-8"))?;
        Ok(Some(text))
    }

    /// Names after `prefix` of all variables that begin with it, sorted.
    pub(super) fn after_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a str> {
        let names = self.variables.keys().filter_map(|name| name.to_str());
        names.filter_map(move |name| name.strip_prefix(prefix))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let pairs = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: pairs.collect(),
        }
    }
}

/// The variable that overrides a setting (`AirflowConfigParser._env_var_name`): dots of the section
/// become underscores, nothing else does.
pub fn variable_name(section: &str, key: &str) -> String {
    let section = section.replace('.', "_").to_uppercase();
    format!("AIRFLOW__{section}__{}", key.to_uppercase())
}

/// `expand_env_var` of airflow/configuration.py: `os.path.expandvars` and `os.path.expanduser` in
/// turn until nothing changes.
pub(super) fn expand(text: &str, environment: &Environment) -> Result<String, Broken> {
    let mut text = text.to_owned();
    for _ in 0..MAX_ROUNDS {
        let expanded = expand_user(expand_variables(&text, environment)?, environment);
        if expanded == text {
            return Ok(text);
        }
        text = expanded;
    }
    Err(Broken::EndlessVariables {
        limit: MAX_EXPANDED,
    })
}

/// `$NAME` and `${NAME}`; what is not set stays as it is.
fn expand_variables(text: &str, environment: &Environment) -> Result<String, Broken> {
    let mut closing = Closing { text, next: 0 };
    let mut expanded = String::new();
    let mut rest = text;
    let mut replaced = false;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let Some((name, behind)) = reference(after, &mut closing) else {
            expanded.push('$');
            rest = after;
            continue;
        };
        if let Some(value) = environment.get(name) {
            expanded.push_str(value.to_str().ok_or_else(|| not_utf8(name))?);
            replaced = true;
        } else {
            expanded.push('$');
            let end = after.len() - behind.len();
            expanded.push_str(after.get(..end).unwrap_or_default());
        }
        rest = behind;
        if replaced && expanded.len() > MAX_EXPANDED {
            let limit = MAX_EXPANDED;
            return Err(Broken::EndlessVariables { limit });
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn not_utf8(name: &str) -> Broken {
    let name = Short::new(name);
    Broken::VariableNotUtf8 { name }
}

/// The name at the front of what follows a `$`, and what follows the name.
fn reference<'t>(text: &'t str, closing: &mut Closing) -> Option<(&'t str, &'t str)> {
    if let Some(text) = text.strip_prefix('{') {
        let (name, rest) = text.split_at_checked(closing.within(text)?)?;
        return Some((name, rest.get(1..)?));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    text.split_at_checked(end)
        .filter(|(name, _)| !name.is_empty())
}

/// Where the next `}` is; each is looked for once, however many `${` wait for it.
struct Closing<'t> {
    text: &'t str,
    next: usize,
}

impl Closing<'_> {
    /// Its offset in `rest`, which is an end of the text.
    fn within(&mut self, rest: &str) -> Option<usize> {
        let from = self.text.len().checked_sub(rest.len())?;
        if self.next < from {
            self.next = rest.find('}').map_or(self.text.len(), |at| from + at);
        }
        self.next.checked_sub(from).filter(|at| *at < rest.len())
    }
}

/// `~` and `~user` at the front; an unknown user stays as it is.
fn expand_user(text: String, environment: &Environment) -> String {
    let Some(after) = text.strip_prefix('~') else {
        return text;
    };
    let (user, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
    let Some(home) = home(user, environment) else {
        return text;
    };
    match format!("{}{rest}", home.trim_end_matches('/')) {
        path if path.is_empty() => "/".to_owned(),
        path => path,
    }
}

/// The home directory of a user; of our own one for no name.
fn home(user: &str, environment: &Environment) -> Option<String> {
    let entry = match user {
        "" => match environment.get("HOME") {
            Some(home) => return home.to_str().map(str::to_owned),
            None => User::from_uid(Uid::current()),
        },
        _ if user.len() > MAX_USER_NAME || user.contains('\0') => return None,
        _ => User::from_name(user),
    };
    let directory = entry.ok().flatten()?.dir;
    directory.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_overridden_by_one_variable() {
        assert_eq!(
            variable_name("docker_runtime", "stop_timeout"),
            "AIRFLOW__DOCKER_RUNTIME__STOP_TIMEOUT"
        );
        assert_eq!(variable_name("a.b-c", "d.e-f"), "AIRFLOW__A_B-C__D.E-F");
    }

    #[test]
    fn what_never_comes_to_rest_is_refused() {
        let environment: Environment = [("A", "$B"), ("B", "$A"), ("C", "$C$C")]
            .into_iter()
            .collect();
        for text in ["$A", "x$C"] {
            let limit = MAX_EXPANDED;
            assert_eq!(
                expand(text, &environment).unwrap_err(),
                Broken::EndlessVariables { limit }
            );
        }
    }

    #[test]
    fn many_openings_share_one_brace() {
        let environment: Environment = [("A", "1")].into_iter().collect();
        let text = |text: &str| expand(text, &environment).unwrap();
        assert_eq!(text("${${A}${A}x}${"), "${${A}1x}${");
        let openings = "${".repeat(100_000);
        assert_eq!(text(&format!("{openings}A}}")), format!("{openings}A}}"));
    }

    #[test]
    fn a_long_value_without_variables_is_left_alone() {
        let long = "$x".repeat(MAX_EXPANDED);
        assert_eq!(expand(&long, &Environment::default()).unwrap(), long);
    }
}
