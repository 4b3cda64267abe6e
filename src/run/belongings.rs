//! What containerd has under the name of a run, and whether it is that run's.
//!
//! A name is no proof: two runs of different state directories may be called the same, and anybody may make
//! a container of any name. The record on its label is one. Nothing is changed here.

use std::collections::HashMap;

use containerd_client::services::v1::GetContainerRequest;
use containerd_client::services::v1::snapshots::StatSnapshotRequest;

use super::process::TaskProcess;
use super::record::{LABEL, Record};
use crate::containerd::{Client, Result};

/// Labels of one thing.
type Labels = HashMap<String, String>;

/// Whose the thing of that name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// There is none.
    Nobodys,
    /// The run's.
    Ours,
    /// Another run's, or no run's at all: never to be touched.
    Others,
}

impl Whose {
    fn of(record: &Record, labels: Option<&Labels>) -> Self {
        match labels {
            None => Self::Nobodys,
            Some(labels) if labels.get(LABEL).is_some_and(|text| record.is_on(text)) => Self::Ours,
            Some(_) => Self::Others,
        }
    }
}

/// What there is under a run's name.
#[derive(Debug, Clone, Copy)]
pub struct Belongings {
    /// The container record.
    pub container: Whose,
    /// The root file system.
    pub snapshot: Whose,
}

impl Belongings {
    /// Asks containerd.
    pub async fn of(record: &Record, client: &Client) -> Result<Self> {
        let (container, snapshot) = tokio::join!(
            container_labels(record, client),
            snapshot_labels(record, client)
        );
        Ok(Self {
            container: Whose::of(record, container?.as_ref()),
            snapshot: Whose::of(record, snapshot?.as_ref()),
        })
    }
}

/// The labels of the container called like the run.
pub async fn container_labels(record: &Record, client: &Client) -> Result<Option<Labels>> {
    let id = record.id.as_str();
    let request = GetContainerRequest { id: id.to_owned() };
    let mut containers = client.containers();
    let what = ("look at container", id);
    let found = client
        .call(what, request, |request| containers.get(request))
        .await;
    let found = unless_absent(found)?;
    Ok(found.and_then(|found| found.container).map(|c| c.labels))
}

/// The labels of the snapshot called like the run.
pub async fn snapshot_labels(record: &Record, client: &Client) -> Result<Option<Labels>> {
    let key = record.id.as_str();
    let request = StatSnapshotRequest {
        snapshotter: record.snapshotter.clone(),
        key: key.to_owned(),
    };
    let mut snapshots = client.snapshots();
    let what = ("look at snapshot", key);
    let found = client
        .call(what, request, |request| snapshots.stat(request))
        .await;
    match found {
        // A snapshotter that does not exist has made nothing (containerd, services/snapshots).
        Err(why) if why.is_unknown_snapshotter() => Ok(None),
        found => Ok(unless_absent(found)?
            .and_then(|found| found.info)
            .map(|i| i.labels)),
    }
}

/// Whether there is a task called like the run.
pub async fn has_task(record: &Record, client: &Client) -> Result<bool> {
    let found = TaskProcess::first(client, &record.id).look().await;
    Ok(unless_absent(found)?.is_some())
}

/// `None` for what is not there.
pub fn unless_absent<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(why) if why.is_not_found() => Ok(None),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_ours_by_its_record_alone() {
        let record = Record::fixture("a");
        let labels = |text: String| HashMap::from([(LABEL.to_owned(), text)]);
        let whose = |labels: Option<Labels>| Whose::of(&record, labels.as_ref());
        assert_eq!(whose(None), Whose::Nobodys);
        assert_eq!(whose(Some(labels(record.text().unwrap()))), Whose::Ours);
        assert_eq!(whose(Some(HashMap::new())), Whose::Others);
        let later = Record {
            token: "u".into(),
            ..record.clone()
        };
        assert_eq!(whose(Some(labels(later.text().unwrap()))), Whose::Others);
    }
}
