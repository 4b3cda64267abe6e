//! `airtight reap`: undoes what dead owners left, or says what that would be.
//!
//! In: which runs. Out: a table or JSON of what was undone on standard output, what remains on standard
//! error, and an exit code that says whether the host is clean.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::out::{self, Format};
use super::{Globals, print_failure};
use crate::failure::Result;
use crate::owner::Owner;
use crate::reap::{Reaped, Scope, Sort};

const AFTER: &str = "\
A run is left over when the airtight that owned it is dead. Every airtight command undoes what is recorded in its state \
directory before its own work; this one does so and nothing else, and it also finds what has no record there any more, \
after a reboot or when the directory was deleted: containers, snapshots, leases, cgroups and volumes.

Undone is only what bears the record of a run of this state directory, with an owner that is dead for certain. What a \
living owner holds, runs of other state directories, and containers of anybody else are never touched. With ID, only \
these runs are undone, and no leases of pulls and imports; a run whose record cannot be read, and of which containerd \
has nothing, is forgotten.

Exit codes:
  0    the host is clean: nothing is left over any more; with --dry-run, nothing was
  1    something remains, and standard error says why; with --dry-run, something is left over
  125  the command line is wrong, or the owner of run ID lives

Examples:
  airtight reap                              in a timer, or in ExecStopPost= of a unit
  airtight reap --dry-run || echo unclean    asks, and changes nothing
  airtight reap nightly-7                    this run only
  airtight reap --format json | jq -r '.[].run'";

/// The verb's definition.
pub fn command() -> Command {
    Command::new("reap")
        .about("Undoes what dead owners left")
        .after_help(AFTER)
        .arg(
            Arg::new("id")
                .value_name("ID")
                .help("Only these runs: ids or names, or their beginnings")
                .num_args(0..),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Says what would be undone, and changes nothing"),
        )
        .arg(Format::arg())
}

/// Whether anything is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Did,
    Would,
}

/// Runs the verb.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let words = matches.get_many::<String>("id").into_iter().flatten();
    let scope = Scope {
        state: &globals.state,
        client: &globals.client,
        connection: &globals.connection,
        words: words.map(String::as_str).collect(),
    };
    let mood = match matches.get_flag("dry-run") {
        true => Mood::Would,
        false => Mood::Did,
    };
    let mut report = match mood {
        Mood::Would => scope.look().await?,
        Mood::Did => scope.undo().await?,
    };
    report
        .reaped
        .sort_by(|one, other| one.name.cmp(&other.name));
    show(&report.reaped, mood, Format::of(matches))?;
    for left in report.reaped.iter().flat_map(Reaped::leftovers) {
        out::tell(left);
    }
    if let Some(why) = &report.trouble {
        print_failure(why);
    }
    let clean = report.trouble.is_none()
        && match mood {
            Mood::Did => report.reaped.iter().all(|one| one.left.is_empty()),
            Mood::Would => report.reaped.is_empty(),
        };
    if clean && report.reaped.is_empty() {
        out::tell("nothing is left over");
    }
    Ok(match clean {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn show(reaped: &[Reaped], mood: Mood, format: Format) -> Result<()> {
    match format {
        Format::Data(notation) => {
            let values: Vec<_> = reaped.iter().map(|one| value(one, mood)).collect();
            out::print_data(&values, notation)
        }
        Format::Table => {
            let shown = reaped.iter().filter(|one| !one.things.is_empty());
            let rows: Vec<_> = shown.map(row).collect();
            if rows.is_empty() {
                return Ok(());
            }
            let mut table = out::table(&[
                "RUN OR LEASE",
                "OWNER",
                match mood {
                    Mood::Did => "UNDONE",
                    Mood::Would => "WOULD UNDO",
                },
            ]);
            rows.into_iter().for_each(|row| table.add_row(row));
            out::print(&out::table_text(&table))
        }
    }
}

fn row(reaped: &Reaped) -> [String; 3] {
    let owner = match &reaped.owner {
        Some(owner) if owner.is_of_another_boot() => format!("{} of an earlier boot", owner.pid),
        Some(owner) => owner.pid.to_string(),
        None => "unknown".to_owned(),
    };
    let things: Vec<_> = reaped.things.iter().map(ToString::to_string).collect();
    [reaped.name.clone(), owner, things.join(", ")]
}

fn value(reaped: &Reaped, mood: Mood) -> Value {
    let name = match reaped.sort {
        Sort::Run => "run",
        Sort::Lease => "lease",
    };
    let things = match mood {
        Mood::Did => "undone",
        Mood::Would => "would_undo",
    };
    let owner = reaped.owner.as_ref();
    json!({
        name: reaped.name,
        "owner": owner.map(|owner| owner.pid),
        "owner_of_earlier_boot": owner.map(Owner::is_of_another_boot),
        things: reaped.things,
        "left": reaped.left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cleanup::Thing;

    #[test]
    fn what_was_undone_and_what_would_be_are_told_apart() {
        let owner = Owner::this_process().unwrap();
        let pid = owner.pid;
        let reaped = Reaped {
            name: "a".into(),
            sort: Sort::Run,
            owner: Some(owner),
            things: vec![Thing::Task, Thing::Cgroup],
            left: Vec::new(),
        };
        assert_eq!(
            row(&reaped),
            ["a".to_owned(), pid.to_string(), "task, cgroup".into()]
        );
        let did = value(&reaped, Mood::Did);
        assert_eq!(did["undone"], json!(["task", "cgroup"]));
        assert_eq!(did["run"], "a");
        assert!(value(&reaped, Mood::Would)["undone"].is_null());
    }
}
