//! `airtight events`: what happens to runs, as it happens.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use super::interrupt::interrupted;
use super::lines::{Lines, json};
use super::out::Reader;
use super::time::date;
use super::{Globals, out};
use crate::config::values::{self, duration};
use crate::containerd::types::Envelope;
use crate::failure::{Failure, Result};
use crate::living::events::{Event, Filter, Ours};

/// How long a containerd that is back takes to answer, and the time between two attempts.
const ANSWER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

const AFTER: &str = "\
Examples:
  airtight events                               until ^C
  airtight events --until 10m --format json     one JSON object on a line each
  airtight events --filter run=web --filter type=exit

Events: create, start, oom, pause, unpause, exit, delete, exec-start, exec-exit. Filters of one kind are alternatives. containerd keeps no events: those of the past, and those while it is away, cannot be shown.";

/// The verb's definition.
pub fn command() -> Command {
    Command::new("events")
        .about("Shows what happens to runs")
        .after_help(AFTER)
        .arg(
            Arg::new("filter")
                .long("filter")
                .short('f')
                .value_name("FILTER")
                .action(ArgAction::Append)
                .help("Shows only these: run=RUN (a name or an id; of an id that nobody chose, its beginning too), type=EVENT"),
        )
        .arg(
            Arg::new("until")
                .long("until")
                .value_name("TIME")
                .value_parser(until)
                .help("Ends then: after a time such as 10m, or at 2026-01-31T08:00:00Z (without the zone: local time)"),
        )
        .arg(
            Arg::new("since")
                .long("since")
                .value_name("TIME")
                .hide(true),
        )
        .arg(Lines::arg())
}

/// How long it is until then.
fn until(text: &str) -> Result<Duration, values::Invalid> {
    match date(text) {
        Some(time) => Ok(time.duration_since(SystemTime::now()).unwrap_or_default()),
        None => duration(text),
    }
}

/// Shows them until the time is over, nobody reads any more, or somebody interrupts.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    if matches.contains_id("since") {
        return Err(Failure::usage("events of the past cannot be shown")
            .because("containerd keeps none")
            .hint("leave out --since; what has ended is in each run's --verdict"));
    }
    let mut filter = Filter::default();
    for text in matches.get_many::<String>("filter").into_iter().flatten() {
        filter.add(text)?;
    }
    globals.reach_containerd().await?;
    let ours = Ours::new(&globals.state)?;
    let until = matches.get_one("until").copied();
    tokio::select! {
        done = show(globals, Lines::of(matches), filter, ours) => done.map(|()| ExitCode::SUCCESS),
        () = sleep(until.unwrap_or(Duration::MAX)) => Ok(ExitCode::SUCCESS),
        // It is how one ends it: no reason for a message.
        why = interrupted("events") => {
            let code = u8::try_from(why.kind().exit_code()).unwrap_or(u8::MAX);
            Ok(ExitCode::from(code))
        }
    }
}

async fn show(globals: &Globals, format: Lines, filter: Filter, mut ours: Ours) -> Result<()> {
    let (sender, mut heard) = unbounded_channel();
    // The receiver lives as long as this does.
    let mut listening = std::pin::pin!(listen(globals, |event| drop(sender.send(event))));
    loop {
        let envelope = tokio::select! {
            biased;
            envelope = heard.recv() => envelope,
            failure = &mut listening => return Err(failure),
        };
        let Some(event) = envelope.and_then(|envelope| ours.event(envelope)) else {
            continue;
        };
        let line = match format {
            Lines::Json => json(&event)?,
            Lines::Text => text(&event),
        };
        if filter.takes(&event) && out::print_to_reader(&line)? == Reader::Gone {
            return Ok(());
        }
    }
}

/// Hears events for ever, from one containerd after the other; a failure that is none of a lost connection.
async fn listen(globals: &Globals, mut hear: impl FnMut(Envelope)) -> Failure {
    let (client, connection) = (&globals.client, &globals.connection);
    loop {
        let why = client.hear(&connection.namespace, &mut hear).await;
        if !why.is_unreachable() {
            return why.into();
        }
        out::tell("containerd is away; what happens until it is back is not seen");
        while client
            .answers_within(ANSWER, &connection.address)
            .await
            .is_err()
        {
            sleep(PAUSE).await;
        }
        out::tell("containerd is back");
    }
}

/// The time, what, to which run, and what else is known.
fn text(event: &Event) -> String {
    let more = [
        event.exit_code.map(|code| format!(" exit_code={code}")),
        event.pid.map(|pid| format!(" pid={pid}")),
        event.image.as_ref().map(|image| format!(" image={image}")),
    ];
    let more: String = more.into_iter().flatten().collect();
    format!("{} {} {}{more}\n", event.time, event.what.word(), event.run)
}
