//! `airtight stop`: ends runs, as `docker stop` does.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};

use super::{Globals, runs};
use crate::config::values::{self, signal_number};
use crate::failure::Result;
use crate::living::stop::{Stop, stop};

const AFTER: &str = "\
Examples:
  airtight stop web                 its stop signal, and SIGKILL after its stop timeout
  airtight stop -t 0 web            kills at once
  airtight stop -s INT -t 60 a b c  several at once

Returns when the runs are over and nothing of them is left. Needs no containerd. The exit code is 1 where one could not be stopped.";

/// The verb's definition.
pub fn command() -> Command {
    Command::new("stop")
        .about("Stops runs, and waits until they are over")
        .after_help(AFTER)
        .arg(
            Arg::new("signal")
                .long("signal")
                .short('s')
                .value_name("SIGNAL")
                .value_parser(signal_number)
                .help("The first signal [default: the run's own stop signal]"),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .alias("time")
                .short('t')
                .value_name("TIME")
                .allow_hyphen_values(true)
                .value_parser(patience)
                .help("How long until SIGKILL, in seconds or as 1m30s; -1 waits for ever [default: the run's own stop timeout]"),
        )
        .arg(runs::several())
}

/// docker's -1 means no SIGKILL at all.
fn patience(text: &str) -> Result<Duration, values::Invalid> {
    match text {
        "-1" => Ok(Duration::MAX),
        text => values::duration(text),
    }
}

/// Stops them all at once.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let how = Stop {
        signal: matches.get_one("signal").copied(),
        timeout: matches.get_one("timeout").copied(),
    };
    let state = &globals.state;
    runs::each(
        matches,
        state,
        |id| async move { stop(state, &id, how).await },
    )
    .await
}
