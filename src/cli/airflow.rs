//! airtight called as `airflow`: a task's container where that is asked for, else the real Airflow.
//!
//! In: the arguments of `airflow`. Out: the payload's own end, or this process as the real one. Which is
//! which, and what a task's container has, is decided in [`crate::airflow`].

use std::ffi::OsString;
use std::process::ExitCode;

use super::run::{as_payload, run_as_payload};
use super::{Codes, Failed, Globals, make_ready, settings};
use crate::airflow::crossing::Crossing;
use crate::airflow::{Call, NAME, TaskRun, real};
use crate::config::airflow_cfg::{AirflowConfig, Environment};
use crate::config::{Answers, Origin, Profile, Sources, keys};
use crate::failure::Result;
use crate::run::verdict::Phases;

/// Does what `arguments` say.
pub async fn run(arguments: &[OsString]) -> Result<ExitCode, Failed> {
    let Some(task) = TaskRun::of(arguments) else {
        return become_real(arguments);
    };
    let ours = |failure| Failed {
        failure,
        codes: Codes::AsPayload,
    };
    let config = AirflowConfig::found(Environment::of_this_process()).map_err(ours)?;
    match Call::of(task, &config).map_err(ours)? {
        Call::Real => become_real(arguments),
        Call::Contained(task) => contain(&task, &config).await.map_err(ours),
    }
}

/// Its failures are those of a shell that looks for `airflow`: 127 and 126.
fn become_real(arguments: &[OsString]) -> Result<ExitCode, Failed> {
    match real::become_it(arguments) {
        Ok(never) => match never {},
        Err(failure) => Err(Failed {
            failure,
            codes: Codes::Run,
        }),
    }
}

async fn contain(task: &TaskRun, config: &AirflowConfig) -> Result<ExitCode> {
    let phases = Phases::start();
    as_payload::die_with_the_caller()?;
    let globals = Globals::of_variables()?;
    make_ready(&globals).await?;
    let read = read(task, config, &globals);
    Ok(run_as_payload(read, &globals, phases).await)
}

fn read(task: &TaskRun, config: &AirflowConfig, globals: &Globals) -> Result<settings::Read> {
    let dag_file = task.dag_file(&config.folder("core", "dags_folder", "dags")?)?;
    let profile = Profile::TaskExecution;
    let Crossing {
        proposed,
        mut fixed,
    } = Crossing::of(config, &dag_file, profile)?;
    if let Some(key) = keys::find("entrypoint") {
        fixed.say(key, NAME, Origin::Argument);
    }
    let sources = Sources {
        profile: Some(profile),
        dag_file: Some(&dag_file),
        proposed,
        flags: fixed,
        answers: Answers::default(),
    };
    let words = task.arguments.iter().map(settings::word);
    settings::read_from(
        sources,
        words.collect::<Result<_>>()?,
        globals,
        settings::Image::Needed,
    )
}
