//! What containerd is asked about one process beside the payload of a task.

use containerd_client::services::v1::{ExecProcessRequest, GetContainerRequest, StartRequest};
use oci_spec::runtime::{Process, Spec};
use prost_types::Any;

use crate::containerd::{self, Client};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::run::process::TaskProcess;
use crate::run::task::TaskStdio;

/// What the shim expects a process to be called (containerd, `oci`).
const PROCESS_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// One process, by names.
#[derive(Clone)]
pub struct Calls {
    /// containerd.
    pub client: Client,
    /// The run.
    pub id: ContainerId,
    /// The process.
    pub name: ContainerId,
}

impl Calls {
    /// The process that the container's spec has: that of the payload or its init.
    pub async fn process_of_run(&self) -> Result<Process> {
        let id = self.id.as_str();
        let request = GetContainerRequest { id: id.to_owned() };
        let mut containers = self.client.containers();
        let found = self
            .client
            .call(("look at container", id), request, |request| {
                containers.get(request)
            })
            .await?;
        let what = || format!("cannot read the spec of container {id}");
        let spec = found.container.and_then(|container| container.spec);
        let spec = spec.map(|any| any.value).unwrap_or_default();
        let spec: Spec = serde_json::from_slice(&spec).or_fail(Kind::Containerd, what)?;
        let process = spec.process().clone();
        process.ok_or_else(|| Failure::new(Kind::Containerd, what()).because("it has no process"))
    }

    /// The container's first process.
    pub async fn first_pid(&self) -> Result<u32> {
        let first = TaskProcess::first(&self.client, &self.id).look().await?;
        Ok(first.pid)
    }

    /// Makes it, not yet started.
    pub async fn create(&self, process: &Process, stdio: &TaskStdio) -> Result<()> {
        let spec =
            serde_json::to_vec(process).or_fail(Kind::Host, || "cannot write the process")?;
        let request = ExecProcessRequest {
            container_id: self.id.to_string(),
            exec_id: self.name.to_string(),
            stdin: stdio.stdin.clone(),
            stdout: stdio.stdout.clone(),
            stderr: stdio.stderr.clone(),
            terminal: stdio.terminal,
            spec: Some(Any {
                type_url: PROCESS_URL.to_owned(),
                value: spec,
            }),
        };
        let mut tasks = self.client.tasks();
        let what = ("make a process in task", self.id.as_str());
        self.client
            .call(what, request, |request| tasks.exec(request))
            .await?;
        Ok(())
    }

    /// Starts it; its pid on the host.
    pub async fn start(&self) -> containerd::Result<u32> {
        let request = StartRequest {
            container_id: self.id.to_string(),
            exec_id: self.name.to_string(),
        };
        let mut tasks = self.client.tasks();
        let what = ("start a process in task", self.id.as_str());
        let started = self
            .client
            .call(what, request, |request| tasks.start(request))
            .await?;
        Ok(started.pid)
    }

    /// As containerd and the shim have it.
    pub fn task_process(&self) -> TaskProcess<'_> {
        TaskProcess::beside(&self.client, &self.id, &self.name)
    }
}
