//! `airtight run`: one task in one sealed container.

pub mod as_payload;
mod beside;
mod cid_file;
pub mod detach;
mod telling;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use self::as_payload::End;
use self::cid_file::CidFile;
use self::detach::Caller;
use self::telling::{VerdictFile, report};
use super::settings::Read;
use super::{Globals, out, settings};
use crate::airflow;
use crate::config::Answers;
use crate::containerd::{self, ABSENCE, Client, patiently};
use crate::failure::{Context, Failure, Kind, Result};
use crate::image::{self, Image};
use crate::leash::inherited;
use crate::parse::recipe::{self, Slip, Sources};
use crate::plan::{self, Plan};
use crate::run::papers::Holding;
use crate::run::preview::Preview;
use crate::run::step::{Step, reached};
use crate::run::verdict::{Phases, Verdict};
use crate::run::{Beginning, Connection, Job, Outcome};
use crate::spec;
use crate::survey::Survey;

/// Paragraphs in one line each: clap wraps them to the terminal.
const AFTER: &str = "\
Examples:
  airtight run --rm -it busybox sh
  airtight run -e STAGE=test -v $PWD:/w -w /w python:3 python3 t.py
  airtight run -m 2g --cpus 1.5 --pids-limit 500 --timeout 1h IMAGE COMMAND
  airtight run --verdict out.json --verbose IMAGE COMMAND
  airtight run -d --name job IMAGE COMMAND
  tar c data | airtight run -i IMAGE wc -c

Signals: TERM begins a stop (--stop-signal, and SIGKILL after --stop-timeout). INT, HUP, QUIT, USR1, USR2 and ALRM go to the payload as they are; the third INT kills. HUP, INT and QUIT stay ignored where airtight was started so (nohup, & in a script). SIGKILL of airtight kills everything inside.

stdout carries the payload's bytes and nothing else. Pipes and sockets are handed to the payload as they are; terminals and files are copied to, unless --pass-fd 1 (or 0, 2) hands over the file itself.

Exit codes: the payload's own; 124 time limit; 125 airtight or containerd failed; 126 the command cannot be executed; 127 it was not found; 128+n killed by signal n (137 also for memory).";

/// The flag, and its name among clap's.
pub const AS_PAYLOAD: &str = "as-payload";

/// What a keeper of DAG files is told.
const CHANGED: &str = "the settings or the image have changed in between";

/// The flag, and its name among clap's.
const KEEPER: &str = "keeper";

/// The definition of the verb.
pub fn command() -> Command {
    let command = Command::new("run")
        .about("Runs a command in a new container and leaves nothing behind")
        .override_usage("airtight run [FLAGS] IMAGE [COMMAND...]\n       airtight run [FLAGS] --dag-file FILE [COMMAND...]")
        // -h is docker's --hostname.
        .disable_help_flag(true)
        .after_help(AFTER);
    settings::add_flags(command)
        .next_help_heading("Output")
        .arg(detach::detach_flag())
        .arg(
            Arg::new("cidfile")
                .long("cidfile")
                .value_name("FILE")
                .value_parser(ValueParser::path_buf())
                .conflicts_with("dry-run")
                .help("Writes the id to FILE, which must not exist"),
        )
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .action(ArgAction::SetTrue)
                .help("Says at the end, on stderr, how the run ended and what it used"),
        )
        .arg(
            Arg::new("verdict")
                .long("verdict")
                .value_name("FILE")
                .value_parser(ValueParser::path_buf())
                .conflicts_with("dry-run")
                .help("Writes how the run ended to FILE, as JSON; also when it did not start"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Prints the plan and the OCI spec as JSON, with secrets masked, and runs nothing"),
        )
        .arg(
            Arg::new(AS_PAYLOAD)
                .long(AS_PAYLOAD)
                .action(ArgAction::SetTrue)
                .conflicts_with(detach::DETACH)
                .help("Ends as the payload did, killed by the same signal where it was; exit code 121 where airtight failed; dies with its caller. For callers such as Airflow"),
        )
        .arg(
            Arg::new(KEEPER)
                .long(KEEPER)
                .value_name("FD")
                .value_parser(clap::value_parser!(i32))
                .requires(AS_PAYLOAD)
                .hide(true)
                .help("For airtight parse: what it has read, on an open descriptor"),
        )
        .arg(settings::help_flag())
}

/// Runs it; the payload's end is the exit code. `caller` waits for the start of a detached run.
pub async fn run(
    matches: &ArgMatches,
    globals: &Globals,
    caller: Option<Caller>,
) -> Result<ExitCode> {
    let phases = Phases::start();
    if matches.get_flag("dry-run") {
        print_plan(plan(matches, globals).await?, globals).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if matches.get_flag(AS_PAYLOAD) {
        as_payload::die_with_the_caller()?;
    }
    // The image hook is not to have what is the payload's.
    inherited::keep_to_ourselves().or_fail(Kind::Host, || "cannot look at our own descriptors")?;
    let file = matches.get_one::<PathBuf>("verdict");
    let file = file.map(VerdictFile::create).transpose()?;
    let id_file = matches.get_one::<PathBuf>("cidfile");
    let id_file = id_file.map(|path| CidFile::create(path)).transpose()?;
    let read = match matches.get_one::<i32>(KEEPER) {
        Some(number) => read_again(matches, *number, globals),
        None => settings::read(matches, globals, settings::Image::Needed),
    };
    let told = Told {
        caller: caller.as_ref(),
        id_file: id_file.as_ref(),
    };
    let Outcome { verdict, failure } = execute(read, globals, phases, told).await;
    report(&verdict, failure, matches.get_flag("verbose"));
    if let Some(file) = file
        && let Err(failure) = file.write(&verdict)
    {
        // The payload has run: its exit code is worth more than our trouble.
        super::print_failure(&failure);
    }
    Ok(ExitCode::from(if matches.get_flag(AS_PAYLOAD) {
        End::of(&verdict.cause).come()
    } else {
        // Every cause's code is a byte.
        u8::try_from(verdict.exit_code).unwrap_or(u8::MAX)
    }))
}

/// Reads what a keeper of DAG files has read a moment ago, to whom descriptor `number` belongs.
fn read_again(matches: &ArgMatches, number: i32, globals: &Globals) -> Result<Read> {
    let what = || "cannot hear the keeper of DAG files";
    let slip = Slip::read(inherited::take(number).or_fail(Kind::Usage, what)?)?;
    // It could read them, so somebody has changed them.
    let mut read = settings::read_with(matches, &slip.variables, Answers::default(), globals)
        .map_err(|failure| Failure::new(Kind::Changed, CHANGED).because(failure))?;
    read.expected = Some(slip.key);
    Ok(read)
}

/// Runs what a caller that is no command line has read, and ends as the payload did.
pub async fn run_as_payload(read: Result<Read>, globals: &Globals, phases: Phases) -> ExitCode {
    let Outcome { verdict, failure } = execute(read, globals, phases, Told::default()).await;
    report(&verdict, failure, true);
    ExitCode::from(End::of(&verdict.cause).come())
}

/// Who is told the run's id, and when.
#[derive(Default)]
struct Told<'a> {
    /// When the payload of a detached run has been started.
    caller: Option<&'a Caller>,
    /// When the run begins.
    id_file: Option<&'a CidFile>,
}

/// From the settings to the end of the run, which may not even have begun.
async fn execute(read: Result<Read>, globals: &Globals, phases: Phases, told: Told<'_>) -> Outcome {
    match begin(read, globals, phases, told).await {
        Ok(outcome) => outcome,
        Err((failure, phases)) => Outcome {
            verdict: Verdict::of_nothing(&failure, phases),
            failure: Some(failure),
        },
    }
}

/// A failure comes back with the time it took.
async fn begin(
    read: Result<Read>,
    globals: &Globals,
    mut phases: Phases,
    told: Told<'_>,
) -> Result<Outcome, (Failure, Phases)> {
    if let Some(Err(failure)) = told.caller.map(Caller::let_go_of_stdin) {
        return Err((failure, phases));
    }
    let planned = match read {
        Ok(read) => plan_of(read, globals).await,
        Err(failure) => Err(failure),
    };
    phases.lap("plan");
    let planned = match planned {
        Ok(planned) => planned,
        Err(failure) => return Err((failure, phases)),
    };
    super::warn(&planned.plan.warnings);
    let id = &planned.plan.id;
    if let Some(Err(failure)) = told.id_file.map(|file| file.write(id)) {
        return Err((failure, phases));
    }
    let started = || {
        told.id_file.iter().for_each(|file| file.keep());
        told.caller.iter().for_each(|caller| caller.tell(id));
    };
    if told.caller.is_some()
        && let Err(why) = inherited::close_others(&planned.plan.process.pass_fds)
    {
        let failure = Failure::host("cannot look at our own descriptors").because(why);
        return Err((failure, phases));
    }
    let job = Job {
        plan: &planned.plan,
        survey: &planned.survey,
        image: &planned.image,
        client: &planned.client,
        connection: &planned.connection,
        state: &globals.state,
        must_read: airflow::config_file::of(&planned.plan),
        on_start: &started,
        holding: match told.caller {
            Some(_) => Holding::Detached,
            None => Holding::Foreground,
        },
        beginning: Beginning::Any,
    };
    let begun = phases.clone();
    beside::run_or_attach(job, phases)
        .await
        .map_err(|failure| (failure, begun))
}

/// Everything that is decided before anything exists, and what it was decided upon.
pub struct Planned {
    survey: Survey,
    /// The image.
    pub image: Image,
    /// The decisions.
    pub plan: Plan,
    /// containerd, where the settings say it is.
    pub client: Client,
    /// How it was named.
    pub connection: Connection,
}

/// Decides it.
pub async fn plan(matches: &ArgMatches, globals: &Globals) -> Result<Planned> {
    plan_of(
        settings::read(matches, globals, settings::Image::Needed)?,
        globals,
    )
    .await
}

async fn plan_of(read: Read, globals: &Globals) -> Result<Planned> {
    let Read {
        settings,
        address,
        warnings,
        expected,
        ..
    } = read;
    super::warn(&warnings);
    // As the keeper did, before anything else: what is there now is no older than what is mounted.
    let expected = expected.map(|expected| (expected, Sources::of(&settings)));
    let (client, connection) = globals.connect_to(address)?;
    let survey = Survey::take(&settings)?;
    reached(Step::Settings);
    containerd::reach_patiently(&connection.address, waiting).await?;
    let image = patiently(ABSENCE, |_| image::find(&client, &settings.image)).await?;
    if let Some((expected, sources)) = expected
        && expected
            != recipe::key(
                &settings,
                &sources,
                &image.manifest.digest,
                &connection.address,
            )
    {
        return Err(Failure::new(Kind::Changed, CHANGED));
    }
    let id = plan::id(&settings)?;
    let plan = Plan::make(&settings, &survey, &image, id)?;
    Ok(Planned {
        survey,
        image,
        plan,
        client,
        connection,
    })
}

fn waiting(failure: &Failure) {
    out::tell(format_args!("{failure}; waiting for it"));
}

async fn print_plan(planned: Planned, globals: &Globals) -> Result<()> {
    let plan = planned.plan.masked();
    let places = globals.state.places(&plan.id);
    let preview = Preview {
        plan: &plan,
        image: &planned.image,
        client: &planned.client,
        places: &places,
    };
    let spec = preview.spec().await?;
    out::print_json(&json!({ "plan": plan, "spec": spec::stable_json(&spec)? }))
}
