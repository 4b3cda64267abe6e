//! `airtight kill`: sends signals to the payloads of runs, as `docker kill` does.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use nix::libc;

use super::{Globals, runs};
use crate::config::values::signal_number;
use crate::failure::Result;
use crate::living::{Living, signal};

const AFTER: &str = "\
Examples:
  airtight kill web             SIGKILL: the run ends at once, with exit code 137
  airtight kill -s HUP web      what many programs reload by

Returns when the signal is sent. The exit code is 1 where it could not be.";

/// The verb's definition.
pub fn command() -> Command {
    Command::new("kill")
        .about("Sends a signal to the payload of runs")
        .after_help(AFTER)
        .arg(
            Arg::new("signal")
                .long("signal")
                .short('s')
                .value_name("SIGNAL")
                .value_parser(signal_number)
                .help("A name such as HUP or RTMIN+3, or a number [default: KILL]"),
        )
        .arg(runs::several())
}

/// Sends it to all.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let number = matches.get_one("signal").copied();
    let number = number.unwrap_or(libc::SIGKILL);
    let state = &globals.state;
    runs::each(matches, state, |id| async move {
        let run = Living::find(state, &id).await?;
        signal::send(&run, number).await
    })
    .await
}
