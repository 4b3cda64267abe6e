//! `airtight config`: the merged settings with the origin of each, the keys, and a check for DAG
//! authors.

mod check;
mod keys;
mod schema;
mod show;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::Globals;
use crate::failure::{Failure, Result};

const AFTER: &str = "\
Examples:
  airtight config show --profile task-execution --dag-file dags/etl.py
  airtight config check dags/*.py              a CI of DAG authors: exit 1 on any finding
  airtight config keys                         every key, its type, default and what an author may do
  airtight config schema > metadata.schema.json
                                               for editors that complete metadata files";

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("config")
        .about("Shows, checks and explains settings")
        .after_help(AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(show::command())
        .subcommand(check::command())
        .subcommand(keys::command())
        .subcommand(schema::command())
}

/// Does what the verb below says.
pub fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    match matches.subcommand() {
        Some(("show", matches)) => show::run(matches, globals).map(|()| ExitCode::SUCCESS),
        Some(("check", matches)) => check::run(matches),
        Some(("keys", matches)) => keys::run(matches).map(|()| ExitCode::SUCCESS),
        Some(("schema", _)) => schema::run().map(|()| ExitCode::SUCCESS),
        // clap lets no other through.
        _ => Err(Failure::usage("no such command")),
    }
}
