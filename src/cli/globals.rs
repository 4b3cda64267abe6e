//! The flags that every verb takes, with their variables: where containerd is, and our own directories.
//!
//! In: clap's matches. Out: [`Globals`]. Nothing is opened or sent before someone asks.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::Item;
use crate::containerd::{self, Client};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::run::Connection;
use crate::run::state::{self, State};

/// containerd's namespace for everything of ours.
const NAMESPACE: &str = "airtight";

/// What the global flags say.
#[derive(Clone)]
pub struct Globals {
    /// containerd, not yet asked anything.
    pub client: Client,
    /// How it was named.
    pub connection: Connection,
    /// Our own directories.
    pub state: State,
    address_said: bool,
}

impl Globals {
    /// What variables say, for a caller that has no such flags.
    pub fn of_variables() -> Result<Self> {
        let command = Command::new("airtight").args(flags());
        let matches = command.try_get_matches_from(["airtight"]);
        Self::of(&matches.or_fail(Kind::Usage, || "a variable of airtight's is wrong")?)
    }

    /// Reads `matches`; opens nothing.
    pub fn of(matches: &ArgMatches) -> Result<Self> {
        let connection = Connection {
            address: global(matches, "address"),
            namespace: namespace(global(matches, "namespace"))?,
        };
        Ok(Self {
            client: Client::new(&connection.address, &connection.namespace)?,
            state: State::new(
                directory(matches, "state-dir")?,
                directory(matches, "data-dir")?,
            ),
            connection,
            address_said: matches!(
                matches.value_source("address"),
                Some(ValueSource::CommandLine | ValueSource::EnvVariable)
            ),
        })
    }

    /// The flags that make another airtight mean the same, its variables being ours.
    pub fn words(&self) -> Result<Vec<String>> {
        let [state, data] = self.state.directories();
        let mut words = vec!["--namespace".to_owned(), self.connection.namespace.clone()];
        if self.address_said {
            words.extend(["--address".to_owned(), self.connection.address.clone()]);
        }
        for (flag, directory) in [("--state-dir", state), ("--data-dir", data)] {
            let text = directory.to_str().ok_or_else(|| {
                Failure::usage(format!("cannot hand on {flag}")).because("it is not UTF-8")
            })?;
            words.extend([flag.to_owned(), text.to_owned()]);
        }
        Ok(words)
    }

    /// A connection to the containerd at `address`, in the same namespace.
    pub fn connect_to(&self, address: String) -> Result<(Client, Connection)> {
        let namespace = self.connection.namespace.clone();
        let client = Client::new(&address, &namespace)?;
        Ok((client, Connection { address, namespace }))
    }

    /// Which socket counts: that of the command line or of a variable, else the settings'.
    pub fn address(&self, socket_path: Option<&Item>) -> String {
        match socket_path {
            Some(item) if !self.address_said => item.text.clone(),
            _ => self.connection.address.clone(),
        }
    }

    /// Says at once and clearly when there is no containerd; the first call would speak of its object.
    pub async fn reach_containerd(&self) -> Result<()> {
        containerd::reach(&self.connection.address).await
    }
}

/// The value of a global flag; an empty variable is as good as none.
fn global(matches: &ArgMatches, name: &str) -> String {
    let text = matches.get_one::<String>(name).cloned().unwrap_or_default();
    let from_variable = matches.value_source(name) == Some(ValueSource::EnvVariable);
    let default = GLOBALS.iter().find(|global| global.name == name);
    match default {
        Some(global) if text.is_empty() && from_variable => global.default.to_owned(),
        _ => text,
    }
}

/// containerd's rule for names of namespaces is its rule for ids.
fn namespace(text: String) -> Result<String> {
    match text.parse::<ContainerId>() {
        Ok(_) => Ok(text),
        Err(why) => Err(why.reworded(format!("invalid containerd namespace {text:?}"))),
    }
}

/// Paths of these directories end up in specs and records, which outlive our working directory.
fn directory(matches: &ArgMatches, name: &str) -> Result<PathBuf> {
    let text = global(matches, name);
    if text.is_empty() {
        return Err(Failure::usage(format!("--{name} needs a directory")));
    }
    std::path::absolute(&text).or_fail(Kind::Usage, || {
        format!("invalid value {text:?} for --{name}")
    })
}

/// A flag that every verb takes.
struct Global {
    name: &'static str,
    variable: &'static str,
    default: &'static str,
    value: &'static str,
    help: &'static str,
}

/// All of them.
const GLOBALS: [Global; 4] = [
    Global {
        name: "address",
        variable: "CONTAINERD_ADDRESS",
        default: containerd::DEFAULT_ADDRESS,
        value: "SOCKET",
        help: "containerd's socket",
    },
    Global {
        name: "namespace",
        variable: "CONTAINERD_NAMESPACE",
        default: NAMESPACE,
        value: "NAME",
        help: "containerd's namespace for images and containers",
    },
    Global {
        name: "state-dir",
        variable: "AIRTIGHT_STATE_DIR",
        default: state::DEFAULT_STATE,
        value: "DIR",
        help: "Where living runs are recorded; on a file system that a reboot empties",
    },
    Global {
        name: "data-dir",
        variable: "AIRTIGHT_DATA_DIR",
        default: state::DEFAULT_DATA,
        value: "DIR",
        help: "Where anonymous volumes and what is kept of detached runs are, on disk",
    },
];

/// The flags, for every verb.
pub fn flags() -> impl Iterator<Item = Arg> {
    GLOBALS.iter().map(|global| {
        Arg::new(global.name)
            .long(global.name)
            .env(global.variable)
            .hide_env_values(true)
            .default_value(global.default)
            .value_name(global.value)
            .help(global.help)
            .global(true)
            .action(ArgAction::Set)
            .help_heading("Global")
    })
}

/// The first variable of a global flag that holds what `is_bad` says.
pub fn bad_variable(is_bad: impl Fn(&OsStr) -> bool) -> Option<&'static str> {
    let mut variables = GLOBALS.iter().map(|global| global.variable);
    variables.find(|name| std::env::var_os(name).is_some_and(|value| is_bad(&value)))
}
