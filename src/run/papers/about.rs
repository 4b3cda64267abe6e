//! What a run is, for people.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::now;
use crate::config::values::LogDriver;
use crate::id::ContainerId;
use crate::plan::Plan;
use crate::run::record::Record;

/// What a run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    /// As its containers and its papers are called.
    pub id: ContainerId,
    /// No other run has it, though it be called the same.
    #[serde(default)]
    pub token: String,
    /// The image's name.
    pub image: String,
    /// Its manifest's digest.
    pub image_digest: String,
    /// What runs in it, secrets masked.
    pub command: Vec<String>,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Of the container, secrets masked.
    pub labels: BTreeMap<String, String>,
    /// Its owner is in the background.
    pub detached: bool,
    /// Nothing of it is kept when it has ended.
    pub remove: bool,
    /// It has a log.
    pub logged: bool,
    /// Where the owner lives or lived.
    pub boot_id: String,
    /// Its pid.
    pub owner: u32,
    /// How long a stop may take.
    pub stop_timeout: Duration,
}

/// When a payload was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Of the container's first process, on the host.
    pub pid: u32,
}

impl About {
    pub(super) fn of(plan: &Plan, record: &Record, holding: Holding) -> Self {
        let detached = holding == Holding::Detached;
        Self {
            id: record.id.clone(),
            token: record.token.clone(),
            image: plan.image.name.clone(),
            image_digest: plan.image.digest.clone(),
            command: plan.process.args.clone(),
            created_at: now(),
            labels: plan.labels.clone(),
            detached,
            remove: !detached || plan.keeping.remove,
            logged: detached && plan.keeping.log.driver == LogDriver::Local,
            boot_id: record.owner.boot_id.clone(),
            owner: record.owner.pid,
            stop_timeout: plan.stop.timeout,
        }
    }
}

/// Who holds a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Whoever asked for it.
    Foreground,
    /// An owner in the background.
    Detached,
}
