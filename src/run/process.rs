//! One process of a task, as containerd and the shim have it: the task's first one, or one beside it.
//!
//! In: its names. Out: what containerd says of it, while containerd may come and go.

use std::time::Duration;

use containerd_client::services::v1::{CloseIoRequest, GetRequest, WaitRequest};
use containerd_client::types::v1::{Process, Status};

use crate::containerd::{Client, DEADLINE, Result};
use crate::id::ContainerId;

/// Between two attempts to reach a containerd that is away.
const PAUSE: Duration = Duration::from_millis(100);
/// While an end is waited for, no answer within this is no answer.
const GET_DEADLINE: Duration = Duration::from_secs(10);

/// Its names.
#[derive(Clone, Copy)]
pub struct TaskProcess<'a> {
    client: &'a Client,
    task: &'a str,
    /// Empty for the first one.
    name: &'a str,
}

impl<'a> TaskProcess<'a> {
    /// The first process of task `id`.
    pub fn first(client: &'a Client, id: &'a ContainerId) -> Self {
        Self {
            client,
            task: id.as_str(),
            name: "",
        }
    }

    /// The process that was called `name`, beside it.
    pub fn beside(client: &'a Client, id: &'a ContainerId, name: &'a ContainerId) -> Self {
        Self {
            name: name.as_str(),
            ..Self::first(client, id)
        }
    }

    /// Which call, on what.
    fn what(self, task: &'static str, process: &'static str) -> (&'static str, &'a str) {
        (if self.name.is_empty() { task } else { process }, self.task)
    }

    /// What there is of it.
    pub async fn look(self) -> Result<Process> {
        self.look_within(DEADLINE).await
    }

    async fn look_within(self, deadline: Duration) -> Result<Process> {
        let request = GetRequest {
            container_id: self.task.to_owned(),
            exec_id: self.name.to_owned(),
        };
        let mut tasks = self.client.tasks();
        let what = self.what("look at task", "look at a process in task");
        let found = self
            .client
            .call_within(deadline, what, request, |request| tasks.get(request))
            .await?;
        Ok(found.process.unwrap_or_default())
    }

    /// Its exit status, once it has ended. A broken connection is no end: containerd is asked again until it
    /// answers; an error when containerd does not know it any more.
    pub async fn end(self) -> Result<u32> {
        loop {
            match self.wait().await {
                Err(why) if why.is_unreachable() => {}
                known => return known,
            }
            match self.look_within(GET_DEADLINE).await {
                Ok(process) if process.status() == Status::Stopped => {
                    return Ok(process.exit_status);
                }
                Err(why) if !why.is_unreachable() => return Err(why),
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn wait(self) -> Result<u32> {
        let request = WaitRequest {
            container_id: self.task.to_owned(),
            exec_id: self.name.to_owned(),
        };
        let mut tasks = self.client.tasks();
        let what = self.what("wait for task", "wait for a process in task");
        let ended = self
            .client
            .call_within(Duration::MAX, what, request, |request| tasks.wait(request))
            .await?;
        Ok(ended.exit_status)
    }

    /// Tells the shim that nothing more comes on its stdin.
    pub async fn close_stdin(self) -> Result<()> {
        let request = CloseIoRequest {
            container_id: self.task.to_owned(),
            exec_id: self.name.to_owned(),
            stdin: true,
        };
        let mut tasks = self.client.tasks();
        let what = self.what("close stdin of task", "close stdin of a process in task");
        self.client
            .call(what, request, |request| tasks.close_io(request))
            .await?;
        Ok(())
    }
}
