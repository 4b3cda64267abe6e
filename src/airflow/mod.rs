//! airtight under the name `airflow`, first on the PATH of an Airflow 2.10 or 2.11 worker: tasks run in
//! containers, and everything else is the real Airflow's.
//!
//! In: a command line of `airflow`, airflow.cfg. Out: what to do about it ([`Call`]), the layers of a
//! container that can run a task ([`crossing`]), the airflow.cfg that it has to read ([`config_file`]), the
//! real `airflow` ([`real`]). Executors of Airflow 2 start each task as `airflow tasks run DAG TASK RUN
//! --local --subdir DAGS_FOLDER/FILE` when `[core] execute_tasks_new_python_interpreter` is true. Airflow 3
//! has no such command, so nothing of it ends up here. It must never change what the real one is called
//! with, and never run a task outside of the container that was asked for.

pub mod config_file;
pub mod crossing;
pub mod real;
mod task_run;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::config::Profile;
use crate::config::airflow_cfg::AirflowConfig;
use crate::failure::Result;
pub use task_run::TaskRun;

/// The name, of ours and of the real one.
pub const NAME: &str = "airflow";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Call {
    /// Nothing of ours.
    Real,
    /// This, in a container.
    Contained(TaskRun),
}

/// The arguments, if `args` is the command line of somebody who called `airflow`.
pub fn called_as_airflow(args: &[OsString]) -> Option<&[OsString]> {
    let (program, arguments) = args.split_first()?;
    (Path::new(program).file_name() == Some(OsStr::new(NAME))).then_some(arguments)
}

impl Call {
    /// What `run` is with these settings.
    pub fn of(run: TaskRun, config: &AirflowConfig) -> Result<Self> {
        if run.docker || is_on(config)? {
            Ok(Self::Contained(run))
        } else {
            Ok(Self::Real)
        }
    }
}

/// A mistake in the flag must not mean that tasks quietly run without their containers.
fn is_on(config: &AirflowConfig) -> Result<bool> {
    let flag = Profile::TaskExecution.runtime_flag();
    match config.get("core", flag)? {
        None => Ok(false),
        Some(value) => match value.text.trim() {
            "docker" => Ok(true),
            "" => Ok(false),
            _ => Err(value.refuse("it must be docker, or empty for off")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::airflow_cfg::Environment;

    fn call(config: &str, words: &[&str]) -> Result<Call> {
        let environment = Environment::default();
        let config = AirflowConfig::parse(config, "a.cfg".into(), environment).unwrap();
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Call::of(TaskRun::of(&words).unwrap(), &config)
    }

    #[test]
    fn a_task_is_ours_when_the_flag_or_the_command_line_says_so() {
        const ON: &str = "[core]\ntask_execution_runtime = docker\n";
        const RUN: [&str; 6] = ["tasks", "run", "d", "t", "r", "--local"];
        assert!(matches!(call(ON, &RUN), Ok(Call::Contained(_))));
        let docker = [&RUN[..], &["--docker"]].concat();
        assert!(matches!(call("", &docker), Ok(Call::Contained(_))));
        for off in ["", "[core]\ntask_execution_runtime =\n"] {
            assert_eq!(call(off, &RUN).unwrap(), Call::Real);
        }
        let mistake = call("[core]\ntask_execution_runtime = podman\n", &RUN);
        assert!(mistake.unwrap_err().to_string().contains("a.cfg:2"));
    }

    #[test]
    fn only_the_last_part_of_the_name_we_are_called_by_counts() {
        let ours = |name: &str| called_as_airflow(&[name.into(), "version".into()]).is_some();
        assert!(ours("airflow") && ours("/opt/first/airflow") && ours("./airflow"));
        assert!(!ours("airtight") && !ours("/airflow/airtight") && !ours(""));
    }
}
