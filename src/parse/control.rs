//! A job's control socket: the client hears there how the job ended, and ends the job by closing it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::message::End;
use crate::leash::watch;
use crate::packet;

/// A job, for as long as we live.
pub type JobNumber = u64;

/// Our end of it.
#[derive(Debug)]
pub struct Control {
    socket: Arc<AsyncFd<OwnedFd>>,
    watcher: AbortHandle,
}

impl Control {
    /// From now on, its end is told to `given_up`. Whatever a client sends there is as good as an end.
    pub fn new(
        job: JobNumber,
        socket: OwnedFd,
        given_up: UnboundedSender<JobNumber>,
    ) -> io::Result<Self> {
        let socket = Arc::new(watch::watch(socket)?);
        let watched = Arc::clone(&socket);
        let watcher = tokio::spawn(async move {
            let _end = packet::receive(&watched).await;
            // Without anybody to hear it there is nobody to tell.
            let _ = given_up.send(job);
        });
        Ok(Self {
            socket,
            watcher: watcher.abort_handle(),
        })
    }

    /// Says how the job ended; nothing follows.
    pub fn answer(self, end: &End) {
        // Nobody may be there any more, or what is there may be no socket.
        let _ = packet::send_now(self.socket.as_fd(), &end.write(), &[]);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}
