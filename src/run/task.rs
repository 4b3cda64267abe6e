//! The task: created and started, although containerd may go away over it.
//!
//! In: a launch whose container, cgroup and socket exist. Out: the task's first process, and later that
//! it runs. An answer that was lost says nothing about the deed, so containerd is asked what there is:
//! a task that exists is taken, a half-made one is undone and made again. Never starts a payload twice,
//! and never says that one did not run which may have.

use std::path::Path;

use containerd_client::services::v1::{CreateTaskRequest, StartRequest};
use containerd_client::types::Mount;
use containerd_client::types::v1::{Process, Status};

use super::cleanup;
use super::launch::Launch;
use super::process::TaskProcess;
use super::release::release;
use super::residue;
use super::runc;
use crate::containerd::{ABSENCE, Error, patiently};
use crate::failure::{Context, Failure, Kind, Result};

/// How often a step is tried whose answer is lost again and again.
const ATTEMPTS: u32 = 3;

/// What a first process ends with that the runtime has made and could not execute (runc, `init.go`).
const RUNTIME_FAILED: u32 = 1;

/// What the shim is to connect: nothing where the init gets descriptors from us.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "fields of containerd's CreateTaskRequest")]
pub struct TaskStdio {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub terminal: bool,
}

/// Why a task is not known to run.
#[derive(Debug)]
pub enum NotStarted {
    /// It does not run.
    Refused(Failure),
    /// Nobody says whether it did.
    Unknown(Failure),
}

impl From<NotStarted> for Failure {
    fn from(why: NotStarted) -> Self {
        match why {
            NotStarted::Refused(failure) | NotStarted::Unknown(failure) => failure,
        }
    }
}

impl Launch<'_> {
    /// Makes the task; the pid of its first process on the host, which waits to be started.
    pub async fn create_task(self, rootfs: Vec<Mount>, stdio: &TaskStdio) -> Result<u32> {
        let request = CreateTaskRequest {
            container_id: self.job.plan.id.to_string(),
            rootfs,
            stdin: stdio.stdin.clone(),
            stdout: stdio.stdout.clone(),
            stderr: stdio.stderr.clone(),
            terminal: stdio.terminal,
            ..CreateTaskRequest::default()
        };
        // A run that is dead has left it, whose shim was killed; the name is ours by now.
        residue::forget(self.record).or_fail(Kind::Host, || {
            format!("cannot create task {:?}", self.job.plan.id.as_str())
        })?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.create_once(request.clone()).await {
                Err(why) if attempts < ATTEMPTS && self.is_ours(why.directory_in_the_way()) => {
                    self.begin_anew(why.directory_in_the_way()).await?;
                    continue;
                }
                Err(why) if attempts < ATTEMPTS && why.is_unreachable() => {}
                done => return done.map_err(|why| runc::explain(why, self.job.plan)),
            }
            let found = patiently(ABSENCE, |_| self.look()).await;
            match found {
                Ok(process) if process.status() == Status::Created => return Ok(process.pid),
                Err(why) if why.is_unreachable() => return Err(why.into()),
                Ok(_) | Err(_) => self.begin_anew(None).await?,
            }
        }
    }

    async fn create_once(self, request: CreateTaskRequest) -> Result<u32, Error> {
        let client = self.job.client;
        let id = request.container_id.clone();
        let mut tasks = client.tasks();
        let what = ("create task", id.as_str());
        let created = client.call(what, request, |request| tasks.create(request));
        Ok(created.await?.pid)
    }

    /// Whether a directory is what containerd calls a bundle, of this very task: ours to remove, where
    /// containerd was killed before it put anything into it, and so can neither use nor remove it
    /// (containerd 1.6, `runtime/v2/manager.go`: it calls the shim to remove it, which needs its files).
    fn is_ours(self, directory: Option<&Path>) -> bool {
        let of_task = Path::new(&self.record.namespace).join(self.record.id.as_str());
        directory.is_some_and(|path| path.is_absolute() && path.ends_with(of_task))
    }

    /// Undoes a task that was made in part: its shim may still be at work. The runtime may have taken
    /// the cgroup with it.
    async fn begin_anew(self, bundle: Option<&Path>) -> Result<()> {
        let cannot = || "cannot undo a task that was made in part";
        let ended = cleanup::task::end(self.record, self.job.client).await;
        ended.or_fail(Kind::Containerd, cannot)?;
        // Whom the shim has left.
        let killed = cleanup::kill(self.record).await;
        killed.or_fail(Kind::Host, cannot)?;
        if let Some(bundle) = bundle {
            release(bundle).or_fail(Kind::Host, cannot)?;
        }
        self.create_cgroup().await
    }

    /// Lets the container's first process run.
    pub async fn start(self) -> Result<(), NotStarted> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let Err(why) = self.start_once().await else {
                return Ok(());
            };
            let found = patiently(ABSENCE, |_| self.look()).await;
            let Ok(process) = found else {
                return Err(NotStarted::Unknown(why.into()));
            };
            let lost = attempts > 1 || why.is_unreachable();
            match process.status() {
                // The shim died over it.
                Status::Unknown => return Err(NotStarted::Unknown(why.into())),
                Status::Created if why.is_unreachable() && attempts < ATTEMPTS => {}
                _ if !lost => return Err(NotStarted::Refused(why.into())),
                Status::Created => return Err(NotStarted::Unknown(why.into())),
                // The payload's own, or that of a runtime which died with containerd before the payload
                // was executed.
                Status::Stopped if process.exit_status == RUNTIME_FAILED => {
                    return Err(NotStarted::Unknown(why.into()));
                }
                _ => return Ok(()),
            }
        }
    }

    async fn start_once(self) -> Result<(), Error> {
        let client = self.job.client;
        let id = self.job.plan.id.as_str();
        let request = StartRequest {
            container_id: id.to_owned(),
            exec_id: String::new(),
        };
        let mut tasks = client.tasks();
        client
            .call(("start task", id), request, |request| tasks.start(request))
            .await
            .map(|_| ())
    }

    /// What containerd knows of the task's first process.
    async fn look(self) -> Result<Process, Error> {
        let (client, id) = (self.job.client, &self.job.plan.id);
        TaskProcess::first(client, id).look().await
    }
}
