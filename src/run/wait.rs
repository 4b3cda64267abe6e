//! Waiting for a task's end, while containerd may come and go.

use super::process::TaskProcess;
use crate::containerd::Client;
use crate::id::ContainerId;

/// How a task ended, as far as containerd knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// With this exit status; 128 and the signal's number if it died of one.
    Status(u32),
    /// The task is gone and took its status with it (the shim died).
    Lost(String),
}

/// Resolves when the task has ended.
pub async fn task_end(client: &Client, id: &ContainerId) -> TaskEnd {
    match TaskProcess::first(client, id).end().await {
        Ok(status) => TaskEnd::Status(status),
        Err(why) => TaskEnd::Lost(why.to_string()),
    }
}
