//! The command line: one file per verb, and how things are printed.
//!
//! Nothing here decides anything about containers.

mod airflow;
mod attach;
mod bundle;
mod completion;
mod config;
mod dag_files;
mod docker_flags;
mod doctor;
mod events;
mod exec;
mod globals;
mod image;
mod inspect;
mod interrupt;
mod kill;
mod lines;
mod logs;
pub mod out;
mod parse;
mod ps;
mod reap;
mod rm;
mod run;
mod runs;
mod settings;
mod several;
mod stats;
mod stop;
mod time;
mod usage;
mod wait;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Command};

use crate::failure::{Failure, Kind, Result};
use crate::log::writer;
use crate::reap::dead_owners;
pub use globals::Globals;

const ABOUT: &str = "Runs one task in one sealed container, by talking to containerd directly";
const LONG_ABOUT: &str = "\
Runs one task in one sealed container, by talking to containerd directly: no dockerd, no daemon of its own.
When the task ends, or airtight does, of whatever cause, everything inside is dead and nothing is left behind.";
const AFTER: &str = "\
Examples:
  airtight doctor                            what this host has and lacks
  airtight image pull busybox:1.36           from a registry
  airtight image import busybox.tar          of docker save, or OCI layout
  airtight run busybox echo hello            one task
  airtight run -it --rm busybox sh           a shell
  airtight run -d --name job IMAGE COMMAND   in the background: ps, logs -f job, wait job, rm job
  airtight run -m 512m --timeout 1h -v /data:/data:ro IMAGE python3 /data/task.py
  airtight run --dag-file dags/etl.py python3 /dags/etl.py
                                             image from dags/etl.py.metadata.yaml
  airtight exec -it RUN sh                   beside the payload of a living run
  airtight attach RUN                        joins it: output, input, end
  airtight stop RUN                          and kill, stats, events
  airtight parse dags                        what Airflow will say of these DAG files
  airtight reap                              undoes what dead runs left, a reboot included

Exit codes of run:
  the payload's own, or
  124      the time limit passed
  125      airtight or containerd failed, or the command line is wrong
  126      the command cannot be executed
  127      the command was not found
  128+n    killed by signal n; 137 also for memory: --verdict says which

Exit codes of exec: those of run, for its command. Exit codes of attach: those of the run it joins; 0 left by the keys.
Exit codes of parse: 0, 1 import errors, 125 airtight failed.
Exit codes of reap: 0 the host is clean, 1 something remains.
Exit codes of the other verbs: 0, or 1 failed, or there is no such run (125 for bundle), 125 the command line is wrong, 128+n ended by signal n.";

/// The whole command line.
pub fn command() -> Command {
    Command::new("airtight")
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(AFTER)
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(globals::flags())
        .arg(run::detach::flag())
        .subcommand(run::command())
        .subcommand(ps::command())
        .subcommand(logs::command())
        .subcommand(attach::command())
        .subcommand(wait::command())
        .subcommand(inspect::command())
        .subcommand(rm::command())
        .subcommand(log_writer())
        .subcommand(bundle::command())
        .subcommand(exec::command())
        .subcommand(stop::command())
        .subcommand(kill::command())
        .subcommand(stats::command())
        .subcommand(events::command())
        .subcommand(image::command())
        .subcommand(parse::command())
        .subcommand(config::command())
        .subcommand(reap::command())
        .subcommand(doctor::command())
        .subcommand(completion::command())
        .subcommand(completion::hidden_command())
}

/// What containerd's shim starts beside a detached payload.
fn log_writer() -> Command {
    Command::new(writer::VERB)
        .about("Writes the log of a detached run; for containerd's shim")
        .hide(true)
        .arg(
            Arg::new("dir")
                .required(true)
                .value_parser(ValueParser::path_buf()),
        )
}

/// A command that came to nothing.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// Whose exit code it will be.
    pub codes: Codes,
}

/// Which exit codes a verb has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// docker run's: the small numbers are the payload's.
    Run,
    /// 121 for every failure: all others may be the payload's.
    AsPayload,
    /// docker's for everything else: 1, and 125 for a command line that is wrong.
    Plain,
    /// The same, where 1 says that something remains, which nobody can say of a run that is not there.
    Reap,
}

impl Failed {
    /// The exit code (design.md, "Outcomes and exit codes").
    pub fn exit_code(&self) -> u8 {
        let code = match (self.codes, self.failure.kind()) {
            (Codes::Plain | Codes::Reap, Kind::Usage | Kind::Interrupted(_))
            | (Codes::Reap, Kind::NoRun)
            | (Codes::Run, _) => self.failure.kind().exit_code(),
            (Codes::AsPayload, _) => i32::from(run::as_payload::FAILED),
            (Codes::Plain | Codes::Reap, _) => 1,
        };
        // Every kind's code is a byte.
        u8::try_from(code).unwrap_or(125)
    }
}

/// Does what `args` say. The error is for the caller to print.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, Failed> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(arguments) = crate::airflow::called_as_airflow(&args) {
        return airflow::run(arguments).await;
    }
    let matches = match parse(args) {
        Ok(matches) => matches,
        Err(done) => return done,
    };
    let codes = match matches.subcommand() {
        Some(("run", matches)) if matches.get_flag(run::AS_PAYLOAD) => Codes::AsPayload,
        Some(("run" | "attach" | "exec" | "bundle" | "parse", _)) => Codes::Run,
        Some(("reap", _)) => Codes::Reap,
        _ => Codes::Plain,
    };
    let done = verb(&matches).await;
    done.map_err(|failure| Failed { failure, codes })
}

fn parse(args: Vec<OsString>) -> Result<ArgMatches, Result<ExitCode, Failed>> {
    let mut command = command();
    let error = match command.try_get_matches_from_mut(&args) {
        Ok(matches) => return Ok(matches),
        Err(error) => error,
    };
    Err(match usage::refusal(&error, &mut command, &args) {
        usage::Refusal::Asked => {
            // A closed terminal is no reason for another message. clap leaves colours out where
            // nobody sees them.
            let _ = error.print();
            Ok(ExitCode::SUCCESS)
        }
        usage::Refusal::NoVerb(help) => {
            // Nobody reads it: no reason for another message.
            let _ = writeln!(std::io::stderr(), "{help}");
            Ok(ExitCode::from(125))
        }
        usage::Refusal::Wrong(failure) => Err(Failed {
            failure,
            codes: Codes::Run,
        }),
    })
}

async fn verb(matches: &ArgMatches) -> Result<ExitCode> {
    // Neither needs anything of this host.
    match matches.subcommand() {
        Some(("completion", matches)) => return completion::run(matches),
        Some((completion::COMPLETE, matches)) => return completion::complete(matches).await,
        _ => {}
    }
    let globals = Globals::of(matches)?;
    if let Some(("doctor", matches)) = matches.subcommand() {
        return doctor::run(matches, &globals).await;
    }
    if let Some((writer::VERB, matches)) = matches.subcommand() {
        let dir = matches.get_one::<PathBuf>("dir");
        writer::write(dir.map_or(Path::new(""), PathBuf::as_path))?;
        return Ok(ExitCode::SUCCESS);
    }
    let owner = run::detach::Caller::of(matches)?;
    if let (Some(("run", matches)), None) = (matches.subcommand(), &owner)
        && run::detach::is_wanted(matches)
    {
        must_be_root()?;
        return run::detach::start();
    }
    // A CI of DAG authors need not be root.
    if let Some(("config", matches)) = matches.subcommand() {
        return config::run(matches, &globals);
    }
    // It does what is done before any other, and more.
    if let Some(("reap", matches)) = matches.subcommand() {
        must_be_root()?;
        return reap::run(matches, &globals).await;
    }
    make_ready(&globals).await?;
    match matches.subcommand() {
        Some(("run", matches)) => run::run(matches, &globals, owner).await,
        Some(("ps", matches)) => ps::run(matches, &globals.state),
        Some(("logs", matches)) => logs::run(matches, &globals.state).await,
        Some(("attach", matches)) => attach::run(matches, &globals.state).await,
        Some(("wait", matches)) => wait::run(matches, &globals.state).await,
        Some(("inspect", matches)) => inspect::run(matches, &globals.state),
        Some(("rm", matches)) => rm::run(matches, &globals.state).await,
        Some(("bundle", matches)) => bundle::run(matches, &globals)
            .await
            .map(|()| ExitCode::SUCCESS),
        Some(("exec", matches)) => exec::run(matches, &globals).await,
        Some(("events", matches)) => events::run(matches, &globals).await,
        Some(("stats", matches)) => stats::run(matches, &globals).await,
        Some(("stop", matches)) => stop::run(matches, &globals).await,
        Some(("kill", matches)) => kill::run(matches, &globals).await,
        Some(("image", matches)) => image::run(matches, &globals).await,
        Some(("parse", matches)) => parse::run(matches, &globals).await,
        // clap lets no other through.
        _ => Err(Failure::usage("no such verb")),
    }
}

/// What comes before everything that touches containers.
async fn make_ready(globals: &Globals) -> Result<()> {
    must_be_root()?;
    for left in dead_owners(&globals.state).await? {
        out::tell(left);
    }
    Ok(())
}

/// Mounts, cgroups and containerd's socket are root's; without this the first of many system calls
/// would say so.
fn must_be_root() -> Result<()> {
    match nix::unistd::geteuid() {
        user if user.is_root() => Ok(()),
        user => Err(Failure::host("only root can do this")
            .because(format!("this is user {user}"))
            .hint("sudo airtight …, or a systemd unit without User=")),
    }
}

/// Prints a failure and what can be done about it, on stderr.
pub fn print_failure(failure: &Failure) {
    out::tell(with_hints(failure));
}

fn with_hints(failure: &Failure) -> String {
    let hints = failure.hints().iter();
    let hints: String = hints.map(|hint| format!("\n  hint: {hint}")).collect();
    format!("{failure}{hints}")
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        out::tell(format_args!("warning: {warning}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_codes_of_run_are_the_payload_s() {
        for (codes, kind, code) in [
            (Codes::Run, Kind::Host, 125),
            (Codes::Run, Kind::CommandNotFound, 127),
            (Codes::AsPayload, Kind::Usage, 121),
            (Codes::Plain, Kind::Host, 1),
            (Codes::Plain, Kind::Usage, 125),
            (Codes::Plain, Kind::NoRun, 1),
            (Codes::Reap, Kind::NoRun, 125),
            (Codes::Run, Kind::NoRun, 125),
            (Codes::Plain, Kind::Interrupted(2), 130),
        ] {
            let failure = Failure::new(kind, "x");
            assert_eq!(Failed { failure, codes }.exit_code(), code, "{kind:?}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
