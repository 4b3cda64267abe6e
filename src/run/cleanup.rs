//! Undoing a run from its record alone.
//!
//! The same code serves a normal end, a failure half-way and a reap: everything the record names is
//! removed if it is there. What cannot be undone now is reported and stays recorded.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use containerd_client::services::v1::snapshots::RemoveSnapshotRequest;
use containerd_client::services::v1::{
    DeleteContainerRequest, DeleteTaskRequest, GetContainerRequest, KillRequest,
};

use super::launch::BOOT_LABEL;
use super::record::Record;
use super::shim;
use super::state::{RunDir, State};
use super::step::{Step, reached};
use crate::cgroup::Group;
use crate::containerd::{ABSENCE, Client, Error, patiently};
use crate::failure::{Failure, Result as Outcome};

/// From SIGKILL to a process that is gone; one that takes longer hangs in the kernel.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// Deleting a task runs the runtime and may have to wait for a shim. One that takes longer hangs: it is
/// ended, for nothing inside lives any more.
const DELETE_LIMIT: Duration = Duration::from_secs(10);
/// How long a containerd that is away is waited for, before the rest is left to a later command: as long
/// as systemd takes to start one that died (containerd.service, `RestartSec`), and it to serve.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long, and how often, a task that still runs is killed and tried again.
const RUNNING_LIMIT: Duration = Duration::from_secs(5);
const RUNNING_PAUSE: Duration = Duration::from_millis(20);
/// containerd gives itself 5 s to end the shim of a task that it gave up (containerd,
/// `runtime/v2/shim.go`, `cleanupTimeout`); then we do.
const SHIM_LIMIT: Duration = Duration::from_secs(8);
/// How often a shim that containerd is about to end is looked at; and the time it gets to end itself.
const SHIM_PAUSE: Duration = Duration::from_millis(50);

/// How long a call may still be under way at containerd whose caller died over it: it is a write of a
/// few milliseconds, and of far more on a busy disk.
const IN_FLIGHT: Duration = Duration::from_millis(500);

/// Waits for what an owner may have asked for in its last moment. An owner whose container exists had
/// its answers; what it asked for after that is waited for with its shim.
pub async fn settle(record: &Record, client: &Client) {
    let id = record.id.as_str();
    let request = GetContainerRequest { id: id.to_owned() };
    let mut containers = client.containers();
    let found = client
        .call(("look at container", id), request, |request| {
            containers.get(request)
        })
        .await;
    if found.is_err_and(|why| why.is_not_found()) {
        tokio::time::sleep(IN_FLIGHT).await;
    }
}

/// Refuses a name under which a container exists that is not our own of another boot,
/// or a cgroup with processes in it.
pub async fn must_be_free(record: &Record, client: &Client) -> Outcome<()> {
    let id = record.id.as_str();
    let taken = |by: &str| {
        Failure::usage(format!("the name {id} is in use"))
            .because(format!("there is {by} of that name"))
    };
    let ours_of_another_boot = |labels: &HashMap<String, String>| {
        labels
            .get(BOOT_LABEL)
            .is_some_and(|boot| *boot != record.boot_id)
    };
    let request = GetContainerRequest { id: id.to_owned() };
    let what = ("look at container", id);
    let found = patiently(ABSENCE, |_| {
        let (request, mut containers) = (request.clone(), client.containers());
        async move {
            client
                .call(what, request, |request| containers.get(request))
                .await
        }
    });
    let container = match found.await {
        Ok(found) => found.container,
        Err(why) if why.is_not_found() => None,
        Err(why) => return Err(why.into()),
    };
    if container.is_some_and(|found| !ours_of_another_boot(&found.labels)) {
        return Err(taken("a container"));
    }
    let group = Group::find(
        &record.cgroup_mount_path,
        &record.cgroup_subpath,
        &record.id,
    )?;
    if group.is_some_and(|group| !group.is_empty()) {
        return Err(taken("a cgroup with processes in it"));
    }
    Ok(())
}

/// Undoes the run that `dir` belongs to. What could not be undone is returned, in words; the record
/// is kept then.
pub async fn undo(record: &Record, client: &Client, state: &State, dir: RunDir) -> Vec<String> {
    let mut leftovers = Vec::new();
    note(
        &mut leftovers,
        dir.release_mounts().map_err(|why| why.to_string()),
    );
    note(&mut leftovers, kill(record).await);
    reached(Step::Killed);
    // The rest hangs on the task: a root file system in use can be neither unmounted nor removed.
    match end_task(record, client).await {
        Ok(()) => {
            reached(Step::TaskDeleted);
            let (container, snapshot) = tokio::join!(
                patiently(PATIENCE, |_| delete_container(record, client)),
                patiently(PATIENCE, |_| remove_snapshot(record, client))
            );
            note(&mut leftovers, container.map_err(|why| why.to_string()));
            note(&mut leftovers, snapshot.map_err(|why| why.to_string()));
            reached(Step::ContainerDeleted);
        }
        Err(why) => leftovers.push(why),
    }
    note(&mut leftovers, remove_cgroup(record, state));
    reached(Step::CgroupRemoved);
    note(&mut leftovers, remove_volumes(record));
    reached(Step::VolumesRemoved);
    if leftovers.is_empty() {
        note(&mut leftovers, dir.remove().map_err(|why| why.to_string()));
        reached(Step::Forgotten);
    }
    leftovers
}

fn note(leftovers: &mut Vec<String>, done: Result<(), String>) {
    leftovers.extend(done.err());
}

/// Kills what is in the cgroup, whatever containerd and the shim are doing.
pub async fn kill(record: &Record) -> Result<(), String> {
    let Some(group) = Group::find(
        &record.cgroup_mount_path,
        &record.cgroup_subpath,
        &record.id,
    )
    .map_err(|why| why.to_string())?
    else {
        return Ok(());
    };
    if group.is_empty() {
        return Ok(());
    }
    let killed = tokio::task::spawn_blocking(move || group.kill(KILL_LIMIT)).await;
    match killed {
        Ok(Ok(alive)) if alive.is_empty() => Ok(()),
        Ok(Ok(alive)) => Err(format!("processes {alive:?} survive SIGKILL")),
        Ok(Err(why)) => Err(why.to_string()),
        Err(why) => Err(why.to_string()),
    }
}

/// Deletes the task, and waits for one that containerd is just giving up.
pub(super) async fn end_task(record: &Record, client: &Client) -> Result<(), String> {
    let patient_until = Instant::now() + SHIM_LIMIT;
    let mut asked = false;
    loop {
        let mut deleted = patiently(PATIENCE, |_| delete_task(record, client)).await;
        if deleted.as_ref().is_err_and(Error::is_late) {
            for shim in shim::of(record, Path::new("/proc")) {
                shim.kill();
            }
            deleted = patiently(PATIENCE, |_| delete_task(record, client)).await;
        }
        if deleted.map_err(|why| why.to_string())? == Deleted::Yes {
            return Ok(());
        }
        let shims = shim::of(record, Path::new("/proc"));
        if shims.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        if now > patient_until + KILL_LIMIT {
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
        let _ = kill(record).await;
    }
}

/// Whether there was a task to delete.
#[derive(PartialEq, Eq)]
enum Deleted {
    Yes,
    Absent,
}

async fn delete_task(record: &Record, client: &Client) -> Result<Deleted, Error> {
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
            Ok(_) => return Ok(Deleted::Yes),
            Err(why) if why.is_not_found() => return Ok(Deleted::Absent),
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

async fn delete_container(record: &Record, client: &Client) -> Result<(), Error> {
    let id = record.id.as_str();
    let request = DeleteContainerRequest { id: id.to_owned() };
    let mut containers = client.containers();
    absent_is_fine(
        client
            .call(("delete container", id), request, |request| {
                containers.delete(request)
            })
            .await,
    )
}

async fn remove_snapshot(record: &Record, client: &Client) -> Result<(), Error> {
    let key = record.id.as_str();
    let request = RemoveSnapshotRequest {
        snapshotter: record.snapshotter.clone(),
        key: key.to_owned(),
    };
    let mut snapshots = client.snapshots();
    let removed = client
        .call(("remove snapshot", key), request, |request| {
            snapshots.remove(request)
        })
        .await;
    match removed {
        // A snapshotter that does not exist has made nothing (containerd, services/snapshots).
        Err(why) if why.is_unknown_snapshotter() => Ok(()),
        removed => absent_is_fine(removed),
    }
}

fn absent_is_fine<T>(done: Result<T, Error>) -> Result<(), Error> {
    match done {
        Ok(_) => Ok(()),
        Err(why) if why.is_not_found() => Ok(()),
        Err(why) => Err(why),
    }
}

fn remove_cgroup(record: &Record, state: &State) -> Result<(), String> {
    let group = Group::find(
        &record.cgroup_mount_path,
        &record.cgroup_subpath,
        &record.id,
    );
    match group.map_err(|why| why.to_string())? {
        Some(group) => group
            .remove(&state.cgroup_parents())
            .map_err(|why| why.to_string()),
        None => Ok(()),
    }
}

fn remove_volumes(record: &Record) -> Result<(), String> {
    let Some(volumes) = &record.volumes else {
        return Ok(());
    };
    match fs::remove_dir_all(volumes) {
        Ok(()) => Ok(()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(format!("cannot remove {}: {why}", volumes.display())),
    }
}
