//! `airtight rm`: removes what is kept of detached runs that have ended; with -f, ends them first.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::out;
use super::several::one_of;
use crate::failure::{Context, Failure, Kind, Result};
use crate::leash::pidfd;
use crate::reap;
use crate::run::seen::{self, Seen};
use crate::run::state::State;

/// What an owner gets beyond the run's stop timeout, for its cleanup.
const CLEANUP: Duration = Duration::from_secs(60);

/// The verb's definition.
pub fn command() -> Command {
    Command::new("rm")
        .about("Removes what is kept of runs that have ended")
        .after_help(
            "Examples:\n  \
             airtight rm job\n  \
             airtight rm -f job                        ends it first, as its stop signal and timeout say\n  \
             airtight rm $(airtight ps -aq --filter status=exited)",
        )
        .arg(
            Arg::new("run")
                .value_name("RUN")
                .required(true)
                .num_args(1..)
                .help("A name, or an id or its beginning"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("Ends those that live"),
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
    let words: Vec<&String> = matches.get_many("run").into_iter().flatten().collect();
    let mut failures = Vec::new();
    for word in &words {
        match remove(state, word, alive).await {
            Ok(()) => out::print_harmless(&format!("{word}\n"))?,
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
        end(state, &run).await?;
    }
    run.remove(state)
}

/// Asks the owner to end the run. One that does not in the time that the run has for it is killed, and what
/// it left is undone here.
async fn end(state: &State, run: &Seen) -> Result<()> {
    let what = || format!("cannot end run {}", run.id);
    let mut watch = run.watch();
    let record = state.record(&run.id);
    let (Some(record), Some(about)) = (record, &run.about) else {
        return Err(Failure::host(what()).because("it is just being made"));
    };
    let owner = i32::try_from(record.owner).or_fail(Kind::Host, what)?;
    let handle = pidfd::open(owner).or_fail(Kind::Host, what)?;
    if !state.is_alive(&run.id) {
        // It has ended by itself; the pid may be anybody's by now.
        return Ok(());
    }
    pidfd::signal(&handle, libc::SIGTERM).or_fail(Kind::Host, what)?;
    let (done, ended) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        watch.wait();
        // Nobody may be waiting any more.
        let _ = done.send(());
    });
    let limit = about.stop_timeout.saturating_add(CLEANUP);
    if tokio::time::timeout(limit, ended).await.is_err() {
        pidfd::signal(&handle, libc::SIGKILL).or_fail(Kind::Host, what)?;
        for left in reap::dead_owners(state).await? {
            out::tell(left);
        }
    }
    Ok(())
}
