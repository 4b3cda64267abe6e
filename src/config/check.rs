//! What is wrong with airflow.cfg and with metadata files, all of it at once, and without a run.
//!
//! In: DAG files. Out: [`Finding`]s, each with its place. It runs no command and no hook, and opens no
//! file of variables: the files may be somebody's proposal.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::airflow_cfg::{AirflowConfig, Environment};
use super::image::with_any_image;
use super::layer::{Layer, Merged, merge};
use super::metadata;
use super::operator::{Commands, Operator};
use super::profile::Profile;
use super::settings::{EnvFiles, Settings, Surroundings};
use super::sources::stack;
use super::yaml::Body;
use crate::containerd::DEFAULT_ADDRESS;
use crate::failure::{Failure, Result};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// A run would warn of it.
    Warning,
    /// No run would begin.
    Error,
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub failure: Failure,
}

/// What was looked at.
#[derive(Debug)]
pub struct Report {
    /// airflow.cfg, where there is one.
    pub airflow_cfg: Option<PathBuf>,
    /// In the order of the files.
    pub findings: Vec<Finding>,
}

/// Checks airflow.cfg and the metadata files of `dag_files`, for both profiles.
pub fn check(dag_files: &[PathBuf]) -> Report {
    let environment = Environment::of_this_process();
    let mut findings = Findings::default();
    let airflow_cfg = match AirflowConfig::find(&environment) {
        Ok(found) => found,
        Err(failure) => {
            findings.error(failure);
            None
        }
    };
    match operators(&environment) {
        // Without it nobody knows what an author may set.
        Err(failure) => findings.error(failure),
        Ok(mut operators) => {
            for operator in &mut operators {
                findings.operator(operator);
            }
            for dag_file in dag_files {
                findings.metadata(dag_file, &operators);
            }
        }
    }
    Report {
        airflow_cfg,
        findings: findings.all,
    }
}

fn operators(environment: &Environment) -> Result<Vec<Operator>> {
    let read = |profile| {
        Operator::read(
            Some(profile),
            Layer::default(),
            environment.clone(),
            Commands::Skip,
        )
    };
    Profile::ALL.into_iter().map(read).collect()
}

/// Each thing once, though both profiles find it.
#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    seen: HashSet<String>,
}

impl Findings {
    fn add(&mut self, severity: Severity, failure: Failure) {
        if self.seen.insert(failure.to_string()) {
            self.all.push(Finding { severity, failure });
        }
    }

    fn error(&mut self, failure: Failure) {
        self.add(Severity::Error, failure);
    }

    fn errors(&mut self, failures: impl IntoIterator<Item = Failure>) {
        for failure in failures {
            self.error(failure);
        }
    }

    fn operator(&mut self, operator: &mut Operator) {
        for warning in operator.warnings.drain(..) {
            self.add(Severity::Warning, warning);
        }
        self.errors(std::mem::take(&mut operator.problems));
        self.errors(judge(operator, &Body::default()).1);
    }

    fn metadata(&mut self, dag_file: &Path, operators: &[Operator]) {
        let mut body = match metadata::read_beside(dag_file) {
            Ok(body) => body,
            Err(failure) => return self.error(failure),
        };
        let mut failures = std::mem::take(&mut body.unknown);
        for operator in operators {
            let (refusals, invalid) = judge(operator, &body);
            failures.extend(refusals);
            failures.extend(invalid);
        }
        failures.sort_by_key(|failure| failure.place().map(|place| (place.line, place.column)));
        self.errors(failures);
    }
}

/// What is beyond the ceilings; and every value that cannot be or, where each can be alone, what is
/// wrong with them together.
fn judge(operator: &Operator, author: &Body) -> (Vec<Failure>, Vec<Failure>) {
    let stacked = stack(operator, author, &Layer::default());
    let merged = &stacked.collected.merged;
    let Err(together) = parse(merged) else {
        return (stacked.refusals, Vec::new());
    };
    let alone = merged.items().filter_map(|item| {
        let mut layer = Layer::default();
        layer.say(item.key, item.text.clone(), item.origin.clone());
        parse(&merge([&Layer::defaults(), &layer])).err()
    });
    let mut invalid: Vec<_> = alone.collect();
    if invalid.is_empty() {
        invalid.push(together);
    }
    (stacked.refusals, invalid)
}

/// An image may come from the command line later; nothing else may be missing.
fn parse(merged: &Merged) -> Result<()> {
    let around = Surroundings {
        socket: DEFAULT_ADDRESS.into(),
        env_files: EnvFiles::Skip,
        ..Surroundings::default()
    };
    Settings::parse(&with_any_image(merged), Vec::new(), &around).map(drop)
}
