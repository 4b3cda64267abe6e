//! `airtight logs`: what a detached run has written, and, as long as it lives, what it goes on to write.
//!
//! Its stdout goes to ours and its stderr to ours, byte for byte.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::time::point;
use crate::failure::{Context, Kind, Result};
use crate::log::follow::{Following, News};
use crate::log::record::{Record, Stream};
use crate::log::select::{Selection, Times, Wanted};
use crate::run::seen::{self, Watch};
use crate::run::state::State;

/// So much is collected before it is shown.
const AT_ONCE: usize = 64 << 10;

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
            "TIME is a point (2026-11-21T18:04:05Z, or seconds since 1970) or a span before now (10m, 1h30m). A time without a zone is UTC.\n\n\
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
pub fn run(matches: &ArgMatches, state: &State) -> Result<ExitCode> {
    let word = matches.get_one::<String>("run").map_or("", String::as_str);
    let run = seen::named(state, word)?;
    let log = run.log()?;
    let cannot = || format!("cannot read the log {}", log.display());
    let wanted = Wanted {
        since: matches.get_one("since").copied(),
        until: matches.get_one("until").copied(),
        tail: matches.get_one("tail").and_then(|Tail(lines)| *lines),
    };
    let times = match matches.get_flag("timestamps") {
        true => Times::Shown,
        false => Times::Hidden,
    };
    // Before the first look: what is written between the two is news.
    let following = if matches.get_flag("follow") {
        // One without an owner is written to its end all the same.
        let mut watch = run.watch().ok();
        let owner_ends = move || watch.iter_mut().for_each(Watch::wait);
        let following = Following::begin(&log, owner_ends);
        Some(following.or_fail(Kind::Host, cannot)?)
    } else {
        None
    };
    let (mut selection, mut reader) = Selection::of(&log, wanted).or_fail(Kind::Host, cannot)?;
    let mut screen = Screen::default();
    let mut line = Vec::new();
    let mut news = News::Grown;
    loop {
        while reader
            .next(&mut line)
            .or_fail(Kind::Host, cannot)?
            .is_some()
        {
            if let Some(record) = Record::read(&line) {
                let out = screen.of(record.stream);
                let shown = match out {
                    Ok(out) => {
                        selection.show(&record, times, out);
                        screen.flush_if_full()
                    }
                    Err(why) => Err(why),
                };
                if is_over(shown)? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            line.clear();
        }
        if is_over(screen.flush())? {
            return Ok(ExitCode::SUCCESS);
        }
        // After the end it was read once more.
        let (Some(following), News::Grown) = (&following, news) else {
            return Ok(ExitCode::SUCCESS);
        };
        news = following.next(wanted.until);
    }
}

/// A reader that has gone (`| head`) is an end, and no failure.
fn is_over(shown: io::Result<()>) -> Result<bool> {
    match shown {
        Ok(()) => Ok(false),
        Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(why) => Err(why).or_fail(Kind::Host, || "cannot write the log to our own output"),
    }
}

/// What is to be shown next, all of it on one stream: so both keep their order on one terminal.
#[derive(Default)]
struct Screen {
    stream: Option<Stream>,
    waiting: Vec<u8>,
}

impl Screen {
    fn of(&mut self, stream: Stream) -> io::Result<&mut Vec<u8>> {
        if self.stream != Some(stream) {
            self.flush()?;
            self.stream = Some(stream);
        }
        Ok(&mut self.waiting)
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.waiting.len() < AT_ONCE {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.stream {
            Some(Stream::Stdout) => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.waiting)?;
                stdout.flush()?;
            }
            Some(Stream::Stderr) => io::stderr().lock().write_all(&self.waiting)?,
            None => {}
        }
        self.waiting.clear();
        Ok(())
    }
}
