//! What containerd is asked about one process beside the payload of a task.

use std::time::Duration;

use containerd_client::services::v1::{
    CloseIoRequest, DeleteProcessRequest, ExecProcessRequest, GetContainerRequest, GetRequest,
    StartRequest, WaitRequest,
};
use containerd_client::types::v1::Status;
use oci_spec::runtime::{Process, Spec};
use prost_types::Any;

use crate::containerd::{self, Client};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::run::task::TaskStdio;

/// What the shim expects a process to be called (containerd, `oci`).
const PROCESS_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
/// Between two attempts to reach a containerd that is away.
const PAUSE: Duration = Duration::from_millis(100);

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
        let status = self.status("").await?;
        Ok(status.map_or(0, |process| process.pid))
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

    /// Its exit status, however often containerd goes and comes meanwhile; an error when containerd
    /// does not know it any more.
    pub async fn end(&self) -> containerd::Result<u32> {
        loop {
            match self.wait().await {
                Err(why) if why.is_unreachable() => {}
                known => return known,
            }
            match self.status(self.name.as_str()).await {
                Ok(Some(process)) if process.status() == Status::Stopped => {
                    return Ok(process.exit_status);
                }
                Err(why) if !why.is_unreachable() => return Err(why),
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn wait(&self) -> containerd::Result<u32> {
        let request = WaitRequest {
            container_id: self.id.to_string(),
            exec_id: self.name.to_string(),
        };
        let mut tasks = self.client.tasks();
        let what = ("wait for a process in task", self.id.as_str());
        let ended = self
            .client
            .call_within(Duration::MAX, what, request, |request| tasks.wait(request))
            .await?;
        Ok(ended.exit_status)
    }

    async fn status(
        &self,
        name: &str,
    ) -> containerd::Result<Option<containerd_client::types::v1::Process>> {
        let request = GetRequest {
            container_id: self.id.to_string(),
            exec_id: name.to_owned(),
        };
        let mut tasks = self.client.tasks();
        let what = ("look at a process in task", self.id.as_str());
        let found = self
            .client
            .call(what, request, |request| tasks.get(request))
            .await?;
        Ok(found.process)
    }

    /// Tells the shim that nothing more comes on its stdin.
    pub async fn close_stdin(&self) {
        let request = CloseIoRequest {
            container_id: self.id.to_string(),
            exec_id: self.name.to_string(),
            stdin: true,
        };
        let mut tasks = self.client.tasks();
        let what = ("close stdin of a process in task", self.id.as_str());
        // One that has ended needs no such call.
        let _ = self
            .client
            .call(what, request, |request| tasks.close_io(request))
            .await;
    }

    /// Has containerd forget one that has ended or was never started. The end of the run does so too.
    pub async fn forget(&self) {
        let request = DeleteProcessRequest {
            container_id: self.id.to_string(),
            exec_id: self.name.to_string(),
        };
        let mut tasks = self.client.tasks();
        let what = ("forget a process in task", self.id.as_str());
        let _ = self
            .client
            .call(what, request, |request| tasks.delete_process(request))
            .await;
    }
}
