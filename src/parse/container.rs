//! One living container: an `airtight run` as a child process, and the socket to the program inside.
//!
//! In: a [`Recipe`], then packets for the program. Out: [`News`], the last of which is the container's
//! death and its reason. Dropping the [`Handle`] ends it: the program reads the end of its socket and
//! leaves; where it does not, it is killed. The program may be hostile: what it says out of turn kills it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::control::JobNumber;
use super::death::{Death, LastWords};
use super::message::Said;
use super::packet::{self, Packet};
use super::pool::Number;
use super::recipe::{self, Recipe};
use crate::failure::{Context, Kind, Result};
use crate::leash::{inherited, rights, watch};

/// How long a container that was told to end may take. It has nothing to finish: its program leaves, and
/// airtight undoes what it made.
const GRACE: Duration = Duration::from_secs(10);

/// How long an airtight that was told to stop may take, before it is killed and what it made is left to
/// the next one: its own patience with containerd is 10 s, and it kills at once.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// What a pipe holds (pipe(7)).
const PIPE: usize = 64 << 10;

/// What a container has to tell.
#[derive(Debug)]
pub enum News {
    /// What its program says.
    Said(Said),
    /// A line that it or airtight wrote to standard output or standard error.
    Line(String),
    /// It takes no more files.
    Leaving,
    /// It is gone.
    Dead {
        /// Why.
        death: Death,
        /// What the program was never told.
        unsent: Vec<Outgoing>,
    },
}

/// What the program is to be told.
#[derive(Debug)]
pub struct Outgoing {
    /// Which job it brings, if it brings one.
    pub job: Option<JobNumber>,
    /// The packet.
    pub bytes: Vec<u8>,
    /// What goes beside it; ours are closed when it is sent.
    pub descriptors: Vec<OwnedFd>,
}

/// Holds a container.
#[derive(Debug)]
pub struct Handle {
    packets: UnboundedSender<Outgoing>,
    killed: tokio::sync::watch::Sender<()>,
}

impl Handle {
    /// Sends a packet to the program, when there is room; its order among the others stays. A container
    /// that is gone gives it back.
    pub fn send(&self, packet: Outgoing) -> Result<(), Outgoing> {
        self.packets.send(packet).map_err(|back| back.0)
    }

    /// Kills it at once; its death is told as ever.
    pub fn kill(&self) {
        self.killed.send_replace(());
    }
}

/// Starts one. Its news go to `news`, with its number.
pub fn start(
    number: Number,
    recipe: &Recipe,
    news: UnboundedSender<(Number, News)>,
) -> Result<Handle> {
    let what = || "cannot start a container for DAG files";
    let (ours, theirs) = packet::pair().or_fail(Kind::Host, what)?;
    rights::refuse(ours.as_fd()).or_fail(Kind::Host, what)?;
    let verdict = recipe::memory("airtight-verdict").or_fail(Kind::Host, what)?;
    let (said, writer) = io::pipe().or_fail(Kind::Host, what)?;
    // The file itself, even where another version has taken its name.
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg0("airtight")
        .args(&recipe.words)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().or_fail(Kind::Host, what)?)
        .stderr(writer)
        // Ctrl-C at our terminal is for us to hear.
        .process_group(0);
    let copy = verdict.try_clone().or_fail(Kind::Host, what)?;
    let descriptors = vec![
        (theirs, recipe::SOCKET),
        (recipe.slip.write()?, recipe::SLIP),
        (copy, recipe::VERDICT),
    ];
    inherited::hand_over(&mut command, descriptors).or_fail(Kind::Host, what)?;
    let mut command = Command::from(command);
    let child = command
        .kill_on_drop(true)
        .spawn()
        .or_fail(Kind::Host, what)?;
    let (packets, incoming) = unbounded_channel();
    let (killed, kill) = tokio::sync::watch::channel(());
    let container = Container {
        child,
        said: pipe::Receiver::from_owned_fd(said.into()).or_fail(Kind::Host, what)?,
        silent: false,
        words: LastWords::default(),
        packets: incoming,
        outgoing: VecDeque::new(),
        kill,
        news: (number, news),
    };
    let socket = watch::watch_both(ours).or_fail(Kind::Host, what)?;
    tokio::spawn(container.live(socket, verdict));
    Ok(Handle { packets, killed })
}

struct Container {
    child: Child,
    said: pipe::Receiver,
    silent: bool,
    words: LastWords,
    packets: UnboundedReceiver<Outgoing>,
    /// Those that had no room yet.
    outgoing: VecDeque<Outgoing>,
    kill: tokio::sync::watch::Receiver<()>,
    news: (Number, UnboundedSender<(Number, News)>),
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
    async fn live(mut self, socket: AsyncFd<OwnedFd>, verdict: OwnedFd) {
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
