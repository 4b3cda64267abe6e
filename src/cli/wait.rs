//! `airtight wait`: the exit codes of runs, when they have ended.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::{out, runs};
use crate::failure::Result;
use crate::living::over::{Claim, Over, over};
use crate::run::seen;
use crate::run::state::State;

/// The verb's definition.
pub fn command() -> Command {
    Command::new("wait")
        .about("Waits until runs have ended, and prints the exit code of each")
        .after_help(
            "Runs that have ended already are answered at once. A run of which nobody knows how it ended is 125, said on stderr, and then the exit code of wait is 1.\n\n\
             Examples:\n  \
             airtight wait job\n  \
             test \"$(airtight wait job)\" = 0",
        )
        .arg(runs::several())
}

/// Waits and prints.
pub async fn run(matches: &ArgMatches, state: &State) -> Result<ExitCode> {
    let words: Vec<&String> = runs::words(matches).collect();
    // All are found before one is waited for: what is removed at its end is known by then.
    let mut watches = Vec::new();
    for word in words {
        let run = seen::named(state, word)?;
        watches.push(run.watch()?);
    }
    let mut code = ExitCode::SUCCESS;
    for watch in watches {
        let id = watch.id.clone();
        let (Over::Ended(end), _) = over(state, watch, Claim::None).await? else {
            return Err(seen::orphaned(&id));
        };
        if let Some(reason) = &end.lost {
            out::tell(format_args!("run {id} was lost: {reason}"));
            code = ExitCode::FAILURE;
        }
        out::print(&format!("{}\n", end.exit_code))?;
    }
    Ok(code)
}
