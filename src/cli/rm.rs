//! `airtight rm`: removes what is kept of detached runs that have ended; with -f, ends them first.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::several::one_of;
use super::{out, runs};
use crate::failure::{Failure, Kind, Result};
use crate::living::stop::{Stop, stop};
use crate::run::seen;
use crate::run::state::State;

/// The verb's definition.
pub fn command() -> Command {
    Command::new("rm")
        .about("Removes what is kept of runs that have ended")
        .after_help(
            "Examples:\n  \
             airtight rm job\n  \
             airtight rm -f job                        ends it first, as its stop signal and timeout say; fine where there is none\n  \
             airtight rm $(airtight ps -aq --filter status=exited)",
        )
        .arg(runs::several())
        .arg(
            Arg::new("force")
                .long("force")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("Ends those that live; one that is not there is no failure"),
        )
}

/// What happens to a run that lives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alive {
    Refuse,
    End,
}

/// Removes them, and prints what was removed as it was named.
pub async fn run(matches: &ArgMatches, state: &State) -> Result<ExitCode> {
    let alive = match matches.get_flag("force") {
        true => Alive::End,
        false => Alive::Refuse,
    };
    let words: Vec<&String> = runs::words(matches).collect();
    let mut failures = Vec::new();
    for word in &words {
        match remove(state, word, alive).await {
            Ok(()) => out::print_harmless(&format!("{word}\n"))?,
            // As docker has it: scripts make room for a name so.
            Err(failure) if alive == Alive::End && failure.kind() == Kind::NoRun => {
                out::tell(failure)
            }
            Err(failure) => failures.push(failure),
        }
    }
    one_of(failures, ("remove", "runs"), words.len())?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(state: &State, word: &str, alive: Alive) -> Result<()> {
    let run = seen::named(state, word)?;
    if run.is_alive() {
        if alive == Alive::Refuse {
            return Err(Failure::new(Kind::Host, format!("run {} is alive", run.id))
                .hint("airtight rm -f ends it first"));
        }
        for left in stop(state, &run.id, Stop::default()).await? {
            out::tell(left);
        }
    }
    run.remove(state)
}
