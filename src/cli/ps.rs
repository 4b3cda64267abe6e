//! `airtight ps`: which runs there are.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::out::{self, Format};
use crate::failure::Result;
use crate::human;
use crate::run::seen::{self, Condition, Seen};
use crate::run::state::State;

/// How much of a command is shown, as docker has it.
const SHORT: usize = 20;

/// The verb's definition.
pub fn command() -> Command {
    Command::new("ps")
        .about("Lists runs: those that live, and with -a detached ones that have ended")
        .after_help(
            "Filters: name=PART, id=START, status=created|running|orphaned|exited|lost, label=NAME[=VALUE], image=NAME (or ancestor=), exited=CODE. \
             Of several with one name any counts, but every label.\n\n\
             Examples:\n  \
             airtight ps -a --filter status=lost\n  \
             airtight ps --filter label=team=etl --format json\n  \
             airtight rm $(airtight ps -aq --filter status=exited)",
        )
        .arg(
            Arg::new("all")
                .long("all")
                .short('a')
                .action(ArgAction::SetTrue)
                .help("Lists also those that have ended"),
        )
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .short('q')
                .action(ArgAction::SetTrue)
                .conflicts_with("format")
                .help("Prints ids only"),
        )
        .arg(
            Arg::new("no-trunc")
                .long("no-trunc")
                .action(ArgAction::SetTrue)
                .help("Shows whole commands"),
        )
        .arg(
            Arg::new("filter")
                .long("filter")
                .short('f')
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .value_parser(Filter::parse)
                .help("Lists only those"),
        )
        .arg(Format::arg())
}

/// Prints them.
pub fn run(matches: &ArgMatches, state: &State) -> Result<ExitCode> {
    let filters: Vec<&Filter> = matches.get_many("filter").into_iter().flatten().collect();
    let ended_too = matches.get_flag("all")
        || filters
            .iter()
            .any(|filter| matches!(filter, Filter::Status(_) | Filter::Exited(_)));
    let mut runs = seen::all(state)?;
    runs.retain(|run| (ended_too || run.is_alive()) && passes(run, &filters));
    if matches.get_flag("quiet") {
        let ids: String = runs.iter().map(|run| format!("{}\n", run.id)).collect();
        out::print(&ids)?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = SystemTime::now();
    match Format::of(matches) {
        Format::Data(notation) => {
            let runs: Vec<_> = runs.iter().map(|run| data(run, now)).collect();
            out::print_data(&runs, notation)?;
        }
        Format::Table => out::print(&table(&runs, matches.get_flag("no-trunc"), now))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(runs: &[Seen], whole: bool, now: SystemTime) -> String {
    let mut table = out::table(&["ID", "IMAGE", "COMMAND", "CREATED", "STATUS"]);
    for run in runs {
        let about = run.about.as_ref();
        let command = about.map_or_else(String::new, |about| about.command.join(" "));
        let command = match command.char_indices().nth(SHORT - 1) {
            Some((at, _)) if !whole && command.chars().count() > SHORT => {
                format!("{}…", command.get(..at).unwrap_or_default())
            }
            _ => command,
        };
        table.add_row([
            run.id.to_string(),
            about.map_or_else(String::new, |about| super::image::familiar(&about.image)),
            format!("\"{command}\""),
            run.created_at()
                .map_or_else(String::new, |then| human::ago(then, now)),
            status(run, now),
        ]);
    }
    out::table_text(&table)
}

fn up(run: &Seen, now: SystemTime) -> String {
    match run.started_at() {
        Some(then) => format!("Up {}", human::since(then, now)),
        None => "Up".into(),
    }
}

/// docker's words, with our own for what nobody knows.
fn status(run: &Seen, now: SystemTime) -> String {
    let ended = run.end.as_ref();
    let ago = ended
        .and_then(|end| end.ended_at)
        .map_or_else(String::new, |then| format!(" {}", human::ago(then, now)));
    match run.condition {
        Condition::Created => "Created".into(),
        Condition::Running => up(run, now),
        Condition::Orphaned if run.ended_unheard => "Ended, without an owner".into(),
        Condition::Orphaned => format!("{}, without an owner", up(run, now)),
        Condition::Exited => {
            let code = ended.map_or(125, |end| end.exit_code);
            format!("Exited ({code}){ago}")
        }
        Condition::Lost => format!("Lost{ago}"),
    }
}

fn data(run: &Seen, now: SystemTime) -> Value {
    let about = run.about.as_ref();
    json!({
        "id": run.id,
        "image": about.map(|about| &about.image),
        "command": about.map(|about| &about.command),
        "created_at": about.map(|about| &about.created_at),
        "started_at": run.started.as_ref().map(|started| &started.started_at),
        "state": run.condition,
        "status": status(run, now),
        "pid": run.started.as_ref().filter(|_| run.is_alive()).map(|started| started.pid),
        "exit_code": run.end.as_ref().map(|end| end.exit_code),
        "detached": about.map(|about| about.detached),
        "labels": about.map(|about| &about.labels),
    })
}

/// One `--filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Name(String),
    Id(String),
    Status(&'static str),
    Label(String, Option<String>),
    Image(String),
    Exited(i32),
}

/// The names of conditions, and docker's other words for them.
const STATES: [&str; 5] = ["created", "running", "orphaned", "exited", "lost"];

impl Filter {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("NAME=VALUE is needed, such as status=exited")?;
        let value = value.to_owned();
        Ok(match name {
            "name" => Self::Name(value),
            "id" => Self::Id(value),
            "image" | "ancestor" => Self::Image(value),
            "label" => match value.split_once('=') {
                Some((label, value)) => Self::Label(label.into(), Some(value.into())),
                None => Self::Label(value, None),
            },
            "status" => {
                let state = STATES.iter().find(|state| **state == value);
                Self::Status(
                    state.ok_or_else(|| format!("the status is one of {}", STATES.join(", ")))?,
                )
            }
            "exited" => Self::Exited(
                value
                    .parse()
                    .map_err(|_| "exited=CODE needs an exit code".to_owned())?,
            ),
            _ => {
                return Err("the filters are name, id, status, label, image and exited".to_owned());
            }
        })
    }

    fn holds(&self, run: &Seen) -> bool {
        let about = run.about.as_ref();
        match self {
            Self::Name(part) => is_named(run.id.as_str(), part),
            Self::Id(start) => run.id.as_str().starts_with(start.as_str()),
            Self::Status(state) => run.condition.word() == *state,
            Self::Exited(code) => run
                .end
                .as_ref()
                .is_some_and(|end| end.lost.is_none() && end.exit_code == *code),
            Self::Label(name, value) => about
                .and_then(|about| about.labels.get(name))
                .is_some_and(|found| value.as_ref().is_none_or(|value| value == found)),
            Self::Image(name) => about.is_some_and(|about| {
                let familiar = super::image::familiar(&about.image);
                let untagged = familiar.rsplit_once(':').map(|(before, _)| before);
                [Some(about.image.as_str()), Some(&familiar), untagged].contains(&Some(name))
                    || about.image_digest == *name
            }),
        }
    }
}

/// As docker's users write it: a part of the name, or with `^` and `$` its beginning and end.
fn is_named(id: &str, part: &str) -> bool {
    let (begins, part) = part
        .strip_prefix('^')
        .map_or((false, part), |rest| (true, rest));
    let (ends, part) = part
        .strip_suffix('$')
        .map_or((false, part), |rest| (true, rest));
    match (begins, ends) {
        (true, true) => id == part,
        (true, false) => id.starts_with(part),
        (false, true) => id.ends_with(part),
        (false, false) => id.contains(part),
    }
}

/// Of filters of one kind one has to hold; of labels, each.
fn passes(run: &Seen, filters: &[&Filter]) -> bool {
    filters.iter().all(|filter| {
        if matches!(filter, Filter::Label(..)) {
            return filter.holds(run);
        }
        let same =
            |other: &&&Filter| std::mem::discriminant(**other) == std::mem::discriminant(*filter);
        filters.iter().filter(same).any(|other| other.holds(run))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_docker_s() {
        assert_eq!(
            Filter::parse("label=a=b=c"),
            Ok(Filter::Label("a".into(), Some("b=c".into())))
        );
        assert_eq!(Filter::parse("ancestor=i"), Ok(Filter::Image("i".into())));
        assert_eq!(Filter::parse("status=lost"), Ok(Filter::Status("lost")));
        for bad in ["status", "status=paused", "volume=x", "exited=x"] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }
}
