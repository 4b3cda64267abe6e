//! `airtight parse`: parses DAG files in containers, for a person at a shell; and the keeper of warm parsers
//! behind it.

mod files;
mod report;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Globals;
use super::out::Format;
use super::settings::{flag, given, help_flag};
use crate::config::{keys, values};
use crate::failure::{Failure, Result};
use crate::parse::pool::Limits;

const AFTER: &str = "\
Examples:
  airtight parse dags/etl.py                 before a commit
  airtight parse --bundle dags dags/team_a   modules that DAG files import are looked for in dags
  airtight parse --format json dags | jq -r '.[].dags[].dag_id'
  airtight parse --image our-airflow:next dags   what a new image will say

Each file is parsed by the Airflow of its own image, with the settings that the DAG processor would use: [docker_runtime] of airflow.cfg, FILE.metadata.yaml within the ceilings, the image hook. Files with the same image and settings share a container and have a process each (docs/parsers.md). In a folder, the files are those that Airflow would find, .airflowignore included; it is read in Airflow 3's syntax unless airflow.cfg has dag_ignore_file_syntax = regexp.

There is no database and no scheduler: while a file is parsed, Variable.get and the like find what is in the container's environment (-e AIRFLOW_VAR_NAME=VALUE) and nothing else. Other settings of airflow.cfg, such as default_timezone, are handed in the same way: -e AIRFLOW__CORE__DEFAULT_TIMEZONE=…

Exit codes: 0 every file was parsed; 1 import errors; 125 airtight could not parse a file, or the command line is wrong.";

const PATHS: &str = "paths";
const BUNDLE: &str = "bundle";
const JOBS: &str = "jobs";
const TIMEOUT: &str = "timeout";
const COLD: &str = "cold";
const SERVE: &str = "serve";
const IDLE: &str = "idle";
const MOST: &str = "containers";
const START: &str = "start";

/// Keys of `airtight run` that count here too, above every file.
const FLAGS: [&str; 4] = ["image", "environments", "env_file", "volumes"];

/// The definition of the verb.
pub fn command() -> Command {
    let command = Command::new("parse")
        .about("Parses DAG files in their containers, as the DAG processor would")
        .override_usage("airtight parse [FLAGS] FILE|DIR...")
        .disable_help_flag(true)
        .after_help(AFTER)
        .arg(
            Arg::new(PATHS)
                .value_name("FILE|DIR")
                .num_args(1..)
                .value_parser(ValueParser::path_buf())
                .required_unless_present(SERVE)
                .help("DAG files, and folders to look for them in"),
        )
        .arg(
            Arg::new(BUNDLE)
                .long(BUNDLE)
                .value_name("DIR")
                .value_parser(ValueParser::path_buf())
                .help("What the container gets, and where DAG files import modules from [default: dags_folder of airflow.cfg where a file is in it, else the folder given, else the file's own]"),
        )
        .arg(
            Arg::new(JOBS)
                .long(JOBS)
                .short('j')
                .value_name("N")
                .value_parser(clap::value_parser!(u16).range(1..))
                .help("How many files are parsed at once [default: one for each CPU]"),
        )
        .arg(
            Arg::new(TIMEOUT)
                .long(TIMEOUT)
                .value_name("DURATION")
                .default_value("50s")
                .value_parser(values::duration)
                .help("How long one file may take, without the start of its container, which has a minute"),
        )
        .arg(
            Arg::new(COLD)
                .long(COLD)
                .action(ArgAction::SetTrue)
                .help("A container for each file"),
        )
        .arg(Format::arg());
    let flags = FLAGS.iter().filter_map(|name| keys::find(name)).map(flag);
    let command = command.args(flags).mut_arg("image", |arg| {
        arg.help("The image for every file, whatever is said elsewhere")
    });
    hidden(command).arg(help_flag())
}

/// For the DAG processor that starts a keeper.
fn hidden(command: Command) -> Command {
    command
        .arg(
            Arg::new(SERVE)
                .long(SERVE)
                .value_name("FD")
                .value_parser(clap::value_parser!(i32))
                .conflicts_with(PATHS)
                .hide(true)
                .help("Parses what is asked for on this socket (docs/parsers.md)"),
        )
        .arg(
            Arg::new(IDLE)
                .long(IDLE)
                .value_name("DURATION")
                .env("AIRTIGHT_PARSERS_IDLE")
                .hide_env_values(true)
                .hide(true)
                .value_parser(values::duration)
                .help("How long a container without work lives"),
        )
        .arg(
            Arg::new(START)
                .long(START)
                .value_name("DURATION")
                .env("AIRTIGHT_PARSERS_START")
                .hide_env_values(true)
                .hide(true)
                .value_parser(values::duration)
                .help("How long a container may take to start"),
        )
        .arg(
            Arg::new(MOST)
                .long(MOST)
                .value_name("N")
                .env("AIRTIGHT_PARSERS_CONTAINERS")
                .hide_env_values(true)
                .hide(true)
                .value_parser(clap::value_parser!(u32).range(1..))
                .help("How many containers live at once"),
        )
}

/// Runs it.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let limits = limits(matches);
    if let Some(number) = matches.get_one::<i32>(SERVE) {
        return serve::serve(*number, globals, limits).await;
    }
    let wish = wish(matches)?;
    let outcomes = files::parse(&wish, globals, limits).await?;
    let rows: Vec<_> = outcomes.into_iter().map(report::Row::of).collect();
    report::print(&rows, Format::of(matches))?;
    Ok(report::exit_code(&rows))
}

fn limits(matches: &ArgMatches) -> Limits {
    let mut limits = Limits::default();
    if let Some(idle) = matches.get_one::<Duration>(IDLE) {
        limits.idle = *idle;
    }
    if let Some(start) = matches.get_one::<Duration>(START) {
        limits.start = *start;
    }
    if let Some(most) = matches.get_one::<u32>(MOST) {
        limits.most = usize::try_from(*most).unwrap_or(usize::MAX);
    }
    limits
}

fn wish(matches: &ArgMatches) -> Result<files::Wish> {
    let paths = matches.get_many::<PathBuf>(PATHS).into_iter().flatten();
    let jobs = matches.get_one::<u16>(JOBS).copied().map(usize::from);
    let timeout = matches.get_one::<Duration>(TIMEOUT).copied();
    if timeout == Some(Duration::ZERO) {
        return Err(
            Failure::usage("invalid value for --timeout").because("a file needs more than no time")
        );
    }
    Ok(files::Wish {
        paths: paths.cloned().collect(),
        bundle: matches.get_one::<PathBuf>(BUNDLE).cloned(),
        jobs: jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)),
        timeout,
        cold: matches.get_flag(COLD),
        flags: flags(matches),
    })
}

/// As they were given, for `airtight run`.
fn flags(matches: &ArgMatches) -> Vec<String> {
    let keys = FLAGS.iter().filter_map(|name| keys::find(name));
    let mut words = Vec::new();
    for key in keys.filter(|key| given(matches, key.name)) {
        for text in matches.get_many::<String>(key.name).into_iter().flatten() {
            words.push(format!("--{}={text}", key.flag));
        }
    }
    words
}
