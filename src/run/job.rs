//! What one run is about, and what is decided from that alone.

use tokio::time::Instant;

use super::papers::{Holding, Papers};
use super::readable::MustRead;
use super::record::Record;
use super::state::{RunDir, State};
use super::verdict::Phases;
use super::{detached, terminal};
use crate::containerd::Client;
use crate::failure::Result;
use crate::id::ContainerId;
use crate::image::Image;
use crate::owner::Owner;
use crate::plan::{MountKind, Plan};
use crate::survey::{Descriptor, Survey};

/// Where things are, for one run.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the global flags")]
pub struct Connection {
    pub address: String,
    pub namespace: String,
}

/// What a run with a key begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing, or the run with its key that has lost its owner.
    Any,
    /// That run alone.
    Heir,
}

/// Everything that one run is about.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Job<'a> {
    pub plan: &'a Plan,
    pub survey: &'a Survey,
    pub image: &'a Image,
    pub client: &'a Client,
    pub connection: &'a Connection,
    pub state: &'a State,
    pub must_read: Option<MustRead<'a>>,
    /// Told when the payload has been started.
    pub on_start: &'a dyn Fn(),
    /// Who holds it.
    pub holding: Holding,
    /// What it may begin with.
    pub beginning: Beginning,
}

impl Job<'_> {
    /// The conflicts that only a real run has: a plan or a bundle can be made anywhere.
    pub(super) fn check_streams(&self) -> Result<()> {
        let process = &self.plan.process;
        if self.is_detached() {
            return detached::check(self.plan);
        }
        let wanted = process.terminal && process.interactive;
        if wanted && self.survey.descriptor(0) != Some(Descriptor::Terminal) {
            return Err(terminal::none());
        }
        Ok(())
    }

    pub(super) fn is_detached(&self) -> bool {
        self.holding == Holding::Detached
    }

    pub(super) fn papers(&self, dir: &RunDir, record: &Record) -> Result<Papers> {
        let shown = self.plan.clone().masked();
        Papers::begin(self.state, dir, record, &shown, self.holding)
    }

    pub(super) fn record(&self) -> Result<Record> {
        let plan = self.plan;
        let anonymous = plan
            .mounts
            .iter()
            .any(|mount| matches!(mount.kind, MountKind::Anonymous(_)));
        let [state, _] = self.state.directories();
        Ok(Record {
            id: plan.id.clone(),
            token: ContainerId::random()?.to_string(),
            owner: Owner::this_process()?,
            state: state.to_owned(),
            address: self.connection.address.clone(),
            namespace: self.connection.namespace.clone(),
            image: plan.image.name.clone(),
            image_digest: plan.image.digest.clone(),
            snapshotter: plan.image.snapshotter.clone(),
            cgroup_mount_path: plan.cgroup.mount_path.clone(),
            cgroup_subpath: plan.cgroup.subpath.clone(),
            on_owner_death: plan.stop.owner_death,
            stop_signal: plan.stop.signal,
            stop_timeout: plan.stop.timeout,
            volumes: anonymous.then(|| self.state.volumes(&plan.id)),
        })
    }

    pub(super) fn time_limit(&self, phases: &Phases) -> Option<Instant> {
        let limit = self.plan.stop.time_limit?;
        Instant::from_std(phases.started()).checked_add(limit)
    }

    pub(super) fn program(&self) -> &str {
        self.plan.process.args.first().map_or("", String::as_str)
    }
}
