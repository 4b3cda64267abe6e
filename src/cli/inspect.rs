//! `airtight inspect`: everything that is written of a run, as JSON.

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::several::one_of;
use super::{out, runs};
use crate::failure::Result;
use crate::run::seen::{self, Seen};
use crate::run::state::State;

/// The verb's definition.
pub fn command() -> Command {
    Command::new("inspect")
        .about("Shows everything that is known of runs, as JSON")
        .after_help(
            "Secrets are masked.\n\n\
             Where one is not there, the others are printed all the same, and the exit code is 1.\n\n\
             Examples:\n  \
             airtight inspect job\n  \
             airtight inspect job | jq -r '.[0].verdict.cause'",
        )
        .arg(runs::several())
}

/// Prints an array with one object for each.
pub fn run(matches: &ArgMatches, state: &State) -> Result<ExitCode> {
    let words: Vec<&String> = runs::words(matches).collect();
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for word in &words {
        match seen::named(state, word) {
            Ok(run) => runs.push(document(&run, state)),
            Err(failure) => failures.push(failure),
        }
    }
    out::print_json(&runs)?;
    one_of(failures, ("inspect", "runs"), words.len())?;
    Ok(ExitCode::SUCCESS)
}

fn document(run: &Seen, state: &State) -> Value {
    let record = run
        .is_alive()
        .then(|| state.record(&run.id).ok().flatten())
        .flatten();
    json!({
        "id": run.id,
        "state": run.condition,
        "about": run.about,
        "started": run.started,
        "record": record,
        "log": run.log().ok(),
        "plan": run.plan(),
        "verdict": run.end.as_ref().map(|end| &end.whole),
    })
}
