//! Waiting for a task's end, while containerd may come and go.

use std::time::Duration;

use containerd_client::services::v1::{GetRequest, WaitRequest};
use containerd_client::types::v1::Status;

use crate::containerd::{Client, Result};
use crate::id::ContainerId;

/// How a task ended, as far as containerd knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// With this exit status; 128 and the signal's number if it died of one.
    Status(u32),
    /// The task is gone and took its status with it (the shim died).
    Lost(String),
}

/// Between two attempts to reach a containerd that is away.
const PAUSE: Duration = Duration::from_millis(100);
/// No answer within this is no answer.
const GET_DEADLINE: Duration = Duration::from_secs(10);

/// Resolves when the task has ended. A broken connection is no end: containerd is asked again until it
/// answers.
pub async fn task_end(client: &Client, id: &ContainerId) -> TaskEnd {
    loop {
        match wait(client, id).await {
            Ok(status) => return TaskEnd::Status(status),
            Err(why) if why.is_unreachable() => {}
            Err(why) => return TaskEnd::Lost(why.to_string()),
        }
        match stopped_with(client, id).await {
            Ok(Some(status)) => return TaskEnd::Status(status),
            Err(why) if !why.is_unreachable() => return TaskEnd::Lost(why.to_string()),
            Ok(None) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn wait(client: &Client, id: &ContainerId) -> Result<u32> {
    let request = WaitRequest {
        container_id: id.to_string(),
        exec_id: String::new(),
    };
    let mut tasks = client.tasks();
    let what = ("wait for task", id.as_str());
    let response = client
        .call_within(Duration::MAX, what, request, |request| tasks.wait(request))
        .await?;
    Ok(response.exit_status)
}

/// The exit status of a task that has stopped.
async fn stopped_with(client: &Client, id: &ContainerId) -> Result<Option<u32>> {
    let request = GetRequest {
        container_id: id.to_string(),
        exec_id: String::new(),
    };
    let mut tasks = client.tasks();
    let response = client
        .call_within(
            GET_DEADLINE,
            ("look at task", id.as_str()),
            request,
            |request| tasks.get(request),
        )
        .await?;
    let process = response.process.unwrap_or_default();
    Ok((process.status() == Status::Stopped).then_some(process.exit_status))
}
