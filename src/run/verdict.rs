//! The one record that says how a run ended, why, how long each phase took and what it used.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize, Serializer};

use super::record::Record;
use crate::cgroup::Usage;
use crate::failure::Failure;
use crate::id::ContainerId;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "cause")]
pub enum Cause {
    /// The payload ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// The payload died of a signal that we did not send.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The kernel killed the payload for memory.
    Oom,
    /// The time limit passed.
    Timeout,
    /// We were asked to stop; the payload's own end follows.
    Stopped {
        /// Its exit code, 128 and the signal's number if it died of one.
        code: i32,
    },
    /// The payload never ran.
    StartFailed {
        /// 126 or 127 for the command itself, else 125.
        code: i32,
        /// Why.
        reason: String,
    },
    /// It ran, but nobody can say how it ended.
    Lost {
        /// Why not.
        reason: String,
    },
}

impl Cause {
    /// The cause of a run that `failure` kept from starting.
    pub fn start_failed(failure: &Failure) -> Self {
        Self::StartFailed {
            code: failure.kind().exit_code(),
            reason: failure.to_string(),
        }
    }

    /// Why it came to nothing, where it did.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::StartFailed { reason, .. } | Self::Lost { reason } => Some(reason),
            _ => None,
        }
    }

    /// What the run did, in words that follow its name; reasons are told elsewhere.
    fn verb(&self) -> String {
        match self {
            Self::Exited { code } => format!("exited with code {code}"),
            Self::Signaled { signal } => format!("was killed by {}", signal_name(*signal)),
            Self::Oom => "was killed for memory".into(),
            Self::Timeout => "was stopped at its time limit".into(),
            Self::Stopped { .. } => "was stopped on request".into(),
            Self::StartFailed { .. } => "did not start".into(),
            Self::Lost { .. } => "was lost".into(),
        }
    }

    /// Whether the code is airtight's own word, since nobody knows the payload's.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::StartFailed { .. } | Self::Lost { .. })
    }

    /// What `airtight run` exits with (design.md, "Outcomes and exit codes").
    pub fn code(&self) -> i32 {
        match self {
            Self::Exited { code } | Self::Stopped { code } | Self::StartFailed { code, .. } => {
                *code
            }
            Self::Signaled { signal } => 128 + signal,
            Self::Oom => 128 + nix::libc::SIGKILL,
            Self::Timeout => 124,
            Self::Lost { .. } => 125,
        }
    }
}

/// `SIGKILL`, or the number where it has no name.
fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartFailed { reason, .. } => write!(f, "not started: {reason}"),
            Self::Lost { reason } => write!(f, "lost: {reason}"),
            other => f.write_str(&other.verb()),
        }
    }
}

/// One step of a run and how long it took.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// What was done.
    pub name: &'static str,
    /// How long it took.
    #[serde(serialize_with = "milliseconds", rename = "milliseconds")]
    pub duration: Duration,
}

/// A stopwatch with named laps.
#[derive(Debug, Clone)]
pub struct Phases {
    began: SystemTime,
    start: Instant,
    lap: Instant,
    laps: Vec<Phase>,
}

impl Phases {
    /// Starts now.
    pub fn start() -> Self {
        let now = Instant::now();
        Self {
            began: SystemTime::now(),
            start: now,
            lap: now,
            laps: Vec::new(),
        }
    }

    /// Ends the present lap, which is called `name`.
    pub fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        self.laps.push(Phase {
            name,
            duration: now - self.lap,
        });
        self.lap = now;
    }

    /// When it started.
    pub fn started(&self) -> Instant {
        self.start
    }
}

/// The verdict on one run.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// How it ended.
    #[serde(flatten)]
    pub cause: Cause,
    /// What `airtight run` exits with.
    pub exit_code: i32,
    /// What it was; absent when the run was refused before that was known.
    #[serde(flatten)]
    pub facts: Option<RunFacts>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// From start to end, cleanup included.
    #[serde(serialize_with = "milliseconds", rename = "milliseconds")]
    pub duration: Duration,
    /// In the order in which they happened.
    pub phases: Vec<Phase>,
    /// What the cgroup counted; a figure that the kernel does not keep is absent.
    #[serde(flatten)]
    pub usage: Figures,
    /// The process that had begun the run and died; this airtight picked it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picked_up_from: Option<u32>,
    /// The process whose run it was; this airtight was only beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_to: Option<u32>,
    /// What could not be undone; a later `airtight` command tries again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
}

/// What a run used.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names say it, with their units")]
pub struct Figures {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_peak: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
}

impl From<Usage> for Figures {
    fn from(usage: Usage) -> Self {
        Self {
            memory_peak_bytes: usage.memory_peak,
            cpu_seconds: usage.cpu_time.map(|time| time.as_secs_f64()),
            pids_peak: usage.pids_peak,
            oom_kills: usage.oom_kills,
        }
    }
}

impl Verdict {
    /// Closes the books.
    pub fn new(
        facts: RunFacts,
        cause: Cause,
        phases: Phases,
        usage: Usage,
        leftovers: Vec<String>,
    ) -> Self {
        Self {
            exit_code: cause.code(),
            cause,
            facts: Some(facts),
            started_at: humantime::format_rfc3339_millis(phases.began).to_string(),
            duration: phases.start.elapsed(),
            phases: phases.laps,
            usage: usage.into(),
            picked_up_from: None,
            attached_to: None,
            leftovers,
        }
    }

    /// The same of a run that process `owner` had begun.
    pub fn picked_up(self, owner: Option<u32>) -> Self {
        Self {
            picked_up_from: owner,
            ..self
        }
    }

    /// The verdict on a run of process `owner`.
    pub fn beside(owner: u32, facts: RunFacts, cause: Cause, phases: Phases) -> Self {
        Self {
            attached_to: Some(owner),
            ..Self::new(facts, cause, phases, Usage::default(), Vec::new())
        }
    }

    /// The verdict on a run that was refused before anything was begun.
    pub fn of_nothing(failure: &Failure, phases: Phases) -> Self {
        let cause = Cause::start_failed(failure);
        Self {
            exit_code: cause.code(),
            cause,
            facts: None,
            started_at: humantime::format_rfc3339_millis(phases.began).to_string(),
            duration: phases.start.elapsed(),
            phases: phases.laps,
            usage: Figures::default(),
            picked_up_from: None,
            attached_to: None,
            leftovers: Vec::new(),
        }
    }
}

/// What a verdict says of the run beside its end.
#[derive(Debug, Serialize)]
pub struct RunFacts {
    /// The container's id.
    pub id: ContainerId,
    /// The image's name.
    pub image: String,
    /// Its manifest's digest.
    pub image_digest: String,
    /// Below each controller's mount.
    pub cgroup: String,
}

impl RunFacts {
    /// Those of a run with this record.
    pub fn of(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            image: record.image.clone(),
            image_digest: record.image_digest.clone(),
            cgroup: record.cgroup(),
        }
    }
}

/// One line for people: `run 0a1b… exited with code 0 after 1.200s, memory peak 12.3MB, …`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.facts {
            Some(facts) => write!(f, "run {} {}", facts.id, self.cause.verb())?,
            None => write!(f, "the run {}", self.cause.verb())?,
        }
        if !matches!(self.cause, Cause::Exited { .. }) {
            write!(f, ", exit code {},", self.exit_code)?;
        }
        write!(f, " after {:.3}s", self.duration.as_secs_f64())?;
        if let Some(kills @ 1..) = self.usage.oom_kills
            && self.cause != Cause::Oom
        {
            write!(f, ", {kills} inside killed for memory")?;
        }
        if let Some(bytes) = self.usage.memory_peak_bytes {
            write!(f, ", memory peak {}", crate::human::size(bytes))?;
        }
        if let Some(seconds) = self.usage.cpu_seconds {
            write!(f, ", cpu {seconds:.3}s")?;
        }
        if let Some(pids) = self.usage.pids_peak {
            write!(f, ", pids peak {pids}")?;
        }
        if let Some(owner) = self.picked_up_from {
            write!(f, ", picked up where process {owner} had died")?;
        }
        if let Some(owner) = self.attached_to {
            write!(f, ", attached to process {owner}")?;
        }
        for leftover in &self.leftovers {
            write!(f, ", left over: {leftover}")?;
        }
        Ok(())
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

#[cfg(test)]
mod tests;
