//! Finding what dead runs left by what it bears, where the state directory knows nothing of them: after a
//! reboot, or when somebody has deleted the directory.
//!
//! In: containerd's labels in one namespace, the records beside anonymous volumes, the marks of cgroups. Out:
//! records of runs of our state directory whose owners are dead. Nothing is changed here.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use containerd_client::services::v1::ListContainersRequest;

use super::Scope;
use super::answers::Answers;
use crate::cgroup;
use crate::containerd::{self, Result as Answer};
use crate::failure::Result;
use crate::run::record::{LABEL, Record};
use crate::run::volumes;

/// Where cgroups are mounted unless settings say otherwise (`runtime-specs/keys.yaml`).
const CGROUPS: &str = "/sys/fs/cgroup";

/// The records of dead runs that have left something, each once.
pub async fn records(scope: &Scope<'_>, answers: &mut Answers) -> Result<Vec<Record>> {
    let [root, _] = scope.state.directories();
    let mut found = Found::default();
    let address = &scope.connection.address;
    containerd::reach(address).await?;
    answers.of(address, scope.client).await?;
    found.add(in_containerd(scope).await?, root);
    found.add(volumes::records(&scope.state.all_volumes()), root);
    let mounts = found.records.values();
    let mounts: BTreeSet<PathBuf> = mounts
        .map(|record| record.cgroup_mount_path.clone())
        .chain([CGROUPS.into()])
        .collect();
    for mount in &mounts {
        let marks = cgroup::marks_below(mount)?;
        found.add(marks.iter().filter_map(Record::from_text), root);
    }
    Ok(found.records.into_values().collect())
}

#[derive(Default)]
struct Found {
    /// By their tokens.
    records: HashMap<String, Record>,
}

impl Found {
    fn add(&mut self, records: impl IntoIterator<Item = Record>, root: &Path) {
        let left = records.into_iter().filter(|one| one.is_left_over(root));
        for record in left {
            self.records.entry(record.token.clone()).or_insert(record);
        }
    }
}

/// Those on labels, with containerd's address as we know it: it may have moved since.
async fn in_containerd(scope: &Scope<'_>) -> Answer<Vec<Record>> {
    let client = scope.client;
    let request = ListContainersRequest {
        filters: vec![format!("labels.{LABEL:?}")],
    };
    let mut containers = client.containers();
    let answer = client
        .call(("list", "containers"), request, |request| {
            containers.list(request)
        })
        .await?;
    let mut labels: Vec<_> = answer
        .containers
        .into_iter()
        .map(|one| one.labels)
        .collect();
    for snapshotter in client.snapshotters().await? {
        labels.extend(client.labels_of_snapshots(&snapshotter, LABEL).await?);
    }
    let records = labels.iter().filter_map(Record::from_labels);
    let records = records.map(|record| Record {
        address: scope.connection.address.clone(),
        namespace: scope.connection.namespace.clone(),
        ..record
    });
    Ok(records.collect())
}
