//! The list of snapshots, which is a stream, and the names of the snapshotters that can be asked for one.

use std::collections::HashMap;

use containerd_client::services::v1::PluginsRequest;
use containerd_client::services::v1::snapshots::ListSnapshotsRequest;

use super::content::within;
use super::{Client, DEADLINE, Result};

/// What containerd calls a snapshotter.
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1";

impl Client {
    /// The snapshotters that work here.
    pub async fn snapshotters(&self) -> Result<Vec<String>> {
        let request = PluginsRequest {
            filters: vec![format!("type=={SNAPSHOTTER}")],
        };
        let mut introspection = self.introspection();
        let what = ("list", "snapshotters");
        let answer = self
            .call(what, request, |request| introspection.plugins(request))
            .await?;
        let usable = answer.plugins.into_iter();
        let usable = usable.filter(|plugin| plugin.init_err.is_none());
        Ok(usable.map(|plugin| plugin.id).collect())
    }

    /// The labels of all snapshots that have the label `name`.
    pub async fn labels_of_snapshots(
        &self,
        snapshotter: &str,
        name: &str,
    ) -> Result<Vec<HashMap<String, String>>> {
        let what = ("list snapshots of", snapshotter);
        let message = ListSnapshotsRequest {
            snapshotter: snapshotter.to_owned(),
            filters: vec![format!("labels.{name:?}")],
        };
        let mut snapshots = self.snapshots();
        let request = self.request(message);
        let mut pieces = within(DEADLINE, what, snapshots.list(request))
            .await?
            .into_inner();
        let mut found = Vec::new();
        while let Some(piece) = within(DEADLINE, what, pieces.message()).await? {
            found.extend(piece.info.into_iter().map(|info| info.labels));
        }
        Ok(found)
    }
}
