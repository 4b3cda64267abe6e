//! `airtight image`: pull, import, list and remove images.
//!
//! The arguments become the types of the room `image/`, its results become text or JSON on
//! standard output; progress goes to standard error, and only to a terminal.

mod for_dags;
mod import;
mod pull;
mod show;
mod watch;

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Globals;
use super::out::{self, Format};
use super::several::one_of;
use crate::containerd::Client;
use crate::failure::{Failure, Result};
use crate::image::list::{list, list_only};
use crate::image::remove::{Users, remove};
use crate::image::unpack::{DEFAULT_SNAPSHOTTER, Unpack};
use crate::image::{Reference, Wanted};

/// The verb's definition.
pub fn command() -> Command {
    Command::new("image")
        .about("Pulls, imports, lists and removes images")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(pull::command())
        .subcommand(import::command())
        .subcommand(ls_command())
        .subcommand(rm_command())
}

/// What is done with what comes in.
fn unpack_args() -> [Arg; 2] {
    [
        Arg::new("no-unpack")
            .long("no-unpack")
            .action(ArgAction::SetTrue)
            .help("Leaves unpacking to the first run"),
        Arg::new("snapshotter")
            .long("snapshotter")
            .value_name("NAME")
            .env("CONTAINERD_SNAPSHOTTER")
            .default_value(DEFAULT_SNAPSHOTTER)
            .help("The snapshotter to unpack with"),
    ]
}

fn unpack_of(matches: &ArgMatches) -> Unpack {
    match matches.get_one::<String>("snapshotter") {
        Some(name) if !matches.get_flag("no-unpack") => Unpack::With(vec![name.clone()]),
        _ => Unpack::Later,
    }
}

fn ls_command() -> Command {
    Command::new("ls")
        .visible_alias("list")
        .about("Lists images")
        .after_help(
            "SIZE is what manifest, configuration and (mostly compressed) layers take in \
             containerd's content store. An image that cannot be used, because some of it is \
             missing or it is for another platform, is listed without an id; --format json says \
             why.\n\n\
             With NAME, a run of that image would take what is listed: -q prints nothing where it \
             finds none.",
        )
        .arg(
            Arg::new("image")
                .value_name("NAME")
                .help("Lists only these: names, or ids or their beginnings")
                .num_args(1..)
                .value_parser(|text: &str| text.parse::<Wanted>()),
        )
        .arg(Format::arg())
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .short('q')
                .action(ArgAction::SetTrue)
                .conflicts_with("format")
                .help("Prints ids only"),
        )
}

fn rm_command() -> Command {
    Command::new("rm")
        .visible_alias("remove")
        .about("Removes images")
        .after_help(
            "Content and snapshots that no other image and no container needs are gone when the \
             command returns.\n\n\
             Examples:\n  \
             airtight image rm python:3.12-slim\n  \
             airtight image rm $(airtight image ls -q)",
        )
        .arg(
            Arg::new("image")
                .value_name("NAME")
                .help("A name, or an id or its beginning")
                .required(true)
                .num_args(1..)
                .value_parser(|text: &str| text.parse::<Wanted>()),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("Even if containers use it, and with all names of an id"),
        )
}

/// Runs the subcommand in `matches`, which are those of [`command`].
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    // It may be told of another containerd by airflow.cfg.
    if let Some(("pull", matches)) = matches.subcommand() {
        return pull::run(matches, globals).await;
    }
    let client = &globals.client;
    globals.reach_containerd().await?;
    match matches.subcommand() {
        Some(("import", matches)) => import::run(matches, client).await,
        Some(("ls", matches)) => run_ls(matches, client).await,
        Some(("rm", matches)) => run_rm(matches, client).await,
        _ => Err(Failure::usage("airtight image needs a subcommand")),
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn run_ls(matches: &ArgMatches, client: &Client) -> Result<()> {
    let wanted: Vec<&Wanted> = matches.get_many("image").into_iter().flatten().collect();
    let images = match wanted.is_empty() {
        true => list(client).await?,
        false => list_only(client, &wanted).await?,
    };
    if matches.get_flag("quiet") {
        let mut ids: Vec<String> = images
            .iter()
            .filter_map(|listed| listed.image.as_ref().ok())
            .map(|image| format!("{}\n", image.config_blob.digest.short()))
            .collect();
        ids.sort();
        ids.dedup();
        return out::print(&ids.concat());
    }
    match Format::of(matches) {
        Format::Data(notation) => {
            let images: Vec<_> = images.iter().map(show::listed_json).collect();
            out::print_data(&images, notation)
        }
        Format::Table => out::print(&show::listed_table(&images, SystemTime::now())),
    }
}

/// The name as people write it; one that is no reference stays as it is.
pub fn familiar(name: &str) -> String {
    let reference = name.parse::<Reference>();
    reference.map_or_else(|_| name.to_owned(), |name| name.familiar())
}

async fn run_rm(matches: &ArgMatches, client: &Client) -> Result<()> {
    let users = match matches.get_flag("force") {
        true => Users::Ignore,
        false => Users::Respect,
    };
    let wanted: Vec<&Wanted> = matches.get_many("image").into_iter().flatten().collect();
    let mut failures = Vec::new();
    for wanted in &wanted {
        match remove(client, wanted, users).await {
            Ok(names) => {
                let lines: String = names.iter().map(|name| familiar(name) + "\n").collect();
                out::print_harmless(&lines)?;
            }
            Err(failure) => failures.push(failure),
        }
    }
    one_of(failures, ("remove", "images"), wanted.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn bad_names_are_refused_before_anything_is_done() {
        let parse = |arguments: &[&str]| command().try_get_matches_from(arguments);
        assert!(parse(&["image", "import", "-t", "Bad Name", "-"]).is_err());
        assert!(parse(&["image", "rm", "Bad Name"]).is_err());
        assert!(parse(&["image", "rm"]).is_err());
        assert!(parse(&["image", "rm", "busybox", "cafe0123"]).is_ok());
    }
}
