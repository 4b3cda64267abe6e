//! `airtight exec`: a command beside the payload of a living run, as `docker exec`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Globals, settings};
use crate::config::env_file;
use crate::config::values::{Variable, working_dir};
use crate::failure::{Failure, Result};
use crate::living::Living;
use crate::living::exec::{End, Wish, attached, detached};
use crate::plan::Streams;
use crate::spec::user::UserSpec;
use crate::survey;

/// The run, and the command.
const WORDS: &str = "words";

const AFTER: &str = "\
Examples:
  airtight exec -it web sh                a shell beside the payload
  airtight exec web ps
  airtight exec -u 1000 -w /tmp -e A=b web env
  pg_dump x | airtight exec -i web psql   input from a pipe

The command has the run's user, variables, working directory, limits, capabilities and seccomp filter, unless told otherwise. It ends with this airtight, whatever ends that, and with the run; with -d it goes on until the run ends, and its output goes nowhere.

Signals: INT, HUP, QUIT, TERM, USR1, USR2 and ALRM go to the command; the third INT kills it.

Exit codes: the command's own; 125 airtight or containerd failed, or there is no such run; 126 the command cannot be executed; 127 it was not found; 128+n killed by signal n.";

/// The verb's definition.
pub fn command() -> Command {
    Command::new("exec")
        .about("Runs a command beside the payload of a run")
        .override_usage("airtight exec [FLAGS] RUN COMMAND [ARGUMENTS...]")
        .after_help(AFTER)
        .args_override_self(true)
        .arg(
            Arg::new(WORDS)
                .value_names(["RUN", "COMMAND"])
                .num_args(1..)
                .required(true)
                .trailing_var_arg(true)
                .help("The run, and what to run in it. Flags stand before the run; everything behind it belongs to the command"),
        )
        .arg(switch("interactive", 'i', "Connects stdin"))
        .arg(switch("tty", 't', "Gives the command a terminal"))
        .arg(switch("detach", 'd', "Leaves the command running and returns at once").overrides_with("interactive"))
        .arg(switch("privileged", None, "Gives the command every capability that airtight has"))
        .arg(
            Arg::new("env")
                .long("env")
                .short('e')
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .value_parser(|text: &str| text.parse::<Variable>())
                .help("Sets a variable; NAME alone takes its value from our own environment"),
        )
        .arg(
            Arg::new("env-file")
                .long("env-file")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(ValueParser::path_buf())
                .help("Sets the variables in FILE, one on a line"),
        )
        .arg(
            Arg::new("user")
                .long("user")
                .short('u')
                .value_name("USER[:GROUP]")
                .value_parser(|text: &str| text.parse::<UserSpec>())
                .help("Names or numbers, as the container's own files have them [default: the run's user]"),
        )
        .arg(
            Arg::new("workdir")
                .long("workdir")
                .short('w')
                .value_name("DIR")
                .value_parser(working_dir)
                .help("Where the command begins [default: where the run did]"),
        )
}

fn switch(name: &'static str, letter: impl Into<Option<char>>, help: &'static str) -> Arg {
    let arg = settings::switch(Arg::new(name).long(name)).help(help);
    match letter.into() {
        Some(letter) => arg.short(letter),
        None => arg,
    }
}

/// Runs it; its end is the exit code.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let mut words = matches.get_many::<String>(WORDS).into_iter().flatten();
    let word = words.next().map_or("", String::as_str);
    let args: Vec<String> = words.cloned().collect();
    if args.first().is_none_or(String::is_empty) {
        return Err(Failure::usage("no command is given")
            .hint("airtight exec RUN COMMAND, such as airtight exec -it RUN sh"));
    }
    let set = |name: &str| matches.get_one::<bool>(name).is_some_and(|set| *set);
    let streams = Streams {
        interactive: set("interactive"),
        terminal: set("tty"),
    };
    let wish = Wish {
        args,
        environment: environment(matches)?,
        user: matches.get_one("user").cloned(),
        working_dir: matches.get_one("workdir").cloned(),
        powers: set("privileged").then(survey::own_capabilities),
        terminal: streams.terminal,
    };
    let id = globals.state.named(word)?;
    let run = Living::find(&globals.state, &id).await?;
    let end = match set("detach") {
        true => detached(&run, &wish).await?,
        false => attached(&run, &wish, streams).await?,
    };
    Ok(match end {
        End::Code(code) => ExitCode::from(code),
        End::Detached => ExitCode::SUCCESS,
    })
}

/// Those of files first: what stands on the command line itself wins.
fn environment(matches: &ArgMatches) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for file in matches
        .get_many::<PathBuf>("env-file")
        .into_iter()
        .flatten()
    {
        variables.extend(env_file::read_path(file)?);
    }
    variables.extend(matches.get_many("env").into_iter().flatten().cloned());
    let ours = |name: &String| std::env::var(name).ok();
    let known = variables
        .into_iter()
        .filter_map(|Variable { name, value }| {
            let value = value.or_else(|| ours(&name))?;
            Some((name, value))
        });
    Ok(known.collect())
}
