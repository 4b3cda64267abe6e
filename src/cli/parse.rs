//! `airtight parse`: parses DAG files in containers, and the keeper of warm parsers behind it.

mod serve;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};

use super::Globals;
use super::settings::help_flag;
use crate::config::values;
use crate::failure::{Failure, Result};
use crate::parse::pool::Limits;

/// The flag, and its name among clap's.
const SERVE: &str = "serve";
const IDLE: &str = "idle";
const MOST: &str = "containers";

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("parse")
        .about("Parses DAG files in their containers")
        .disable_help_flag(true)
        .arg(
            Arg::new(SERVE)
                .long(SERVE)
                .value_name("FD")
                .value_parser(clap::value_parser!(i32))
                .hide(true)
                .help("Parses what is asked for on this socket (docs/parsers.md)"),
        )
        .arg(
            Arg::new(IDLE)
                .long(IDLE)
                .value_name("DURATION")
                .env("AIRTIGHT_PARSERS_IDLE")
                .hide_env_values(true)
                .hide(true)
                .value_parser(values::duration)
                .help("How long a container without work lives"),
        )
        .arg(
            Arg::new(MOST)
                .long(MOST)
                .value_name("N")
                .env("AIRTIGHT_PARSERS_CONTAINERS")
                .hide_env_values(true)
                .hide(true)
                .value_parser(clap::value_parser!(u32).range(1..))
                .help("How many containers live at once"),
        )
        .arg(help_flag())
}

/// Runs it.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let mut limits = Limits::default();
    if let Some(idle) = matches.get_one::<Duration>(IDLE) {
        limits.idle = *idle;
    }
    if let Some(most) = matches.get_one::<u32>(MOST) {
        limits.most = usize::try_from(*most).unwrap_or(usize::MAX);
    }
    match matches.get_one::<i32>(SERVE) {
        Some(number) => serve::serve(*number, globals, limits).await,
        None => Err(Failure::usage("no file is named")),
    }
}
