//! What a run would be, without running it: for `--dry-run` and `bundle`.
//!
//! The image is looked at through a read-only view of its snapshot, which is removed at once; only a
//! lease that expires by itself keeps the view, so containerd collects it even if we die over it.

use std::path::{Path, PathBuf};

use containerd_client::services::v1::snapshots::{RemoveSnapshotRequest, ViewSnapshotRequest};
use containerd_client::types::Mount;
use oci_spec::runtime::Spec;

use super::rootfs::{self, Question};
use crate::containerd::Client;
use crate::failure::Result;
use crate::image::{self, Image};
use crate::plan::{MountKind, Plan};
use crate::spec::user::ResolvedUser;
use crate::spec::{self, Places};

/// What is to be looked at.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Preview<'a> {
    pub plan: &'a Plan,
    pub image: &'a Image,
    pub client: &'a Client,
    pub places: &'a Places,
}

impl Preview<'_> {
    /// The OCI spec that the run would have.
    pub async fn spec(self) -> Result<Spec> {
        // Any directory will do: it is covered for one thread of ours alone.
        let user = self.look(std::env::temp_dir(), Vec::new()).await?;
        spec::document(self.plan, &user, self.places, Path::new("rootfs"))
    }

    /// The spec, with the root file system copied to `root` and the anonymous volumes to their places.
    /// `at` is an empty directory.
    pub async fn copy(self, root: &Path, at: PathBuf) -> Result<Spec> {
        let mut copies = vec![("/".to_owned(), root.to_owned())];
        copies.extend(
            self.plan
                .mounts
                .iter()
                .filter_map(|mount| match mount.kind {
                    MountKind::Anonymous(number) => {
                        Some((mount.target.clone(), self.places.volume(number)))
                    }
                    _ => None,
                }),
        );
        let user = self.look(at, copies).await?;
        spec::document(self.plan, &user, self.places, Path::new("rootfs"))
    }

    async fn look(self, at: PathBuf, copies: Vec<(String, PathBuf)>) -> Result<ResolvedUser> {
        image::ensure_unpacked(self.client, self.image, &self.plan.image.snapshotter).await?;
        image::under_lease(self.client, "view", async |client| {
            Preview { client, ..self }
                .look_through_view(at, copies)
                .await
        })
        .await
    }

    async fn look_through_view(
        self,
        at: PathBuf,
        copies: Vec<(String, PathBuf)>,
    ) -> Result<ResolvedUser> {
        let mounts = self.view().await?;
        let process = &self.plan.process;
        let question = Question {
            mounts,
            at,
            user: process.user.clone(),
            group_add: process.group_add.clone(),
            copies,
        };
        let looked = rootfs::look_into(question).await;
        self.remove_view().await?;
        looked
    }

    fn key(self) -> String {
        format!("view-{}", self.plan.id)
    }

    async fn view(self) -> Result<Vec<Mount>> {
        let request = ViewSnapshotRequest {
            snapshotter: self.plan.image.snapshotter.clone(),
            key: self.key(),
            parent: self.plan.image.chain_id.clone(),
            ..ViewSnapshotRequest::default()
        };
        let mut snapshots = self.client.snapshots();
        let what = ("view snapshot", self.plan.image.chain_id.as_str());
        Ok(self
            .client
            .call(what, request, |request| snapshots.view(request))
            .await?
            .mounts)
    }

    async fn remove_view(self) -> Result<()> {
        let key = self.key();
        let request = RemoveSnapshotRequest {
            snapshotter: self.plan.image.snapshotter.clone(),
            key: key.clone(),
        };
        let mut snapshots = self.client.snapshots();
        self.client
            .call(("remove snapshot", &key), request, |request| {
                snapshots.remove(request)
            })
            .await?;
        Ok(())
    }
}
