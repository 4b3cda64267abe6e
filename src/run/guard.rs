//! Processes that other commands start beside the payload, ended when the command that started one dies, unless it
//! has left the process to us.
//!
//! In: a command's connection, on which it says which process it is about to start, hands over a handle on it,
//! and says when it is over. Out: when the connection ends before that, everything of that process's session
//! gets SIGKILL, without containerd, and containerd and the run directory forget it. One that is to go on without
//! the command is left alone, and forgotten when it has ended: a shim keeps what it knows of a process until then.
//! The runtime makes each such process the leader of a session of its own (runc,
//! `libcontainer/setns_init_linux.go`).

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use containerd_client::services::v1::{DeleteProcessRequest, KillRequest};
use nix::libc;

use super::process::TaskProcess;
use super::record::Record;
use super::state::RunDir;
use crate::cgroup::Group;
use crate::containerd::{Client, Error};
use crate::control::Connection;
use crate::control::message::{self, Guarded};
use crate::id::ContainerId;
use crate::leash::pidfd;
use crate::owner;

/// How often a session is gone through: its processes may fork meanwhile.
const ROUNDS: usize = 20;
/// Between two rounds, for the kernel to end those that were killed.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a start may be under way whose caller died over it.
const START_LIMIT: Duration = Duration::from_secs(5);
/// Between two attempts to reach a containerd that is away.
const RETRY: Duration = Duration::from_millis(500);

/// Where processes are started beside the payload.
#[derive(Clone)]
pub struct Beside {
    /// containerd.
    pub client: Client,
    /// The run.
    pub id: ContainerId,
    /// Its directory.
    pub dir: PathBuf,
    /// Its cgroup.
    pub group: Group,
}

/// The directory, in the run's, for what the process `name` needs.
pub fn directory(dir: &std::path::Path, name: &ContainerId) -> PathBuf {
    dir.join(format!("exec-{name}"))
}

impl Beside {
    /// Beside the payload of the run that `dir` belongs to.
    pub fn of(client: &Client, record: &Record, dir: &RunDir, group: &Group) -> Self {
        Self {
            client: client.clone(),
            id: record.id.clone(),
            dir: dir.path().to_owned(),
            group: group.clone(),
        }
    }

    /// From now on the process that will be called `name` ends with `connection`, until that says otherwise.
    pub fn guard(&self, name: ContainerId, connection: Connection) {
        connection.done();
        let beside = self.clone();
        tokio::spawn(async move {
            let mut runs = None;
            while let Some(packet) = connection.next().await {
                let handle = packet.descriptors.into_iter().next();
                match (message::read(&packet.bytes), handle) {
                    (Ok(Guarded::Over), _) => return beside.undo(&name).await,
                    (Ok(Guarded::Detached), _) => {
                        connection.done();
                        drop(connection);
                        return beside.outlast(&name).await;
                    }
                    (Ok(Guarded::Runs(pid)), Some(handle)) => runs = Some((pid, handle)),
                    // A guard that is not understood guards all the same.
                    (Ok(Guarded::Runs(_)), None) | (Err(_), _) => {}
                }
            }
            beside.end(&name, runs).await;
        });
    }

    /// Forgets the process when it has ended by itself.
    async fn outlast(&self, name: &ContainerId) {
        // An error says that containerd does not know it any more.
        let _ = TaskProcess::beside(&self.client, &self.id, name)
            .end()
            .await;
        self.undo(name).await;
    }

    /// Ends the process, and everything of its session.
    async fn end(&self, name: &ContainerId, runs: Option<(i32, OwnedFd)>) {
        // A command that died a moment after the start has not said which process it is.
        let leader = match &runs {
            Some((leader, _)) => Some(*leader),
            None => self.pid(name).await,
        };
        if let Some((_, handle)) = &runs {
            // One that is gone already may have left others of its session.
            let _ = pidfd::signal(handle, libc::SIGKILL);
        }
        if let Some(leader) = leader {
            for _ in 0..ROUNDS {
                if !self.kill_session(leader) {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        // One that was about to start when its command died.
        while self.kill(name).await.is_err_and(|why| why.is_unreachable()) {
            tokio::time::sleep(RETRY).await;
        }
        self.undo(name).await;
    }

    /// Forgets it. The run's end does so too, so that nobody waits for this.
    async fn undo(&self, name: &ContainerId) {
        while self
            .forget(name)
            .await
            .is_err_and(|why| why.is_unreachable())
        {
            tokio::time::sleep(RETRY).await;
        }
        let _ = fs::remove_dir_all(directory(&self.dir, name));
    }

    /// SIGKILL to whoever is in the session of `leader`; false when nobody is.
    fn kill_session(&self, leader: i32) -> bool {
        let pids = self.group.pids().unwrap_or_default();
        let of_it: Vec<i32> = pids
            .into_iter()
            .filter(|pid| owner::session(*pid) == Some(leader))
            .collect();
        for pid in &of_it {
            // The handle is taken, and only then looked again: the pid may have been reused.
            if let Ok(handle) = pidfd::open(*pid)
                && owner::session(*pid) == Some(leader)
            {
                let _ = pidfd::signal(&handle, libc::SIGKILL);
            }
        }
        !of_it.is_empty()
    }

    /// Its pid, as containerd knows it. One that has none was never told to start, or its start is still under
    /// way at the shim.
    async fn pid(&self, name: &ContainerId) -> Option<i32> {
        let patient_until = Instant::now() + START_LIMIT;
        loop {
            match TaskProcess::beside(&self.client, &self.id, name)
                .look()
                .await
            {
                Err(why) if why.is_unreachable() => tokio::time::sleep(RETRY).await,
                Err(_) => return None,
                Ok(process) => match i32::try_from(process.pid) {
                    Ok(pid @ 1..) => return Some(pid),
                    _ if Instant::now() > patient_until => return None,
                    _ => tokio::time::sleep(PAUSE).await,
                },
            }
        }
    }

    async fn kill(&self, name: &ContainerId) -> Result<(), Error> {
        let request = KillRequest {
            container_id: self.id.to_string(),
            exec_id: name.to_string(),
            signal: libc::SIGKILL.unsigned_abs(),
            ..KillRequest::default()
        };
        let what = ("kill a process in task", self.id.as_str());
        let mut tasks = self.client.tasks();
        let killed = self
            .client
            .call(what, request, |request| tasks.kill(request));
        killed.await.map(|_| ())
    }

    /// Has containerd forget it; one that was just killed takes a moment.
    async fn forget(&self, name: &ContainerId) -> Result<(), Error> {
        let id = self.id.as_str();
        for _ in 0..ROUNDS {
            let request = DeleteProcessRequest {
                container_id: id.to_owned(),
                exec_id: name.to_string(),
            };
            let what = ("forget a process in task", id);
            let mut tasks = self.client.tasks();
            let deleted = self
                .client
                .call(what, request, |request| tasks.delete_process(request));
            match deleted.await {
                Err(why) if why.is_unreachable() => return Err(why),
                Err(why) if !why.is_not_found() => tokio::time::sleep(PAUSE).await,
                Ok(_) | Err(_) => break,
            }
        }
        Ok(())
    }
}
