//! The two things AIP-46 runs in containers, each with sections of airflow.cfg of its own.

use std::fmt;
use std::str::FromStr;

use super::airflow_cfg::Value;
use super::keys::{KEYS, Key};
use super::layer::{Layer, Origin};
use super::values::Invalid;

/// Which sections of airflow.cfg apply on top of `[docker_runtime]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Tasks.
    TaskExecution,
    /// DAG files being parsed.
    DagParsing,
}

/// The section that both profiles build upon.
pub const COMMON_SECTION: &str = "docker_runtime";

/// What switches containers on for tasks and for DAG files: `docker`, or empty; in `[core]`, as AIP-46
/// names no section.
pub const RUNTIME_FLAGS: [&str; 2] = ["task_execution_runtime", "scheduler_dag_parsing_runtime"];

/// A section of `NAME = value` beside each of the others.
pub struct Map {
    /// Behind the name of the section it belongs to.
    pub suffix: &'static str,
    /// The runtime key it adds to.
    pub key: &'static str,
    /// The name that counts.
    pub name: fn(&Value) -> String,
}

/// AIP-46's maps: of the environment, "all keys will be upper-cased".
pub const MAPS: [Map; 2] = [
    Map {
        suffix: "_environment_variables",
        key: "environments",
        name: |value| value.key.to_uppercase(),
    },
    Map {
        suffix: "_labels",
        key: "labels",
        name: |value| value.spelling.clone(),
    },
];

impl Profile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::TaskExecution, Self::DagParsing];

    /// What `--profile` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskExecution => "task-execution",
            Self::DagParsing => "dag-parsing",
        }
    }

    /// Its section of airflow.cfg.
    pub fn section(self) -> &'static str {
        match self {
            Self::TaskExecution => "task_execution_docker_runtime",
            Self::DagParsing => "scheduler_dag_parsing_docker_runtime",
        }
    }

    /// The feature flag that switches it on.
    pub fn runtime_flag(self) -> &'static str {
        match self {
            Self::TaskExecution => RUNTIME_FLAGS[0],
            Self::DagParsing => RUNTIME_FLAGS[1],
        }
    }

    /// What holds in it where nobody says anything.
    pub fn defaults(self) -> Layer {
        let mut layer = Layer::default();
        for key in KEYS {
            if let Some(text) = self.default_of(key) {
                layer.say(key, text, Origin::Profile(self));
            }
        }
        layer
    }

    /// Its default of `key`, where it has one.
    pub fn default_of(self, key: &Key) -> Option<&'static str> {
        let of_mine = |(profile, _): &&(&str, &str)| *profile == self.name();
        key.profiles.iter().find(of_mine).map(|(_, text)| *text)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| Invalid::new("it must be task-execution or dag-parsing"))
    }
}
