//! The two things AIP-46 runs in containers, each with sections of airflow.cfg of its own.

use std::fmt;
use std::str::FromStr;

use super::values::Invalid;

/// Which sections of airflow.cfg apply on top of `[docker_runtime]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Tasks.
    TaskExecution,
    /// DAG files being parsed.
    DagParsing,
}

/// The section that both profiles build upon.
pub const COMMON_SECTION: &str = "docker_runtime";

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

    /// What it sets where nobody says anything: AIP-46's example.
    pub fn defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::TaskExecution => &[("stop_timeout", "20")],
            Self::DagParsing => &[("stop_timeout", "20"), ("limit_resource", "false")],
        }
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
