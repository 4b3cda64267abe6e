//! `airtight config`: the merged settings with the origin of each, the keys, and a check for DAG
//! authors.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::out::{self, Format};
use super::{Globals, settings};
use crate::config::{Author, Item, Layer, Origin, Profile, Shape, Sources, keys, masked};
use crate::failure::{Failure, Result};

const AFTER: &str = "\
Examples:
  airtight config show --profile task-execution --dag-file dags/etl.py
  airtight config check dags/*.py              a CI of DAG authors: exit 1 on any finding
  airtight config keys                         every key, its type, default and what an author may do";

/// The definition of the verb.
pub fn command() -> Command {
    let show = settings::add_flags(
        Command::new("show")
            .about("Prints the settings a run would have, and where each comes from")
            .override_usage(
                "airtight config show [--profile PROFILE] [--dag-file FILE] [FLAGS of run]",
            )
            .disable_help_flag(true)
            .arg(settings::help_flag())
            .arg(Format::arg())
            .arg(
                Arg::new("diff")
                    .long("diff")
                    .action(ArgAction::SetTrue)
                    .help("Only what differs from the defaults"),
            ),
    );
    let check = Command::new("check")
        .about("Checks the metadata files of DAG files, and airflow.cfg")
        .arg(
            Arg::new("paths")
                .value_name("DAG_FILE")
                .num_args(0..)
                .value_parser(ValueParser::path_buf())
                .help(
                    "DAG files, or their metadata files; without any, only airflow.cfg is checked",
                ),
        );
    let keys = Command::new("keys")
        .about("Lists every runtime key")
        .arg(Format::arg());
    Command::new("config")
        .about("Shows, checks and explains settings")
        .after_help(AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(show)
        .subcommand(check)
        .subcommand(keys)
}

/// Does what the verb below says.
pub fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    match matches.subcommand() {
        Some(("show", matches)) => show(matches, globals).map(|()| ExitCode::SUCCESS),
        Some(("check", matches)) => check(matches),
        Some(("keys", matches)) => list_keys(matches).map(|()| ExitCode::SUCCESS),
        // clap lets no other through.
        _ => Err(Failure::usage("no such command")),
    }
}

fn show(matches: &ArgMatches, globals: &Globals) -> Result<()> {
    let (collected, _) = settings::collect(matches)?;
    // What cannot be parsed would not run either.
    settings::read(matches, globals)?;
    super::warn(&collected.warnings);
    let differs = |item: &&Item| !matches.get_flag("diff") || item.origin != Origin::Default;
    let items: Vec<&Item> = collected.merged.items().filter(differs).collect();
    match Format::of(matches) {
        Format::Json => out::print_json(&json(&items)),
        Format::Table => {
            let mut table = out::table(&["KEY", "VALUE", "ORIGIN"]);
            for item in items {
                table.add_row([item.key.name, &masked(item), &item.origin.to_string()]);
            }
            out::print(&out::table_text(&table))
        }
    }
}

/// `{key: {value, origin}}`, lists as lists of these.
fn json(items: &[&Item]) -> Value {
    let mut all = Map::new();
    for item in items {
        let value = json!({ "value": masked(item), "origin": item.origin.to_string() });
        let name = item.key.name.to_owned();
        match (item.key.shape, all.entry(name).or_insert_with(|| json!([]))) {
            (Shape::List, Value::Array(list)) => list.push(value),
            (_, slot) => *slot = value,
        }
    }
    Value::Object(all)
}

/// One line per finding; each names its file and line.
fn check(matches: &ArgMatches) -> Result<ExitCode> {
    let paths = matches.get_many::<PathBuf>("paths").into_iter().flatten();
    let mut dag_files: Vec<Option<PathBuf>> = paths.map(|path| Some(dag_file(path))).collect();
    if dag_files.is_empty() {
        dag_files.push(None);
    }
    let mut findings: Vec<String> = Vec::new();
    for dag_file in &dag_files {
        for profile in Profile::ALL {
            let dag_file = dag_file.as_deref();
            let sources = Sources {
                profile: Some(profile),
                dag_file,
                flags: Layer::default(),
            };
            for finding in sources.findings() {
                // What is wrong in both profiles, or in airflow.cfg for every file, is said once.
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
    }
    let lines: String = findings
        .iter()
        .map(|finding| format!("{finding}\n"))
        .collect();
    out::print(&lines)?;
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}

/// The DAG file that a metadata file belongs to.
fn dag_file(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.strip_suffix(".metadata.yaml")
        .map_or_else(|| path.to_owned(), PathBuf::from)
}

fn list_keys(matches: &ArgMatches) -> Result<()> {
    if Format::of(matches) == Format::Json {
        let keys = keys::KEYS.iter().map(|key| {
            json!({
                "key": key.name,
                "airflow_cfg": key.name.to_uppercase(),
                "flag": (!key.flag.is_empty()).then(|| format!("--{}", key.flag)),
                "shape": shape(key.shape),
                "default": key.default,
                "author": author(key.author),
                "help": key.help,
            })
        });
        return out::print_json(&keys.collect::<Vec<_>>());
    }
    let mut table = out::table(&["KEY", "FLAG", "SHAPE", "DEFAULT", "A METADATA FILE MAY SET"]);
    for key in keys::KEYS {
        let flag = if key.flag.is_empty() {
            String::new()
        } else {
            format!("--{}", key.flag)
        };
        table.add_row([
            key.name,
            &flag,
            shape(key.shape),
            key.default.unwrap_or(""),
            author(key.author),
        ]);
    }
    out::print(&out::table_text(&table))
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Switch => "true or false",
        Shape::Text => "text",
        Shape::List => "list",
    }
}

fn author(author: Author) -> &'static str {
    match author {
        Author::Free => "anything",
        Author::Consent => "nothing without consent",
        Author::OnIsFree => "true",
        Author::OffIsFree => "false",
        Author::PrivateMode => "private or none",
        Author::Maximum => "up to the operator's maximum",
        Author::Image => "what ALLOWED_IMAGES allows",
        Author::HostPaths => "paths below ALLOWED_VOLUME_PREFIXES",
        Author::Capabilities => "default capabilities; any drop",
        Author::SecurityOptions => "no-new-privileges",
        Author::User => "any but root, where RUN_AS_USER is set",
        Author::Variables => "values, none of the host's",
    }
}
