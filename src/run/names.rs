//! A run's name where somebody else has it already: what a dead run of our own state directory left is undone
//! on the spot, and everything else is refused and left alone.
//!
//! containerd itself sees to it that a name is given once: these are asked only when it refuses. Only a cgroup
//! can be lived in without its help, so that is looked at first.

use super::belongings::{container_labels, snapshot_labels};
use super::cleanup::{self, Undone};
use super::record::Record;
use super::state::State;
use crate::cgroup::Group;
use crate::containerd::Client;
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::owner::Life;

/// Refuses the name of a run that lives.
pub fn must_be_free(state: &State, id: &ContainerId) -> Result<()> {
    let owner = match state.is_alive(id) {
        true => state.record(id).ok().flatten().map(|record| record.owner),
        false => None,
    };
    match owner {
        Some(owner) if owner.life() != Life::Dead => {
            Err(Failure::usage(format!("the name {id} is in use"))
                .because(format!(
                    "its run is alive, and process {} owns it",
                    owner.pid
                ))
                .hint(format!(
                    "choose another --name; airtight rm -f {id} ends that run"
                )))
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a name whose cgroup is lived in, or another living run's. Comes before the record, which would
/// have everybody in that cgroup killed.
pub fn cgroup_must_be_free(record: &Record) -> Result<()> {
    let Some(group) = record.group()?.filter(Group::exists) else {
        return Ok(());
    };
    let maker = group.mark().and_then(Record::from_text);
    match maker {
        Some(maker) if maker.is_left_over(&record.state) => Ok(()),
        Some(maker) if maker.owner.life() != Life::Dead => {
            Err(taken(record, "another run's cgroup").hint(owner(&maker)))
        }
        _ if group.is_empty() => Ok(()),
        _ => Err(taken(record, "a cgroup with processes in it")),
    }
}

/// Ends whoever a dead run left in the cgroup.
pub async fn clear_cgroup(record: &Record) -> Result<()> {
    let mark = record.group()?.and_then(|group| group.mark());
    let left = mark.and_then(Record::from_text);
    match left.filter(|left| left.is_left_over(&record.state)) {
        Some(left) => {
            let killed = cleanup::kill(&left).await;
            killed
                .map(drop)
                .map_err(|why| taken(record, "a cgroup that a dead run left").because(why))
        }
        None => Ok(()),
    }
}

/// Undoes what a dead run of this name has left in containerd, so that the name is free.
pub async fn reclaim(record: &Record, client: &Client, state: &State) -> Result<()> {
    let (container, snapshot) = tokio::join!(
        container_labels(record, client),
        snapshot_labels(record, client)
    );
    for (by, labels) in [("a container", container?), ("a snapshot", snapshot?)] {
        let Some(labels) = labels else { continue };
        let found = Record::from_labels(&labels);
        match found {
            Some(found) if found.is_same_run(record) => {}
            Some(found) if found.is_left_over(&record.state) => {
                let mut undone = Undone::default();
                cleanup::undo_things(&found, client, state, &mut undone).await;
                if !undone.left.is_empty() {
                    let why = undone.left.join("; ");
                    return Err(taken(record, "what a dead run left").because(why));
                }
            }
            Some(found) => return Err(taken(record, by).hint(owner(&found))),
            None => return Err(taken(record, by)),
        }
    }
    Ok(())
}

fn taken(record: &Record, by: &str) -> Failure {
    Failure::usage(format!("the name {} is in use", record.id))
        .because(format!("there is {by} of that name"))
}

fn owner(found: &Record) -> String {
    let (pid, state) = (found.owner.pid, found.state.display());
    match found.owner.life() {
        Life::Dead => format!(
            "a dead run of another state directory has left it: airtight --state-dir {state} reap"
        ),
        Life::Alive | Life::Unknown => {
            format!("its owner is process {pid}, its state directory {state}")
        }
    }
}
