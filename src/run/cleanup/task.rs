//! The end of a task and its shim, whatever state either is in.
//!
//! Only for a container that is the run's own.

use std::path::Path;
use std::time::{Duration, Instant};

use containerd_client::services::v1::{DeleteTaskRequest, KillRequest};

use super::PATIENCE;
use crate::containerd::{Client, Error, patiently};
use crate::run::record::Record;
use crate::run::shim;

/// Deleting a task runs the runtime and may have to wait for a shim. One that takes longer hangs: it is
/// ended, for nothing inside lives any more.
const DELETE_LIMIT: Duration = Duration::from_secs(10);
/// How long, and how often, a task that still runs is killed and tried again.
const RUNNING_LIMIT: Duration = Duration::from_secs(5);
const RUNNING_PAUSE: Duration = Duration::from_millis(20);
/// containerd gives itself 5 s to end the shim of a task that it gave up (containerd,
/// `runtime/v2/shim.go`, `cleanupTimeout`); then we do.
const SHIM_LIMIT: Duration = Duration::from_secs(8);
/// How often a shim that containerd is about to end is looked at; and the time it gets to end itself.
const SHIM_PAUSE: Duration = Duration::from_millis(50);

/// Whether there was anything to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A task or a shim.
    Something,
    /// Neither.
    Nothing,
}

/// Deletes the task, and waits for one that containerd is just giving up.
pub async fn end(record: &Record, client: &Client) -> Result<Ended, String> {
    let patient_until = Instant::now() + SHIM_LIMIT;
    let mut asked = false;
    let mut found = Ended::Nothing;
    loop {
        let mut deleted = patiently(PATIENCE, |_| delete(record, client)).await;
        if deleted.as_ref().is_err_and(Error::is_late) {
            for shim in shim::of(record, Path::new("/proc")) {
                shim.kill();
            }
            deleted = patiently(PATIENCE, |_| delete(record, client)).await;
        }
        if deleted.map_err(|why| why.to_string())? == Ended::Something {
            return Ok(Ended::Something);
        }
        let shims = shim::of(record, Path::new("/proc"));
        if shims.is_empty() {
            return Ok(found);
        }
        found = Ended::Something;
        let now = Instant::now();
        if now > patient_until + super::KILL_LIMIT {
            return Err(format!("the shim of task {} survives SIGKILL", record.id));
        }
        let late = now > patient_until;
        for shim in &shims {
            match (shim.forgotten || late, asked) {
                (false, _) => {}
                (true, false) => shim.ask(),
                (true, true) => shim.kill(),
            }
        }
        asked |= late || shims.iter().all(|shim| shim.forgotten);
        tokio::time::sleep(SHIM_PAUSE).await;
        // What the runtime has put there meanwhile.
        let _ = super::kill(record).await;
    }
}

async fn delete(record: &Record, client: &Client) -> Result<Ended, Error> {
    let id = record.id.as_str();
    let patient_until = Instant::now() + RUNNING_LIMIT;
    loop {
        let request = DeleteTaskRequest {
            container_id: id.to_owned(),
        };
        let mut tasks = client.tasks();
        match client
            .call_within(DELETE_LIMIT, ("delete task", id), request, |request| {
                tasks.delete(request)
            })
            .await
        {
            Ok(_) => return Ok(Ended::Something),
            Err(why) if why.is_not_found() => return Ok(Ended::Nothing),
            // It still runs, or its end has not reached the shim yet; the one is a failed precondition,
            // the other, said by the shim, only words (seen on containerd 1.6).
            Err(why) if !why.is_unreachable() && Instant::now() < patient_until => {}
            Err(why) => return Err(why),
        }
        let request = KillRequest {
            container_id: id.to_owned(),
            signal: nix::libc::SIGKILL.unsigned_abs(),
            all: true,
            ..KillRequest::default()
        };
        let killed = client.call(("kill task", id), request, |request| tasks.kill(request));
        match killed.await {
            Err(why) if why.is_unreachable() => return Err(why),
            // One that has ended cannot be killed; the next attempt at deleting it shows.
            Ok(_) | Err(_) => tokio::time::sleep(RUNNING_PAUSE).await,
        }
    }
}
