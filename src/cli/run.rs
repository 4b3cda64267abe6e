//! `airtight run`: one task in one sealed container.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use super::{Globals, out, settings};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::image::{self, Image};
use crate::plan::Plan;
use crate::run::preview::Preview;
use crate::run::verdict::{Cause, Phases, Verdict};
use crate::run::{self, Job, Outcome};
use crate::survey::Survey;

const AFTER: &str = "\
Signals: TERM begins a stop (--stop-signal, after --stop-timeout SIGKILL); INT, HUP, QUIT, USR1, USR2
and ALRM go to the payload as they are, the third INT kills. SIGKILL of airtight kills everything inside.

stdout carries the payload's bytes and nothing else. Pipes and sockets are handed to the payload as
they are; terminals and files are copied to, unless --pass-fd 1 (or 0, 2) hands over the file itself.";

/// The definition of the verb.
pub fn command() -> Command {
    let command = Command::new("run")
        .about("Runs a command in a new container and leaves nothing behind")
        .override_usage("airtight run [FLAGS] IMAGE [COMMAND...]\n       airtight run [FLAGS] --dag-file FILE [COMMAND...]")
        // -h is docker's --hostname.
        .disable_help_flag(true)
        .after_help(AFTER)
        .next_help_heading("Output")
        .arg(Arg::new("verbose").long("verbose").action(ArgAction::SetTrue).help("Says at the end, on stderr, how the run ended and what it used"))
        .arg(Arg::new("verdict").long("verdict").value_name("FILE").help("Writes how the run ended, as JSON"))
        .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Prints the plan and the OCI spec as JSON, and runs nothing"))
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Prints this"));
    settings::add_flags(command)
}

/// Runs it; the payload's end is the exit code.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let mut phases = Phases::start();
    let (survey, image, plan) = plan(matches, globals).await?;
    if matches.get_flag("dry-run") {
        print_plan(&plan, &image, globals).await?;
        return Ok(ExitCode::SUCCESS);
    }
    super::warn(&plan.warnings);
    let verdict_file = matches
        .get_one::<String>("verdict")
        .map(VerdictFile::create)
        .transpose()?;
    phases.lap("plan");
    let job = Job {
        plan: &plan,
        survey: &survey,
        image: &image,
        client: &globals.client,
        connection: &globals.connection,
        state: &globals.state,
    };
    let Outcome { verdict, failure } = run::execute(job, phases).await?;
    if let Some(file) = verdict_file {
        file.write(&verdict)?;
    }
    report(&verdict, failure, matches.get_flag("verbose"));
    // Every cause's code is a byte.
    Ok(ExitCode::from(
        u8::try_from(verdict.exit_code).unwrap_or(u8::MAX),
    ))
}

/// Everything that is decided before anything exists.
pub async fn plan(matches: &ArgMatches, globals: &Globals) -> Result<(Survey, Image, Plan)> {
    let settings = settings::read(matches)?;
    let survey = Survey::take(&settings)?;
    let image = image::find(&globals.client, &settings.image).await?;
    let id = match &settings.name {
        Some(name) => name.clone(),
        None => ContainerId::random()?,
    };
    let plan = Plan::make(&settings, &survey, &image, id)?;
    Ok((survey, image, plan))
}

fn report(verdict: &Verdict, failure: Option<Failure>, verbose: bool) {
    match failure {
        Some(failure) => super::print_failure(&failure),
        None if matches!(
            verdict.cause,
            Cause::StartFailed { .. } | Cause::Lost { .. }
        ) =>
        {
            super::say(&format!("airtight: {}", verdict.cause));
        }
        None => {}
    }
    for leftover in &verdict.leftovers {
        super::say(&format!(
            "airtight: left over, to be undone by a later airtight command: {leftover}"
        ));
    }
    if verbose {
        super::say(&format!("airtight: {verdict}"));
    }
}

async fn print_plan(plan: &Plan, image: &Image, globals: &Globals) -> Result<()> {
    let places = globals.state.places(&plan.id);
    let preview = Preview {
        plan,
        image,
        client: &globals.client,
        places: &places,
    };
    let spec = preview.spec().await?;
    out::print_json(&json!({ "plan": plan, "spec": spec }))
}

/// Where the verdict goes: opened before the run, so that a path that cannot be written is known then.
struct VerdictFile {
    path: String,
    file: File,
}

impl VerdictFile {
    fn create(path: &String) -> Result<Self> {
        let file = File::create(path).or_fail(Kind::Usage, || {
            format!("cannot write the verdict to {path}")
        })?;
        Ok(Self {
            path: path.clone(),
            file,
        })
    }

    fn write(mut self, verdict: &Verdict) -> Result<()> {
        let cannot = || format!("cannot write the verdict to {}", self.path);
        let mut json = serde_json::to_vec_pretty(verdict).or_fail(Kind::Host, cannot)?;
        json.push(b'\n');
        self.file.write_all(&json).or_fail(Kind::Host, cannot)
    }
}
