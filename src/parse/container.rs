//! One living container: an `airtight run` as a child process, and the socket to the program inside.
//!
//! In: a [`Recipe`], then packets for the program. Out: [`News`], the last of which is the container's
//! death and its reason. Dropping the [`Handle`] ends it: the program reads the end of its socket and
//! leaves; where it does not, it is killed. The program may be hostile: what it says out of turn kills it.

mod life;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use self::life::Container;

use super::control::JobNumber;
use super::death::{Death, LastWords};
use super::message::Said;
use super::pool::Number;
use super::recipe::{self, Recipe};
use crate::failure::{Context, Kind, Result};
use crate::leash::{inherited, rights, watch};
use crate::packet;

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
