//! The command line: one file per verb, and how things are printed.
//!
//! Nothing here decides anything about containers.

mod bundle;
mod doctor;
pub mod human;
mod image;
pub mod out;
mod run;
mod settings;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::containerd::{self, Client};
use crate::failure::{Failure, Result};
use crate::reap;
use crate::run::Connection;
use crate::run::state::{self, State};

/// containerd's namespace for everything of ours.
const NAMESPACE: &str = "airtight";

const ABOUT: &str = "Runs one task in one sealed container, by talking to containerd directly";
const LONG_ABOUT: &str = "\
Runs one task in one sealed container, by talking to containerd directly: no dockerd, no daemon of its own.
When the task ends, or airtight does, of whatever cause, everything inside is dead and nothing is left behind.";
const AFTER: &str = "\
Examples:
  airtight doctor                                   what this host has and lacks
  airtight image import busybox.tar                 an archive of docker save or OCI layout
  airtight run busybox echo hello                   one task
  airtight run -it --rm busybox sh                  a shell
  airtight run -m 512m --timeout 1h -v /data:/data:ro IMAGE python3 /data/task.py
  airtight run --dag-file dags/etl.py python3 etl.py   image and volumes from dags/etl.py.metadata.yaml

Exit codes of run: the payload's own; 125 airtight or containerd failed; 126 the command cannot be
executed; 127 it was not found; 124 the time limit passed; 128+n killed by signal n (137 also for
memory: --verbose and --verdict say which).";

/// The whole command line.
pub fn command() -> Command {
    Command::new("airtight")
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(AFTER)
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .args(global_flags())
        .subcommand(run::command())
        .subcommand(bundle::command())
        .subcommand(image::command())
        .subcommand(doctor::command())
}

/// Does what `args` say. The error is for the caller to print.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        // Help and version go to stdout and are a success; a mistake goes to stderr and is ours, 125.
        Err(error) => {
            // A closed terminal is no reason for another message.
            let _ = error.print();
            return Ok(ExitCode::from(if error.use_stderr() { 125 } else { 0 }));
        }
    };
    let globals = Globals::of(&matches)?;
    if matches.subcommand_name() != Some("doctor") {
        for left in reap::dead_owners(&globals.state).await? {
            say(&format!("airtight: {left}"));
        }
    }
    match matches.subcommand() {
        Some(("run", matches)) => run::run(matches, &globals).await,
        Some(("bundle", matches)) => bundle::run(matches, &globals)
            .await
            .map(|()| ExitCode::SUCCESS),
        Some(("image", matches)) => image::run(matches, &globals.client)
            .await
            .map(|()| ExitCode::SUCCESS),
        Some(("doctor", matches)) => doctor::run(matches, &globals).await,
        // clap lets no other through.
        _ => Err(Failure::usage("no such command")),
    }
}

/// Prints a failure and what can be done about it, on stderr.
pub fn print_failure(failure: &Failure) {
    say(&format!("airtight: {failure}"));
    for hint in failure.hints() {
        say(&format!("  hint: {hint}"));
    }
}

/// One line on stderr. One that cannot be written is no reason to fall over: `eprintln!` would panic.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        say(&format!("airtight: warning: {warning}"));
    }
}

/// What the global flags say.
pub struct Globals {
    /// containerd, not yet asked anything.
    pub client: Client,
    /// How it was named.
    pub connection: Connection,
    /// Our own directories.
    pub state: State,
}

impl Globals {
    fn of(matches: &ArgMatches) -> Result<Self> {
        let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        let connection = Connection {
            address: text("address"),
            namespace: text("namespace"),
        };
        Ok(Self {
            client: Client::new(&connection.address, &connection.namespace)?,
            connection,
            state: State::new(
                PathBuf::from(text("state-dir")),
                PathBuf::from(text("data-dir")),
            ),
        })
    }
}

fn global_flags() -> [Arg; 4] {
    let flag = |name: &'static str, variable: &'static str, default: &'static str| {
        Arg::new(name)
            .long(name)
            .env(variable)
            .default_value(default)
            .global(true)
            .action(ArgAction::Set)
            .help_heading("Global")
    };
    [
        flag("address", "CONTAINERD_ADDRESS", containerd::DEFAULT_ADDRESS)
            .value_name("SOCKET")
            .help("containerd's socket"),
        flag("namespace", "CONTAINERD_NAMESPACE", NAMESPACE)
            .value_name("NAME")
            .help("containerd's namespace for images and containers"),
        flag("state-dir", "AIRTIGHT_STATE_DIR", state::DEFAULT_STATE)
            .value_name("DIR")
            .help("Where living runs are recorded; on a file system that a reboot empties"),
        flag("data-dir", "AIRTIGHT_DATA_DIR", state::DEFAULT_DATA)
            .value_name("DIR")
            .help("Where anonymous volumes are kept, on disk"),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
