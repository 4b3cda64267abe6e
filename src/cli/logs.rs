//! `airtight logs`: what a detached run has written, and, as long as it lives, what it goes on to write.
//!
//! Its stdout goes to ours and its stderr to ours, byte for byte.

use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::time::point;
use crate::failure::{Context, Kind, Result};
use crate::living::over::{Claim, Over, end_of_log, over};
use crate::log::follow::{Ending, Following};
use crate::log::select::{Times, Wanted};
use crate::log::show::Showing;
use crate::log::writer;
use crate::run::seen::{self, Seen};
use crate::run::state::State;
use crate::run::thread::on_a_thread;

/// The verb's definition.
pub fn command() -> Command {
    let time = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("TIME")
            .allow_hyphen_values(true)
            .value_parser(|text: &str| point(text, SystemTime::now()))
            .help(help)
    };
    Command::new("logs")
        .about("Shows the output of a detached run, alive or ended")
        .after_help(
            "TIME is a point (2026-11-21T18:04:05Z, or seconds since 1970) or a span before now (10m, 1h30m). A time without a zone is local time (TZ, /etc/localtime).\n\n\
             Examples:\n  \
             airtight logs -f job\n  \
             airtight logs --tail 100 -t job\n  \
             airtight logs --since 10m job 2>/dev/null",
        )
        .arg(
            Arg::new("run")
                .value_name("RUN")
                .required(true)
                .help("A name, or an id or its beginning"),
        )
        .arg(
            Arg::new("follow")
                .long("follow")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("Goes on until the run ends"),
        )
        .arg(time("since", "Leaves out what is older"))
        .arg(time("until", "Leaves out what is newer"))
        .arg(
            Arg::new("tail")
                .long("tail")
                .short('n')
                .value_name("N")
                .default_value("all")
                .allow_hyphen_values(true)
                .value_parser(tail)
                .help("Shows only so many lines at the end"),
        )
        .arg(
            Arg::new("timestamps")
                .long("timestamps")
                .short('t')
                .action(ArgAction::SetTrue)
                .help("Shows when each line was written"),
        )
}

/// docker takes any negative number for all.
fn tail(text: &str) -> Result<Tail, String> {
    match (text, text.parse::<i64>()) {
        ("all", _) | (_, Ok(..0)) => Ok(Tail(None)),
        (_, Ok(count)) => Ok(Tail(usize::try_from(count).ok())),
        _ => Err("a number of lines is needed, or all".into()),
    }
}

/// How many lines at the end; none is all.
#[derive(Clone, Copy)]
struct Tail(Option<usize>);

/// Prints them.
pub async fn run(matches: &ArgMatches, state: &State) -> Result<ExitCode> {
    let word = matches.get_one::<String>("run").map_or("", String::as_str);
    let run = seen::named(state, word)?;
    let log = run.log()?;
    let cannot = || format!("cannot show the log {}", log.display());
    let wanted = Wanted {
        since: matches.get_one("since").copied(),
        until: matches.get_one("until").copied(),
        tail: matches.get_one("tail").and_then(|Tail(lines)| *lines),
    };
    let times = match matches.get_flag("timestamps") {
        true => Times::Shown,
        false => Times::Hidden,
    };
    if !matches.get_flag("follow") {
        let showing = Showing::of(&log, (wanted, times), None).or_fail(Kind::Host, cannot)?;
        showing.show().or_fail(Kind::Host, cannot)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the first look: what is written between the two is news.
    let (following, ending) = Following::begin(&log).or_fail(Kind::Host, cannot)?;
    let showing =
        Showing::of(&log, (wanted, times), Some(following)).or_fail(Kind::Host, cannot)?;
    let mut shown = pin!(on_a_thread("log", move || {
        showing.show().or_fail(Kind::Host, || "cannot show the log")
    }));
    tokio::select! {
        shown = &mut shown => drop(shown?),
        ended = until_ended(state, &run, &log, &ending) => {
            ended?;
            shown.await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells the end of the log when the run has ended. One without an owner goes on, and its log with it.
async fn until_ended(state: &State, run: &Seen, log: &Path, ending: &Ending) -> Result<()> {
    if let Ok(watch) = run.watch()
        && let (Over::Ended(_), _) = over(state, watch, Claim::None).await?
    {
        end_of_log(log.to_owned(), ending).await;
        return Ok(());
    }
    let log = log.to_owned();
    on_a_thread("log end", move || {
        writer::wait_for_end(&log);
        Ok(())
    })
    .await?;
    ending.tell();
    Ok(())
}
