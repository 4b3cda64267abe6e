//! `airtight stats`: what living runs use, as a live table or as data.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use rustix::termios::tcgetwinsize;

use super::interrupt::interrupted;
use super::lines::Lines;
use super::out::Reader;
use super::{Globals, lines, out, runs};
use crate::failure::Result;
use crate::human;
use crate::id::ContainerId;
use crate::living::Living;
use crate::living::stats::{Figures, Watch, living};
use crate::run::state::State;

/// From one look to the next; what processors do is the difference of two.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same for one look alone.
const MOMENT: Duration = Duration::from_millis(500);

const AFTER: &str = "\
Examples:
  airtight stats                    all living runs, again and again, until ^C
  airtight stats --no-stream web    one look
  airtight stats --format json      one JSON object on a line for each run and second

CPU % is of one processor: 200 where two are busy. MEM USAGE leaves out page cache that nobody uses. NET I/O is -- where a run has no network of its own.";

/// The verb's definition.
pub fn command() -> Command {
    Command::new("stats")
        .about("Shows what living runs use")
        .after_help(AFTER)
        .arg(
            Arg::new("no-stream")
                .long("no-stream")
                .action(ArgAction::SetTrue)
                .help("Looks once and ends"),
        )
        .arg(Lines::arg())
        .arg(runs::any())
}

/// Shows them until there are none of those that were named, or somebody interrupts.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let state = &globals.state;
    let wanted: Vec<ContainerId> = runs::words(matches)
        .map(|word| state.named(word))
        .collect::<Result<_>>()?;
    let format = Lines::of(matches);
    let once = matches.get_flag("no-stream");
    let showing = async {
        let mut screen = Screen::new(format, once);
        let mut watch = Watch::default();
        watch.look(&chosen(state, &wanted)?);
        loop {
            tokio::time::sleep(if once { MOMENT } else { INTERVAL }).await;
            let found = chosen(state, &wanted)?;
            let reader = screen.show(&watch.look(&found))?;
            let ended = found.is_empty() && !wanted.is_empty();
            if once || ended || reader == Reader::Gone {
                return Ok(ExitCode::SUCCESS);
            }
        }
    };
    tokio::select! {
        done = showing => done,
        // It is how one ends it: no reason for a message.
        why = interrupted("stats") => {
            let code = u8::try_from(why.kind().exit_code()).unwrap_or(u8::MAX);
            Ok(ExitCode::from(code))
        }
    }
}

fn chosen(state: &State, wanted: &[ContainerId]) -> Result<Vec<Living>> {
    let mut all = living(state)?;
    all.retain(|run| wanted.is_empty() || wanted.contains(&run.id));
    Ok(all)
}

/// Where figures are shown.
struct Screen {
    format: Lines,
    /// Each table is written over the one before.
    live: bool,
    cleared: bool,
}

impl Screen {
    fn new(format: Lines, once: bool) -> Self {
        Self {
            format,
            live: !once && format == Lines::Text && io::stdout().is_terminal(),
            cleared: false,
        }
    }

    fn show(&mut self, figures: &[Figures]) -> Result<Reader> {
        let text = match self.format {
            Lines::Json => figures
                .iter()
                .map(lines::json)
                .collect::<Result<String>>()?,
            Lines::Text => table(figures),
        };
        if !self.live {
            return out::print_to_reader(&text);
        }
        let frame = frame(&text);
        // The whole screen once, then only what has changed (ECMA-48, ED): nothing flickers.
        let clear = if self.cleared { "" } else { "\x1b[2J" };
        self.cleared = true;
        out::print_to_reader(&format!("{clear}{frame}"))
    }
}

/// `text` from the upper left corner on, cut to the screen, with the rest of each line and of the screen erased
/// (ECMA-48, CUP, EL and ED).
fn frame(text: &str) -> String {
    let (rows, columns) = match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 1 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    };
    let lines = text.lines().take(usize::from(rows) - 1);
    let lines = lines.map(|line| {
        let line: String = line.chars().take(columns.into()).collect();
        format!("{line}\x1b[K\n")
    });
    format!("\x1b[H{}\x1b[J", lines.collect::<String>())
}

fn table(all: &[Figures]) -> String {
    let mut table = out::table(&[
        "RUN",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ]);
    let percent = |value: Option<f64>| known(value.map(|value| format!("{value:.2}%")));
    let pair = |one: Option<u64>, other: Option<u64>, shown: fn(u64) -> String| match (one, other) {
        (None, None) => known(None),
        _ => format!("{} / {}", known(one.map(shown)), known(other.map(shown))),
    };
    for run in all {
        table.add_row([
            run.run.to_string(),
            percent(run.cpu_percent),
            pair(run.memory, run.memory_limit, human::binary_size),
            percent(run.memory_percent),
            pair(run.network_received, run.network_sent, human::size),
            pair(run.block_read, run.block_written, human::size),
            known(run.pids.map(|pids| pids.to_string())),
        ]);
    }
    out::table_text(&table)
}

/// docker's word for what is not known.
fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| "--".to_owned())
}
