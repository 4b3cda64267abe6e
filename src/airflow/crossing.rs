//! What a task or a DAG parser of Airflow 2 needs in its container beside its image.
//!
//! In: airflow.cfg, the environment of the worker. Out: two layers of settings: what is proposed, where
//! the operator and the author may know better, and what holds whatever they say. Values of variables are
//! taken from our own environment by name; they stand on no command line and in no file of ours.
//!
//! Both write into Airflow's database: a task its state, heartbeats and XCom, a parser the DAGs. So they
//! have the database's secrets, and by default the worker's network. A task writes its log into the
//! worker's folder, and the worker serves it under its host name, which by default is the task's, too.

use std::path::{Path, PathBuf};

use crate::config::airflow_cfg::{AirflowConfig, variable_name};
use crate::config::profile::RUNTIME_FLAGS;
use crate::config::{Layer, Origin, Profile, keys};
use crate::failure::{Failure, Result};

/// Names of variables, or how they begin: Airflow's own settings, where Python finds modules, the id
/// that an executor gives a task, and which DAG is parsed for it.
const VARIABLES: [&str; 4] = [
    "AIRFLOW",
    "PYTHONPATH",
    "external_executor_id",
    "_AIRFLOW_PARSING_CONTEXT_",
];

/// Whatever it runs, Airflow makes the folder for logs of parsed files when it is imported
/// (`FileProcessorHandler.__init__`), which the user inside may not do on the host. Nothing is written to it.
const PARSERS_LOGS: &str = "/tmp/airflow-logs-of-parsers";

const ORIGIN: Origin = Origin::Caller("what Airflow 2 needs");

/// What crosses.
#[derive(Debug, Default)]
pub struct Crossing {
    /// Below everything that the operator and the author say.
    pub proposed: Layer,
    /// Above it.
    pub fixed: Layer,
}

impl Crossing {
    /// For a container of `dag_file` on this host.
    pub fn of(config: &AirflowConfig, dag_file: &Path, profile: Profile) -> Result<Self> {
        let mut crossing = Self::default();
        crossing.variables();
        crossing.share("uts_mode");
        crossing.share("network_mode");
        let home = config.absolute_home()?;
        say_variable(&mut crossing.proposed, "AIRFLOW_HOME", &home)?;
        crossing.folders(config, dag_file)?;
        if profile == Profile::TaskExecution {
            crossing.logs(config)?;
        }
        crossing.present(&home.join("config"))?;
        if config.path().is_file() {
            let file = std::path::absolute(config.path()).unwrap_or_default();
            crossing.mount(&file)?;
            say_variable(&mut crossing.fixed, "AIRFLOW_CONFIG", &file)?;
        }
        let logs = variable_name("scheduler", "child_process_log_directory");
        say_variable(&mut crossing.fixed, &logs, Path::new(PARSERS_LOGS))?;
        // Inside is where the flags lead.
        for flag in RUNTIME_FLAGS {
            let name = variable_name("core", flag);
            say(&mut crossing.fixed, "environments", &format!("{name}="));
        }
        Ok(crossing)
    }

    /// Airflow's, of our own environment.
    fn variables(&mut self) {
        for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
            if VARIABLES.iter().any(|begin| name.starts_with(begin)) {
                say(&mut self.proposed, "private_environments", &name);
            }
        }
    }

    fn share(&mut self, mode: &str) {
        say(&mut self.proposed, mode, "host");
    }

    /// At the same paths inside, and Airflow is told so: its home may be another one there.
    fn folders(&mut self, config: &AirflowConfig, dag_file: &Path) -> Result<()> {
        let dags = self.folder(config, "core", "dags_folder", "dags")?;
        self.present(&dags)?;
        if !dag_file.starts_with(&dags) {
            self.present(dag_file)?;
        }
        let plugins = self.folder(config, "core", "plugins_folder", "plugins")?;
        self.present(&plugins)
    }

    /// The real Airflow makes the folder where it is not there, and so does a volume.
    fn logs(&mut self, config: &AirflowConfig) -> Result<()> {
        let logs = self.folder(config, "logging", "base_log_folder", "logs")?;
        let path = text(&logs)?;
        say(&mut self.fixed, "volumes", &format!("{path}:{path}"));
        Ok(())
    }

    fn folder(
        &mut self,
        config: &AirflowConfig,
        section: &str,
        key: &str,
        name: &str,
    ) -> Result<PathBuf> {
        let folder = config.folder(section, key, name)?;
        say_variable(&mut self.fixed, &variable_name(section, key), &folder)?;
        Ok(folder)
    }

    /// Mounts what is there, not to be written.
    fn present(&mut self, path: &Path) -> Result<()> {
        if path.exists() {
            self.mount(path)?;
        }
        Ok(())
    }

    fn mount(&mut self, path: &Path) -> Result<()> {
        say(&mut self.fixed, "mounts", &read_only(path, path)?);
        Ok(())
    }
}

/// A mount of a host path, not to be written, as `--mount` takes it.
pub fn read_only(source: &Path, target: &Path) -> Result<String> {
    let source = quoted(&format!("source={}", text(source)?));
    let target = quoted(&format!("target={}", text(target)?));
    Ok(format!("type=bind,{source},{target},readonly"))
}

fn say(layer: &mut Layer, key: &str, text: &str) {
    if let Some(key) = keys::find(key) {
        layer.say(key, text, ORIGIN);
    }
}

fn say_variable(layer: &mut Layer, name: &str, path: &Path) -> Result<()> {
    say(layer, "environments", &format!("{name}={}", text(path)?));
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Failure::usage(format!("cannot mount {} into a container", path.display()))
            .because("its name is not UTF-8")
    })
}

/// A field with a comma or a quote, as in a file of comma-separated values.
fn quoted(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::airflow_cfg::Environment;
    use crate::config::merge;

    fn texts(layer: &Layer, key: &str) -> Vec<String> {
        let merged = merge([layer]);
        merged.all(key).map(|item| item.text.clone()).collect()
    }

    #[test]
    fn folders_are_mounted_at_the_same_paths_where_they_are_there_and_logs_in_any_case() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a,b");
        std::fs::create_dir_all(home.join("dags")).unwrap();
        let home_text = home.display().to_string();
        let environment: Environment = [("AIRFLOW_HOME", &home_text)].into_iter().collect();
        let config = AirflowConfig::without_file(environment);
        let crossing =
            Crossing::of(&config, &home.join("dags/d.py"), Profile::TaskExecution).unwrap();
        assert_eq!(
            texts(&crossing.fixed, "mounts"),
            [format!(
                "type=bind,\"source={home_text}/dags\",\"target={home_text}/dags\",readonly"
            )]
        );
        let logs = format!("{home_text}/logs");
        assert_eq!(
            texts(&crossing.fixed, "volumes"),
            [format!("{logs}:{logs}")]
        );
        let variables = texts(&crossing.fixed, "environments");
        assert!(variables.contains(&format!("AIRFLOW__LOGGING__BASE_LOG_FOLDER={logs}")));
        assert!(variables.contains(&"AIRFLOW__CORE__TASK_EXECUTION_RUNTIME=".to_owned()));
    }

    #[test]
    fn network_and_host_name_are_only_proposed() {
        let config = AirflowConfig::without_file([("AIRFLOW_HOME", "/no")].into_iter().collect());
        let crossing =
            Crossing::of(&config, Path::new("/no/dags/d.py"), Profile::DagParsing).unwrap();
        assert_eq!(texts(&crossing.proposed, "network_mode"), ["host"]);
        assert_eq!(texts(&crossing.proposed, "uts_mode"), ["host"]);
        assert!(texts(&crossing.fixed, "network_mode").is_empty());
        assert!(texts(&crossing.fixed, "volumes").is_empty());
    }
}
