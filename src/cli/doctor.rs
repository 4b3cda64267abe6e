//! `airtight doctor`: what this host has, what it lacks, and what that means.
//!
//! Every probe ends in findings, also when what it looks at is absent, broken or does not answer: none
//! fails as a whole and none waits for ever. Nothing is changed on the host.

mod cgroups;
mod containerd;
mod finding;
mod kernel;
mod places;
mod programs;
mod show;

use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::Globals;
use super::out::{self, Format};
use crate::failure::Result;
use finding::Finding;

/// The verb's definition.
pub fn command() -> Command {
    Command::new("doctor")
        .about("Shows what this host has, what it lacks, and what that means")
        .after_help(
            "The exit code is 1 when airtight cannot run a container here (no containerd, no runtime, \
             no cgroups), else 0.",
        )
        .arg(Format::arg())
        .arg(
            Arg::new("cgroup-mount-path")
                .long("cgroup-mount-path")
                .value_name("DIR")
                .default_value("/sys/fs/cgroup")
                .help("Where the host's cgroups are mounted"),
        )
}

/// Looks around and prints.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let findings = examine(matches, globals).await;
    match Format::of(matches) {
        Format::Data(notation) => out::print_data(&show::document(&findings), notation)?,
        Format::Table => out::print(&show::table(&findings, show::Screen::stdout()))?,
    }
    let fit = !findings.iter().any(Finding::is_fatal);
    Ok(if fit {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn examine(matches: &ArgMatches, globals: &Globals) -> Vec<Finding> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let root = Path::new("/");
    let cgroups = cgroups::Cgroups::look(Path::new(text("cgroup-mount-path")), root);
    let (containerd, runtimes, shim) = tokio::join!(
        containerd::findings(
            &globals.client,
            &globals.connection.address,
            containerd::LIMIT
        ),
        programs::runtimes(&cgroups),
        programs::shim(),
    );
    let mut findings = containerd;
    findings.extend(runtimes);
    findings.push(shim);
    findings.extend(cgroups.findings());
    findings.extend(kernel::findings(root));
    findings.push(programs::cni(&programs::CNI_DIRECTORIES.map(Path::new)));
    findings.push(places::state(Path::new(text("state-dir"))));
    findings.push(places::data(Path::new(text("data-dir"))));
    findings
}
