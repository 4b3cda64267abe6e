//! `airtight attach`: beside a run that another airtight has begun, as `docker attach`.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{out, settings};
use crate::failure::Result;
use crate::living::Living;
use crate::living::attach::{DEFAULT, DetachKeys, End, Leaving, Unread, Wish, attach};
use crate::living::over::Claim;
use crate::run::seen;
use crate::run::signals::Signals;
use crate::run::state::State;

const AFTER: &str = "\
Shows what the run writes from now on (airtight logs has what it wrote before), hands on what is typed where the run was started with -i (in the foreground: with -it), and ends as the run ends. Leaving changes nothing for the run.

Of a run in the foreground only a terminal is seen: what it writes without one goes to its caller alone.

Signals: without a terminal, TERM stops the run (its stop signal, and SIGKILL after its stop timeout), and INT, HUP, QUIT, USR1, USR2 and ALRM go to the payload as they are; the third INT kills it. With a terminal, or --sig-proxy=false, TERM, INT, HUP and QUIT end attach alone.

Exit codes: the run's own; 0 left by the keys; 125 airtight failed, or nobody knows how the run ended; 128+n left by signal n.

Examples:
  airtight run -dit --name web busybox sh
  airtight attach web                     ctrl-p ctrl-q leaves
  airtight attach --no-stdin --sig-proxy=false job";

/// The verb's definition.
pub fn command() -> Command {
    Command::new("attach")
        .about("Joins a run that is going on: its output, its input, its end")
        .after_help(AFTER)
        .arg(
            Arg::new("run")
                .value_name("RUN")
                .required(true)
                .help("A name, or an id or its beginning"),
        )
        .arg(
            Arg::new("no-stdin")
                .long("no-stdin")
                .action(ArgAction::SetTrue)
                .help("Hands on nothing that is typed"),
        )
        .arg(
            settings::switch(Arg::new("sig-proxy").long("sig-proxy"))
                .help("Hands signals on to a payload without a terminal [default: true]"),
        )
        .arg(
            Arg::new("detach-keys")
                .long("detach-keys")
                .value_name("KEYS")
                .default_value(DEFAULT)
                .value_parser(|text: &str| text.parse::<DetachKeys>())
                .help("What leaves a run with a terminal: characters and ctrl-LETTER, with commas; empty is never"),
        )
}

/// Joins it; its end is the exit code.
pub async fn run(matches: &ArgMatches, state: &State) -> Result<ExitCode> {
    let word = matches.get_one::<String>("run").map_or("", String::as_str);
    let id = state.named(word)?;
    let wish = Wish {
        input: !matches.get_flag("no-stdin"),
        signals: matches
            .get_one::<bool>("sig-proxy")
            .copied()
            .unwrap_or(true),
        keys: matches.get_one("detach-keys").cloned().unwrap_or_default(),
        unread: Unread::Leave,
        claim: Claim::None,
        remark: &|what| out::tell(what),
    };
    let mut signals = Signals::listen()?;
    loop {
        let run = Living::find(state, &id).await?;
        return Ok(
            match attach(state, &run, &wish, &mut signals, None).await? {
                End::Run(end) => {
                    if let Some(reason) = &end.lost {
                        out::tell(format_args!("run {id} was lost: {reason}"));
                    }
                    // Every cause's code is a byte.
                    ExitCode::from(u8::try_from(end.exit_code).unwrap_or(u8::MAX))
                }
                End::Left(Leaving::Keys) => {
                    // The cursor is where the run's terminal left it.
                    out::print("\n")?;
                    out::tell(format_args!("left run {id}, which goes on"));
                    ExitCode::SUCCESS
                }
                End::Left(Leaving::Unread) => ExitCode::SUCCESS,
                End::Left(Leaving::Signal(number)) => {
                    ExitCode::from(u8::try_from(number.saturating_add(128)).unwrap_or(u8::MAX))
                }
                End::Orphaned(_) => return Err(seen::orphaned(&id)),
                // Another one may have begun in its place; else it is not found now.
                End::Gone => continue,
            },
        );
    }
}
