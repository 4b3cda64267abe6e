//! From layers to snapshots: what a container's root file system is made from.
//!
//! Every layer is applied to a snapshot of its own, on the one below, and the result is called by
//! its chain id, so that images with equal layers share snapshots. Two processes may unpack one
//! image at once: each works under a key of its own, the first to commit wins, and the other takes
//! the winner's. A layer that does not unpack to what its configuration says is never committed.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1 as api;
use containerd_client::services::v1::snapshots as snap;
use containerd_client::types::Mount;

use super::digest::Digest;
use super::lease::{self, under_lease};
use super::progress::{Progress, Report};
use super::{Image, Layer, labels};
use crate::containerd::{Client, Error};
use crate::failure::{Failure, Kind, Result};
use crate::id::ContainerId;

/// containerd's own default on Linux.
pub const DEFAULT_SNAPSHOTTER: &str = "overlayfs";

/// Whether images that come in become snapshots at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpack {
    /// With each of these snapshotters.
    With(Vec<String>),
    /// Not now: the first run does.
    Later,
}

/// How long one layer may take: tens of GiB on a slow disk.
const APPLY_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// How often a layer is tried again because another process came first and then vanished.
const ATTEMPTS: usize = 5;

/// Makes sure that the image's topmost snapshot exists and is kept as long as the image is.
///
/// Costs two calls, sent at once, when it is so already.
pub async fn ensure_unpacked(client: &Client, image: &Image, snapshotter: &str) -> Result<()> {
    let Some(chain) = image.chain_id() else {
        return Ok(());
    };
    let (exists, kept) = tokio::join!(
        exists(client, snapshotter, &chain),
        is_kept(client, image, snapshotter, &chain)
    );
    if exists.map_err(|why| no_snapshot(snapshotter, why))? && kept? {
        return Ok(());
    }
    under_lease(client, "unpack", async |client| {
        unpack(client, image, snapshotter, &|_| ()).await
    })
    .await
}

/// Unpacks what is missing; `client` is under a lease.
pub(super) async fn unpack(
    client: &Client,
    image: &Image,
    snapshotter: &str,
    report: Report<'_>,
) -> Result<()> {
    let Some(top) = image.chain_id() else {
        return Ok(());
    };
    let held = hold(client, snapshotter, &top).await;
    if !held.map_err(|why| no_snapshot(snapshotter, why))? {
        let mut parent = None;
        for (n, layer) in image.layers.iter().enumerate() {
            report(Progress::Unpacking {
                layer: n + 1,
                layers: image.layers.len(),
            });
            unpack_layer(client, snapshotter, parent, layer)
                .await
                .map_err(|error| error.of(layer, n + 1, image))?;
            parent = Some(&layer.chain_id);
        }
    }
    let keep = HashMap::from([(labels::snapshot_key(snapshotter), top.to_string())]);
    labels::add(client, &image.config_blob.digest, &keep).await?;
    Ok(())
}

fn no_snapshot(snapshotter: &str, error: Error) -> Failure {
    if error.is_unknown_snapshotter() {
        let what = format!("containerd has no snapshotter {snapshotter:?}");
        Failure::usage(what).hint("airtight doctor lists those it has; --snapshotter names one")
    } else {
        error.into()
    }
}

/// Why one layer was not unpacked.
#[derive(Debug, thiserror::Error)]
enum LayerError {
    #[error(transparent)]
    Containerd(#[from] Error),
    #[error("its content is {found}, where the image's configuration says {expected}")]
    Content { found: String, expected: Digest },
    #[error("other processes keep removing it")]
    Raced,
    #[error(transparent)]
    Host(#[from] Failure),
}

impl LayerError {
    /// The failure of `layer`, which is the image's `n`th.
    fn of(self, layer: &Layer, n: usize, image: &Image) -> Failure {
        match self {
            Self::Containerd(error) if error.is_unreachable() => error.into(),
            error => {
                let missing = matches!(&error, Self::Containerd(error) if error.is_not_found());
                let (digest, count, name) = (layer.blob.digest, image.layers.len(), &image.name);
                let what = format!("cannot unpack layer {n} of {count} of {name} ({digest})");
                let failure = Failure::new(Kind::Image, what).because(error);
                match missing {
                    true => failure.hint(format!(
                        "pull or import it again: airtight image pull {name}"
                    )),
                    false => failure,
                }
            }
        }
    }
}

async fn unpack_layer(
    client: &Client,
    snapshotter: &str,
    parent: Option<&Digest>,
    layer: &Layer,
) -> std::result::Result<(), LayerError> {
    for _ in 0..ATTEMPTS {
        if hold(client, snapshotter, &layer.chain_id).await? {
            return Ok(());
        }
        let key = format!("extract-{} {}", ContainerId::random()?, layer.chain_id);
        let work = Extraction {
            client,
            snapshotter,
            key: &key,
        };
        match work.run(parent, layer).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                work.remove().await;
                // Somebody else made it meanwhile: hold theirs.
                if !matches!(&error, LayerError::Containerd(e) if e.is_already_exists()) {
                    return Err(error);
                }
            }
        }
    }
    Err(LayerError::Raced)
}

/// One layer on its way into a snapshot, under a key nobody else has.
struct Extraction<'a> {
    client: &'a Client,
    snapshotter: &'a str,
    key: &'a str,
}

impl Extraction<'_> {
    async fn run(
        &self,
        parent: Option<&Digest>,
        layer: &Layer,
    ) -> std::result::Result<(), LayerError> {
        let mounts = self.prepare(parent, &layer.chain_id).await?;
        let found = self.apply(mounts, layer).await?;
        if found != layer.diff_id.to_string() {
            return Err(LayerError::Content {
                found,
                expected: layer.diff_id,
            });
        }
        let uncompressed =
            HashMap::from([(labels::UNCOMPRESSED.to_owned(), layer.diff_id.to_string())]);
        labels::add(self.client, &layer.blob.digest, &uncompressed).await?;
        self.commit(&layer.chain_id).await?;
        Ok(())
    }

    async fn prepare(&self, parent: Option<&Digest>, chain: &Digest) -> Result<Vec<Mount>, Error> {
        let message = snap::PrepareSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: self.key.to_owned(),
            parent: parent.map(Digest::to_string).unwrap_or_default(),
            labels: HashMap::from([(labels::SNAPSHOT_REF.to_owned(), chain.to_string())]),
        };
        let mut snapshots = self.client.snapshots();
        let answer = self
            .client
            .call(("prepare snapshot", self.key), message, |m| {
                snapshots.prepare(m)
            })
            .await?;
        Ok(answer.mounts)
    }

    /// Applies the layer and says the digest of what it unpacked to.
    async fn apply(&self, mounts: Vec<Mount>, layer: &Layer) -> Result<String, Error> {
        let message = api::ApplyRequest {
            diff: Some(layer.blob.message()),
            mounts,
            ..Default::default()
        };
        let mut diff = self.client.diff();
        let digest = layer.blob.digest.to_string();
        let answer = self
            .client
            .call_within(APPLY_DEADLINE, ("unpack", &digest), message, |m| {
                diff.apply(m)
            })
            .await?;
        Ok(answer.applied.unwrap_or_default().digest)
    }

    async fn commit(&self, chain: &Digest) -> Result<(), Error> {
        let name = chain.to_string();
        let message = snap::CommitSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            name: name.clone(),
            key: self.key.to_owned(),
            ..Default::default()
        };
        let mut snapshots = self.client.snapshots();
        self.client
            .call(("commit snapshot", &name), message, |m| snapshots.commit(m))
            .await
    }

    /// Removes the key, if it is there. What cannot be removed now goes with the lease.
    async fn remove(&self) {
        let message = snap::RemoveSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: self.key.to_owned(),
        };
        let mut snapshots = self.client.snapshots();
        let _ = self
            .client
            .call(("remove snapshot", self.key), message, |m| {
                snapshots.remove(m)
            })
            .await;
    }
}

/// Puts the snapshot under our lease, should it exist, and says whether it does. In this order:
/// once leased it cannot vanish after we have seen it.
async fn hold(client: &Client, snapshotter: &str, chain: &Digest) -> Result<bool, Error> {
    if !exists(client, snapshotter, chain).await? {
        return Ok(false);
    }
    lease::hold(
        client,
        format!("snapshots/{snapshotter}"),
        &chain.to_string(),
    )
    .await?;
    exists(client, snapshotter, chain).await
}

async fn exists(client: &Client, snapshotter: &str, chain: &Digest) -> Result<bool, Error> {
    let name = chain.to_string();
    let message = snap::StatSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: name.clone(),
    };
    let mut snapshots = client.snapshots();
    match client
        .call(("look up snapshot", &name), message, |m| snapshots.stat(m))
        .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the image's configuration refers to the snapshot. Another image's may do so too, but
/// that one may be removed.
async fn is_kept(
    client: &Client,
    image: &Image,
    snapshotter: &str,
    chain: &Digest,
) -> Result<bool, Error> {
    let digest = image.config_blob.digest.to_string();
    let message = api::InfoRequest {
        digest: digest.clone(),
    };
    let mut content = client.content();
    let answer = client
        .call(("look up", &digest), message, |m| content.info(m))
        .await?;
    let labels = answer.info.unwrap_or_default().labels;
    Ok(labels.get(&labels::snapshot_key(snapshotter)) == Some(&chain.to_string()))
}
