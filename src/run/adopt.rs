//! Picking a run up whose owner died: `--on-owner-death keep` and, later, the same key.
//!
//! In: the record and the run directory of the dead owner. Out: the end of the payload, true to what the
//! shim and the cgroup say, even where it came while nobody looked. A run whose payload was never to begin
//! is undone, and the new one begins as if there had been none.

use std::time::SystemTime;

use containerd_client::services::v1::GetRequest;
use containerd_client::types::v1::{Process, Status};
use tokio::time::Instant;

use super::end::{End, PayloadEnd};
use super::first::FirstProcess;
use super::record::Record;
use super::signals::Signals;
use super::state::{PayloadStage, RunDir};
use super::stdio::Output;
use super::supervise::Supervisor;
use super::verdict::Phases;
use super::{Job, cleanup};
use crate::containerd::{self, Client};
use crate::control::Orders;
use crate::failure::{Failure, Result};
use crate::owner::Owner;

/// The exit code of an init that has no payload (src/init).
const INIT_FAILED: u32 = 125;

/// A run that goes on, or has ended, without an owner.
pub struct Orphan {
    /// Ours from now on.
    pub dir: RunDir,
    /// The containerd that has it; the new run's may be another.
    pub client: Client,
    /// What there is of it; it names us as the owner.
    pub record: Record,
    /// The process that had it.
    pub heir_of: u32,
    /// How far the dead owner knew its payload to be, and since when.
    stage: PayloadStage,
    began: SystemTime,
    task: Option<Process>,
}

/// Takes over the run of `dir`.
pub async fn orphan(job: Job<'_>, mut record: Record, dir: RunDir) -> Result<Option<Orphan>> {
    let client = Client::new(&record.address, &record.namespace)?;
    let task = match task(&client, &record).await {
        Ok(task) => Some(task),
        Err(why) if why.is_not_found() => None,
        Err(why) => return Err(why.into()),
    };
    let waits = task
        .as_ref()
        .is_some_and(|task| task.status() == Status::Created);
    let Some((stage, began)) = dir.payload()?.filter(|_| !waits) else {
        // Nobody will ever start it.
        let id = record.id.clone();
        let left = cleanup::undo(&record, &client, job.state, dir).await.left;
        return match left.is_empty() {
            true => Ok(None),
            false => Err(
                Failure::host(format!("run {id}, whose owner died, is in the way"))
                    .because(left.join("; ")),
            ),
        };
    };
    let heir_of = std::mem::replace(&mut record.owner, Owner::this_process()?).pid;
    dir.rewrite(&record)?;
    Ok(Some(Orphan {
        dir,
        client,
        record,
        heir_of,
        stage,
        began,
        task,
    }))
}

impl Orphan {
    /// The payload's end, however long that takes.
    pub async fn end(
        &self,
        job: Job<'_>,
        signals: &mut Signals,
        mut orders: Orders,
        phases: &mut Phases,
    ) -> End {
        let seen = self.seen(job, signals, &mut orders, phases).await;
        // The payload may have run: whoever reads the verdict must not take it for one that did not start.
        let end = seen.unwrap_or_else(|failure| lost(failure.to_string()));
        // An init that its owner leaves before there is a payload ends with this code, too.
        let is_unsure = self.stage == PayloadStage::Asked
            && matches!(end.payload, PayloadEnd::TaskStatus(INIT_FAILED));
        match is_unsure {
            true => lost("its airtight died as the payload began: it may never have run".into()),
            false => end,
        }
    }

    async fn seen(
        &self,
        job: Job<'_>,
        signals: &mut Signals,
        orders: &mut Orders,
        phases: &mut Phases,
    ) -> Result<End> {
        let Some(task) = &self.task else {
            return Ok(lost(
                "its shim is gone, and with it how the payload ended".into(),
            ));
        };
        if task.status() == Status::Stopped {
            return Ok(ended(PayloadEnd::TaskStatus(task.exit_status)));
        }
        let waiting = super::wait_for_task(&self.client, &self.record.id);
        let supervisor = Supervisor {
            stop: job.plan.stop,
            time_limit: self.time_limit(job),
            signals,
            orders,
            first: FirstProcess::hold(task.pid, self.record.present_group()?),
            leash: None,
            terminal: None,
            interactive: false,
            output: Output::default(),
            dir: &self.dir,
        };
        Ok(supervisor.watch(waiting, phases).await)
    }

    /// The limit of the new run counts from the payload's beginning.
    fn time_limit(&self, job: Job<'_>) -> Option<Instant> {
        let limit = job.plan.stop.time_limit?;
        // The clock may have been set back.
        let past = self.began.elapsed().unwrap_or_default();
        Instant::now().checked_add(limit.saturating_sub(past))
    }
}

fn lost(why: String) -> End {
    ended(PayloadEnd::Lost(why))
}

fn ended(payload: PayloadEnd) -> End {
    End {
        payload,
        asked: None,
    }
}

async fn task(client: &Client, record: &Record) -> containerd::Result<Process> {
    let request = GetRequest {
        container_id: record.id.to_string(),
        exec_id: String::new(),
    };
    let mut tasks = client.tasks();
    let what = ("look at task", record.id.as_str());
    let found = client
        .call(what, request, |request| tasks.get(request))
        .await?;
    Ok(found.process.unwrap_or_default())
}
