//! From a plan to a payload that is about to run.
//!
//! Each step makes something that the record already names, so a failure at any point leaves nothing
//! that cleanup does not know. Order: files → snapshot → user → container → cgroup → leash → task →
//! start.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots::{
    MountsRequest, PrepareSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::services::v1::{Container, CreateContainerRequest, GetContainerRequest};
use containerd_client::types::Mount;
use oci_spec::runtime::Spec;
use prost_types::Any;

use super::Job;
use super::fenced;
use super::names;
use super::record::{self, Record};
use super::rootfs::{self, Question};
use super::runc::Options;
use super::state::RunDir;
use super::step::{Step, reached};
use super::task::TaskStdio;
use super::verdict::Phases;
use super::volumes;
use crate::cgroup::{Group, Hierarchies, Subpath};
use crate::containerd::{ABSENCE, Error, Result as Answer, patiently};
use crate::failure::{Context, Kind, Result};
use crate::image;
use crate::leash::{self, Listener};
use crate::plan::MountKind;
use crate::spec::{self, Places, SettledMounts};

/// Keeps containerd's collector away from the snapshot until the container record refers to it
/// (containerd, docs/garbage-collection.md).
const ROOT_LABEL: &str = "containerd.io/gc.root";
/// What the containers service expects a spec to be called.
const SPEC_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// Everything a launch needs.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Launch<'a> {
    pub job: Job<'a>,
    pub record: &'a Record,
    pub dir: &'a RunDir,
}

/// A task that exists and waits to be started.
#[derive(Debug)]
pub struct Created {
    /// The process id of the container's first process, on the host.
    pub pid: u32,
    /// Where the init will call, when there is one.
    pub listener: Option<Listener>,
}

impl Launch<'_> {
    /// Makes everything up to the task.
    pub async fn create(self, stdio: &TaskStdio, phases: &mut Phases) -> Result<Created> {
        self.write_files()?;
        reached(Step::Files);
        let Job {
            client,
            image,
            plan,
            ..
        } = self.job;
        patiently(ABSENCE, |_| {
            image::ensure_unpacked(client, image, &plan.image.snapshotter)
        })
        .await?;
        reached(Step::Unpacked);
        let mounts = self.prepare_snapshot().await?;
        phases.lap("snapshot");
        reached(Step::Snapshot);
        let spec = self.spec(&mounts).await?;
        phases.lap("spec");
        reached(Step::Spec);
        self.create_container(&spec).await?;
        phases.lap("container");
        reached(Step::Container);
        self.create_cgroup().await?;
        reached(Step::Cgroup);
        let listener = self.listen()?;
        reached(Step::Socket);
        let pid = self.create_task(mounts, stdio).await?;
        // The container has them now.
        self.dir.release_mounts()?;
        phases.lap("task");
        reached(Step::Task);
        Ok(Created { pid, listener })
    }

    fn places(&self) -> Places {
        self.job.state.places(&self.job.plan.id)
    }

    fn write_files(&self) -> Result<()> {
        spec::write_files(self.job.plan, &self.places())?;
        if self.job.plan.process.init {
            let inside = self.dir.path().join("inside");
            // Whatever the umask: the init may run as any uid.
            fs::create_dir(&inside)
                .and_then(|()| fs::set_permissions(&inside, Permissions::from_mode(0o755)))
                .or_fail(Kind::Host, || format!("cannot make {}", inside.display()))?;
            leash::program::write_into(&inside)?;
        }
        Ok(())
    }

    async fn prepare_snapshot(&self) -> Result<Vec<Mount>> {
        let key = self.job.plan.id.as_str();
        let text = self.record.text()?;
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        let request = PrepareSnapshotRequest {
            snapshotter: self.job.plan.image.snapshotter.clone(),
            key: key.to_owned(),
            parent: self.job.plan.image.chain_id.clone(),
            labels: HashMap::from([
                (ROOT_LABEL.to_owned(), now),
                (record::LABEL.to_owned(), text),
            ]),
        };
        let prepare = async || {
            patiently(ABSENCE, |before| {
                let request = request.clone();
                async move {
                    let mut done = self.prepare_once(request.clone()).await;
                    if done.as_ref().is_err_and(Error::is_of_its_own_making) {
                        done = self.prepare_once(request.clone()).await;
                    }
                    match done {
                        Err(why) if why.is_already_exists() && before > 0 => {
                            self.prepared_before(&request, why).await
                        }
                        done => done,
                    }
                }
            })
            .await
        };
        self.taking_the_name(prepare).await
    }

    async fn prepare_once(&self, request: PrepareSnapshotRequest) -> Result<Vec<Mount>, Error> {
        let client = self.job.client;
        let key = request.key.clone();
        let mut snapshots = client.snapshots();
        let prepared = client.call(("prepare snapshot", &key), request, |request| {
            snapshots.prepare(request)
        });
        Ok(prepared.await?.mounts)
    }

    /// The snapshot that we made when we had no answer; `why` if it is another.
    async fn prepared_before(
        &self,
        wanted: &PrepareSnapshotRequest,
        why: Error,
    ) -> Result<Vec<Mount>, Error> {
        let client = self.job.client;
        let key = wanted.key.as_str();
        let request = StatSnapshotRequest {
            snapshotter: wanted.snapshotter.clone(),
            key: key.to_owned(),
        };
        let mut snapshots = client.snapshots();
        let found = client.call(("look up snapshot", key), request, |request| {
            snapshots.stat(request)
        });
        let info = found.await?.info.unwrap_or_default();
        if (&info.labels, &info.parent) != (&wanted.labels, &wanted.parent) {
            return Err(why);
        }
        let request = MountsRequest {
            snapshotter: wanted.snapshotter.clone(),
            key: key.to_owned(),
        };
        let mut snapshots = client.snapshots();
        let mounts = client.call(("look at snapshot", key), request, |request| {
            snapshots.mounts(request)
        });
        Ok(mounts.await?.mounts)
    }

    /// What `make` makes under the run's name; what a dead run has left of that name goes first.
    async fn taking_the_name<T>(&self, make: impl AsyncFn() -> Answer<T>) -> Result<T> {
        match make().await {
            Err(why) if why.is_already_exists() => {
                names::reclaim(self.record, self.job.client, self.job.state).await?;
                Ok(make().await?)
            }
            made => Ok(made?),
        }
    }

    async fn spec(&self, mounts: &[Mount]) -> Result<Spec> {
        let places = self.places();
        volumes::prepare(self.record)?;
        let at = self.dir.path().join("rootfs");
        fs::create_dir(&at).or_fail(Kind::Host, || format!("cannot make {}", at.display()))?;
        let volumes = self
            .job
            .plan
            .mounts
            .iter()
            .filter_map(|mount| match mount.kind {
                MountKind::Anonymous(number) => Some((mount.target.clone(), places.volume(number))),
                _ => None,
            });
        let question = Question {
            mounts: mounts.to_vec(),
            at,
            user: self.job.plan.process.user.clone(),
            group_add: self.job.plan.process.group_add.clone(),
            copies: volumes.collect(),
        };
        let user = rootfs::look_into(question).await?;
        if let Some(needed) = self.job.must_read {
            needed.check(self.job.plan, &user)?;
        }
        // As late as can be: others' files are mounted in the run directory from here on.
        let places = Places {
            settled: self.settle().await?,
            ..places
        };
        // The shim mounts the root file system there, below its own directory.
        spec::document(self.job.plan, &user, &places, Path::new("rootfs"))
    }

    async fn settle(&self) -> Result<SettledMounts> {
        let address = &self.record.address;
        fenced::mount(self.job.plan, self.job.state, address, self.dir.mounts()).await
    }

    async fn create_container(&self, spec: &Spec) -> Result<()> {
        let id = self.job.plan.id.as_str();
        let spec = serde_json::to_vec(spec).or_fail(Kind::Host, || "cannot write the OCI spec")?;
        let options = Options {
            binary_name: self.job.plan.runtime.binary.clone().unwrap_or_default(),
            systemd_cgroup: matches!(self.job.plan.cgroup.subpath, Subpath::Systemd { .. }),
        };
        let mut labels: HashMap<_, _> = self.job.plan.labels.clone().into_iter().collect();
        labels.insert(record::LABEL.to_owned(), self.record.text()?);
        let container = Container {
            id: id.to_owned(),
            image: self.job.plan.image.name.clone(),
            labels,
            runtime: Some(Runtime {
                name: self.job.plan.runtime.name.clone(),
                options: Some(options.to_any()),
            }),
            spec: Some(Any {
                type_url: SPEC_URL.to_owned(),
                value: spec,
            }),
            snapshotter: self.job.plan.image.snapshotter.clone(),
            snapshot_key: id.to_owned(),
            ..Container::default()
        };
        let create = async || {
            patiently(ABSENCE, |before| {
                let container = container.clone();
                async move {
                    match self.create_container_once(container.clone()).await {
                        Err(why) if why.is_already_exists() && before > 0 => {
                            self.created_before(&container, why).await
                        }
                        done => done,
                    }
                }
            })
            .await
        };
        self.taking_the_name(create).await
    }

    async fn create_container_once(&self, container: Container) -> Result<(), Error> {
        let client = self.job.client;
        let id = container.id.clone();
        let request = CreateContainerRequest {
            container: Some(container),
        };
        let mut containers = client.containers();
        let created = client.call(("create container", &id), request, |request| {
            containers.create(request)
        });
        created.await.map(|_| ())
    }

    /// Whether it is the container that we made when we had no answer; `why` if it is another.
    async fn created_before(&self, wanted: &Container, why: Error) -> Result<(), Error> {
        let client = self.job.client;
        let request = GetContainerRequest {
            id: wanted.id.clone(),
        };
        let mut containers = client.containers();
        let found = client.call(("look at container", &wanted.id), request, |request| {
            containers.get(request)
        });
        // The spec names our run directory, which nobody else has.
        match found.await?.container {
            Some(found) if found.labels == wanted.labels && found.spec == wanted.spec => Ok(()),
            _ => Err(why),
        }
    }

    pub(super) async fn create_cgroup(&self) -> Result<()> {
        names::clear_cgroup(self.record).await?;
        let cgroup = &self.job.plan.cgroup;
        let hierarchies = Hierarchies::detect(&cgroup.mount_path)?;
        Group::create(
            &hierarchies,
            &cgroup.subpath,
            &self.job.plan.id,
            &self.job.state.cgroup_parents(),
            &self.record.text()?,
        )?;
        Ok(())
    }

    fn listen(&self) -> Result<Option<Listener>> {
        let path = self.dir.path().join("inside").join("leash");
        self.job
            .plan
            .process
            .init
            .then(|| Listener::bind(&path))
            .transpose()
    }
}
