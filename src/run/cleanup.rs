//! Undoing a run from its record alone.
//!
//! The same code serves a normal end, a failure half-way and a reap: everything the record names is
//! removed if it is there and the run's own. What cannot be undone now is reported and stays recorded.

pub mod task;

use std::fmt;
use std::time::Duration;

use containerd_client::services::v1::DeleteContainerRequest;
use containerd_client::services::v1::snapshots::RemoveSnapshotRequest;
use serde::Serialize;

use super::belongings::{self, Belongings, Whose, unless_absent};
use super::record::Record;
use super::residue;
use super::state::{RunDir, State};
use super::step::{Step, reached};
use super::volumes;
use crate::cgroup::Group;
use crate::containerd::{Client, Error, patiently};

/// From SIGKILL to a process that is gone; one that takes longer hangs in the kernel.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long a containerd that is away is waited for, before the rest is left to a later command: as long
/// as systemd takes to start one that died (containerd.service, `RestartSec`), and it to serve.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a call may still be under way at containerd whose caller died over it: it is a write of a
/// few milliseconds, and of far more on a busy disk.
const IN_FLIGHT: Duration = Duration::from_millis(500);

/// What can be left of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Thing {
    /// Others' files mounted in the run directory.
    Mounts,
    /// Somebody alive in the cgroup.
    Processes,
    /// The task, or a shim without one.
    Task,
    /// containerd's container record.
    Container,
    /// The root file system.
    Snapshot,
    /// The cgroup.
    Cgroup,
    /// Anonymous volumes.
    Volumes,
    /// The run directory.
    Directory,
    /// No run's, but an image's: what keeps content until it is complete.
    Lease,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mounts => "mounts",
            Self::Processes => "processes",
            Self::Task => "task",
            Self::Container => "container",
            Self::Snapshot => "snapshot",
            Self::Cgroup => "cgroup",
            Self::Volumes => "volumes",
            Self::Directory => "directory",
            Self::Lease => "lease",
        })
    }
}

/// What came of undoing a run.
#[derive(Debug, Default)]
pub struct Undone {
    /// What was there and is not any more.
    pub things: Vec<Thing>,
    /// What could not be undone, in words.
    pub left: Vec<String>,
}

impl Undone {
    /// Notes whether there was something, or why it is still there.
    pub fn note(&mut self, thing: Thing, done: Result<bool, impl fmt::Display>) {
        match done {
            Ok(true) => self.things.push(thing),
            Ok(false) => {}
            Err(why) => self.left.push(why.to_string()),
        }
    }
}

/// Waits for what an owner may have asked for in its last moment. An owner whose container exists had
/// its answers; what it asked for after that is waited for with its shim.
pub async fn settle(record: &Record, client: &Client) {
    let found = belongings::container_labels(record, client).await;
    if found.is_ok_and(|labels| labels.is_none()) {
        tokio::time::sleep(IN_FLIGHT).await;
    }
}

/// Undoes the run that `dir` belongs to. Its record is kept as long as anything of it is left.
pub async fn undo(record: &Record, client: &Client, state: &State, dir: RunDir) -> Undone {
    let mut undone = undo_all_but_directory(record, client, state, &dir).await;
    if undone.left.is_empty() {
        forget(dir, &mut undone);
    }
    undone
}

/// The same, for who still needs the name.
pub async fn undo_all_but_directory(
    record: &Record,
    client: &Client,
    state: &State,
    dir: &RunDir,
) -> Undone {
    let mut undone = Undone::default();
    let mounted = dir.mounts().exists();
    undone.note(Thing::Mounts, dir.release_mounts().map(|()| mounted));
    undo_things(record, client, state, &mut undone).await;
    undone
}

/// The last of it.
pub fn forget(dir: RunDir, undone: &mut Undone) {
    undone.note(Thing::Directory, dir.remove().map(|()| true));
    reached(Step::Forgotten);
}

/// Undoes everything but the run directory.
pub async fn undo_things(record: &Record, client: &Client, state: &State, undone: &mut Undone) {
    // The runtime may remove it together with the task.
    let grouped = has_cgroup(record);
    let (killed, belongings) = tokio::join!(
        kill(record),
        patiently(PATIENCE, |_| Belongings::of(record, client))
    );
    undone.note(Thing::Processes, killed);
    reached(Step::Killed);
    match belongings {
        Ok(belongings) => undo_in_containerd(record, client, belongings, undone).await,
        Err(why) => undone.left.push(why.to_string()),
    }
    undone.note(
        Thing::Cgroup,
        remove_cgroup(record, state).map(|()| grouped),
    );
    reached(Step::CgroupRemoved);
    undone.note(Thing::Volumes, volumes::remove(record));
    reached(Step::VolumesRemoved);
}

async fn undo_in_containerd(
    record: &Record,
    client: &Client,
    belongings: Belongings,
    undone: &mut Undone,
) {
    // A snapshot of somebody else's means that the container of that name is about to be his, too.
    if belongings.container != Whose::Others && belongings.snapshot != Whose::Others {
        // The rest hangs on the task: a root file system in use can be neither unmounted nor removed.
        let ended = match task::end(record, client).await {
            Ok(ended) => ended == task::Ended::Something,
            Err(why) => return undone.left.push(why),
        };
        let forgotten = residue::forget(record);
        undone.note(Thing::Task, forgotten.map(|some| some || ended));
    }
    reached(Step::TaskDeleted);
    let (container, snapshot) = tokio::join!(
        async {
            match belongings.container {
                Whose::Ours => patiently(PATIENCE, |_| delete_container(record, client)).await,
                Whose::Nobodys | Whose::Others => Ok(false),
            }
        },
        async {
            match belongings.snapshot {
                Whose::Ours => patiently(PATIENCE, |_| remove_snapshot(record, client)).await,
                Whose::Nobodys | Whose::Others => Ok(false),
            }
        }
    );
    undone.note(Thing::Container, container);
    undone.note(Thing::Snapshot, snapshot);
    reached(Step::ContainerDeleted);
}

/// What of a run is there, for those who want to know before it is undone.
pub async fn look(record: &Record, client: &Client) -> Undone {
    let mut found = Undone::default();
    let group = group(record);
    let lived_in = |group: &Option<Group>| group.as_ref().is_some_and(|group| !group.is_empty());
    found.note(Thing::Processes, group.as_ref().map(lived_in));
    match Belongings::of(record, client).await {
        Ok(belongings) => {
            let task = match belongings.container {
                Whose::Ours => belongings::has_task(record, client).await,
                Whose::Nobodys | Whose::Others => Ok(false),
            };
            found.note(Thing::Task, task);
            let ours = |whose| Ok::<_, Error>(whose == Whose::Ours);
            found.note(Thing::Container, ours(belongings.container));
            found.note(Thing::Snapshot, ours(belongings.snapshot));
        }
        Err(why) => found.left.push(why.to_string()),
    }
    found.note(Thing::Cgroup, Ok::<_, Error>(has_cgroup(record)));
    found.note(Thing::Volumes, Ok::<_, Error>(volumes::are_ours(record)));
    found
}

/// The run's cgroup, or the parents that it would have; nothing where another run has one of that name.
fn group(record: &Record) -> Result<Option<Group>, String> {
    let group = record.group().map_err(|why| why.to_string())?;
    // One without a mark is systemd's, or made where there are no marks.
    Ok(group.filter(|group| group.mark().is_none_or(|mark| record.is_on(mark))))
}

/// Kills what is in the cgroup, whatever containerd and the shim are doing. Says whether somebody was.
pub async fn kill(record: &Record) -> Result<bool, String> {
    let Some(group) = group(record)?.filter(|group| !group.is_empty()) else {
        return Ok(false);
    };
    let killed = tokio::task::spawn_blocking(move || group.kill(KILL_LIMIT)).await;
    match killed {
        Ok(Ok(alive)) if alive.is_empty() => Ok(true),
        Ok(Ok(alive)) => Err(format!("processes {alive:?} survive SIGKILL")),
        Ok(Err(why)) => Err(why.to_string()),
        Err(why) => Err(why.to_string()),
    }
}

async fn delete_container(record: &Record, client: &Client) -> Result<bool, Error> {
    let id = record.id.as_str();
    let request = DeleteContainerRequest { id: id.to_owned() };
    let mut containers = client.containers();
    let deleted = client
        .call(("delete container", id), request, |request| {
            containers.delete(request)
        })
        .await;
    Ok(unless_absent(deleted)?.is_some())
}

async fn remove_snapshot(record: &Record, client: &Client) -> Result<bool, Error> {
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
    Ok(unless_absent(removed)?.is_some())
}

fn has_cgroup(record: &Record) -> bool {
    // Why it cannot be read is said when it is removed.
    group(record).is_ok_and(|group| group.is_some_and(|group| group.exists()))
}

fn remove_cgroup(record: &Record, state: &State) -> Result<(), String> {
    match group(record)? {
        Some(group) => group
            .remove(&state.cgroup_parents())
            .map_err(|why| why.to_string()),
        None => Ok(()),
    }
}
