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

use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::death::{Death, LastWords};
use super::message::Said;
use super::packet::{self, Packet};
use super::pool::Number;
use super::recipe::{self, Recipe};
use crate::failure::{Context, Kind, Result};
use crate::leash::{inherited, watch};

/// How long a container that was told to end may take. It has nothing to finish: its program leaves, and
/// airtight undoes what it made.
const GRACE: Duration = Duration::from_secs(10);

/// What a container has to tell.
#[derive(Debug)]
pub enum News {
    /// What its program says.
    Said(Said),
    /// A line that it or airtight wrote to standard output or standard error.
    Line(String),
    /// It is gone.
    Dead(Death),
}

/// What the program is to be told.
#[derive(Debug)]
pub struct Outgoing {
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
    /// Sends a packet to the program, when there is room; its order among the others stays.
    pub fn send(&self, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) {
        // A container that is gone has said so, or is about to.
        let _ = self.packets.send(Outgoing { bytes, descriptors });
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
        socket: watch::watch_both(ours).or_fail(Kind::Host, what)?,
        said: pipe::Receiver::from_owned_fd(said.into()).or_fail(Kind::Host, what)?,
        words: LastWords::default(),
        packets: incoming,
        kill,
        news: (number, news),
    };
    tokio::spawn(async move { container.live(verdict).await });
    Ok(Handle { packets, killed })
}

struct Container {
    child: Child,
    socket: AsyncFd<OwnedFd>,
    said: pipe::Receiver,
    words: LastWords,
    packets: UnboundedReceiver<Outgoing>,
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
    async fn live(mut self, verdict: OwnedFd) {
        let over = self.talk().await;
        let Self {
            mut child,
            socket,
            said,
            mut words,
            news: (number, news),
            mut kill,
            packets,
        } = self;
        // The program reads the end of it; descriptors that wait to be sent are closed.
        drop((socket, packets));
        let (status, why) = match over {
            Over::Gone(status) => (status, None),
            Over::Parted => {
                let leaves = tokio::time::timeout(GRACE, child.wait());
                let killed = async {
                    // The sender is gone with the handle: then there is only the grace.
                    if kill.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                let left = tokio::select! {
                    left = leaves => left.ok(),
                    () = killed => None,
                };
                match left {
                    Some(status) => (status, None),
                    None => (
                        end(&mut child).await,
                        Some("it did not end by itself".into()),
                    ),
                }
            }
            Over::Kill(why) => (end(&mut child).await, Some(why)),
        };
        // What is left in the pipe; nobody writes to it any more, or we do not care.
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = said.try_read(&mut buffer) {
            words.hear(buffer.get(..length).unwrap_or_default());
        }
        for line in words.lines() {
            let _ = news.send((number, News::Line(line)));
        }
        let death = Death::of(&verdict, status, why, &words);
        // Without anybody to hear it there is nobody to tell.
        let _ = news.send((number, News::Dead(death)));
    }

    async fn talk(&mut self) -> Over {
        let mut outgoing: VecDeque<Outgoing> = VecDeque::new();
        let mut buffer = [0; 4096];
        let mut silent = false;
        loop {
            tokio::select! {
                status = self.child.wait() => return Over::Gone(status),
                Ok(()) = self.kill.changed() => return Over::Kill("it was stopped".into()),
                heard = packet::receive(&self.socket) => match heard {
                    Ok(Some(packet)) => match read(&packet) {
                        Some(said) => self.tell(News::Said(said)),
                        None => return Over::Kill("it said what no parser says".into()),
                    },
                    Ok(None) => return Over::Parted,
                    Err(why) => return Over::Kill(format!("its socket cannot be read: {why}")),
                },
                packet = self.packets.recv() => match packet {
                    Some(packet) => outgoing.push_back(packet),
                    None => return Over::Parted,
                },
                sent = flush(&self.socket, &mut outgoing), if !outgoing.is_empty() => {
                    if let Err(why) = sent {
                        return Over::Kill(format!("nothing can be sent to it: {why}"));
                    }
                }
                length = self.said.read(&mut buffer), if !silent => match length {
                    Ok(length @ 1..) => {
                        self.words.hear(buffer.get(..length).unwrap_or_default());
                        for line in self.words.lines() {
                            self.tell(News::Line(line));
                        }
                    }
                    _ => silent = true,
                },
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
fn read(packet: &Packet) -> Option<Said> {
    if packet.flaw.is_some() || !packet.descriptors.is_empty() {
        return None;
    }
    Said::read(&packet.bytes)
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

async fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // It fails only for a process that has been waited for already.
    let _ = child.start_kill();
    child.wait().await
}
