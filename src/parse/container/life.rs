//! The life of a container: what it says is handed on, what it is told is sent, and in the end it is gone.
//!
//! In: a child process, its socket, the pipe that it writes to. Out: news. Nothing that the program does
//! with any of them makes others wait.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{News, Outgoing};
use crate::packet::{self, Packet};
use crate::parse::death::{Death, LastWords};
use crate::parse::message::Said;
use crate::parse::pool::Number;

/// How long a container that was told to end may take. It has nothing to finish: its program leaves, and
/// airtight undoes what it made.
const GRACE: Duration = Duration::from_secs(10);

/// How long an airtight that was told to stop may take, before it is killed and what it made is left to
/// the next one: its own patience with containerd is 10 s, and it kills at once.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// What a pipe holds (pipe(7)).
const PIPE: usize = 64 << 10;

/// A container's half of the conversation, in a task of its own.
pub(super) struct Container {
    pub(super) child: Child,
    pub(super) said: pipe::Receiver,
    pub(super) silent: bool,
    pub(super) words: LastWords,
    pub(super) packets: UnboundedReceiver<Outgoing>,
    /// Those that had no room yet.
    pub(super) outgoing: VecDeque<Outgoing>,
    pub(super) kill: tokio::sync::watch::Receiver<()>,
    pub(super) news: (Number, UnboundedSender<(Number, News)>),
}

/// What ends the conversation with a program.
enum Over {
    /// We have nothing to say to it any more, or it to us.
    Parted,
    /// It has to be killed, for this reason.
    Kill(String),
    /// Its process is gone.
    Gone(io::Result<ExitStatus>),
}

impl Container {
    /// Talks until there is nobody to talk to, and sees the container to its end, which is its last news.
    pub(super) async fn live(mut self, socket: AsyncFd<OwnedFd>, verdict: OwnedFd) {
        let over = self.talk(&socket).await;
        self.tell(News::Leaving);
        // The program reads the end of it.
        close_elsewhere(socket.into_inner());
        let (status, why) = match over {
            Over::Gone(status) => (status, None),
            Over::Parted => match self.left().await {
                Some(status) => (status, None),
                None => (self.stop().await, Some("it did not end by itself".into())),
            },
            Over::Kill(why) => (self.stop().await, Some(why)),
        };
        self.hear_the_rest();
        let death = Death::of(&verdict, status, why, &self.words);
        self.packets.close();
        while let Ok(packet) = self.packets.try_recv() {
            self.outgoing.push_back(packet);
        }
        let unsent = std::mem::take(&mut self.outgoing).into();
        self.tell(News::Dead { death, unsent });
    }

    async fn talk(&mut self, socket: &AsyncFd<OwnedFd>) -> Over {
        let mut buffer = [0; 4096];
        loop {
            tokio::select! {
                status = self.child.wait() => return Over::Gone(status),
                Ok(()) = self.kill.changed() => return Over::Kill("it was stopped".into()),
                heard = packet::receive(socket) => match heard {
                    Ok(Some(packet)) => match read(packet) {
                        Some(said) => self.tell(News::Said(said)),
                        None => return Over::Kill("it said what no parser says".into()),
                    },
                    Ok(None) => return Over::Parted,
                    Err(why) => return Over::Kill(format!("its socket cannot be read: {why}")),
                },
                packet = self.packets.recv() => match packet {
                    Some(packet) => self.outgoing.push_back(packet),
                    None => return Over::Parted,
                },
                sent = flush(socket, &mut self.outgoing), if !self.outgoing.is_empty() => match sent {
                    Ok(()) => {}
                    Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Over::Parted,
                    Err(why) => return Over::Kill(format!("nothing can be sent to it: {why}")),
                },
                length = self.said.read(&mut buffer), if !self.silent => {
                    self.hear(length.ok().and_then(|length| buffer.get(..length)));
                }
            }
        }
    }

    /// Takes in what was written, or that nothing more will be.
    fn hear(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes @ [_, ..]) => self.words.hear(bytes),
            _ => self.silent = true,
        }
        for line in self.words.lines() {
            self.tell(News::Line(line));
        }
    }

    /// Hears what is left in the pipe. Whoever still writes to it may do so for ever.
    fn hear_the_rest(&mut self) {
        let mut buffer = vec![0; PIPE];
        let mut length = 0;
        while let Some(free @ [_, ..]) = buffer.get_mut(length..)
            && let Ok(more @ 1..) = self.said.try_read(free)
        {
            length += more;
        }
        self.hear(buffer.get(..length));
    }

    /// Its end, if it leaves by itself.
    async fn left(&mut self) -> Option<io::Result<ExitStatus>> {
        let mut kill = self.kill.clone();
        tokio::select! {
            status = self.gone() => Some(status),
            () = tokio::time::sleep(GRACE) => None,
            // An error says that the handle is gone: then there is only the grace.
            Ok(()) = kill.changed() => None,
        }
    }

    /// Ends it: airtight kills what is inside and undoes what it made.
    async fn stop(&mut self) -> io::Result<ExitStatus> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // Nobody but us waits for it, so the number is its own.
            let _ = signal::kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if let Ok(status) = tokio::time::timeout(STOP_LIMIT, self.gone()).await {
            return status;
        }
        // It fails only for a process that has been waited for already.
        let _ = self.child.start_kill();
        self.gone().await
    }

    /// Waits for its end; what is written meanwhile holds nobody up.
    async fn gone(&mut self) -> io::Result<ExitStatus> {
        let mut buffer = [0; 4096];
        loop {
            tokio::select! {
                status = self.child.wait() => return status,
                length = self.said.read(&mut buffer), if !self.silent => {
                    self.hear(length.ok().and_then(|length| buffer.get(..length)));
                }
            }
        }
    }

    fn tell(&self, news: News) {
        let (number, sender) = &self.news;
        // Without anybody to hear it there is nobody to tell.
        let _ = sender.send((*number, news));
    }
}

/// A program has no reason to send descriptors.
fn read(packet: Packet) -> Option<Said> {
    let Packet {
        bytes,
        descriptors,
        flaw,
    } = packet;
    if flaw.is_none() && descriptors.is_empty() {
        return Said::read(&bytes);
    }
    close_elsewhere(descriptors);
    None
}

/// Closes what the program may have had its hands on, or what may hold such descriptors unread: for a
/// socket with SO_LINGER, close(2) waits as long as whoever made it likes (socket(7)).
fn close_elsewhere(descriptors: impl Send + 'static) {
    tokio::task::spawn_blocking(move || drop(descriptors));
}

/// Sends the first of `outgoing`, when there is room for it.
async fn flush(socket: &AsyncFd<OwnedFd>, outgoing: &mut VecDeque<Outgoing>) -> io::Result<()> {
    while let Some(first) = outgoing.front() {
        let descriptors: Vec<_> = first.descriptors.iter().map(AsFd::as_fd).collect();
        packet::send(socket, &first.bytes, &descriptors).await?;
        outgoing.pop_front();
    }
    Ok(())
}
