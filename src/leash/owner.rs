//! The owner's end of the leash.
//!
//! In: what the payload gets, signals. Out: events. Dropped, or closed by the kernel because the
//! owner died, it makes init kill everything inside and exit, unless init was told otherwise. Nothing here waits for containerd.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

use super::codec::Packet;
use super::packet;
use super::peer::Peer;
use super::protocol::{
    Exit, FromInit, FromOwner, SignalNumber, SignalRefusal, Start, StartFailure, VERSION,
    WhenAlone, WindowSize,
};
use super::watch::watch;
use crate::failure::{Context, Failure, Kind, Result};

/// The connection to the init of one container.
#[derive(Debug)]
pub struct Leash {
    socket: AsyncFd<OwnedFd>,
    init: Peer,
    pid_inside: i32,
}

/// What the payload gets through the leash.
#[derive(Debug)]
pub struct Payload {
    /// A terminal of this size, as 0, 1 and 2; otherwise `descriptors` has all three.
    pub terminal: Option<WindowSize>,
    /// The payload's descriptors and their numbers there.
    pub descriptors: Vec<(RawFd, OwnedFd)>,
}

/// What init has to tell.
#[derive(Debug)]
pub enum Event {
    /// The master side of the payload's terminal: close it and the payload is hung up.
    Terminal(OwnedFd),
    /// The payload runs.
    Started {
        /// Its pid in init's pid namespace.
        pid: i32,
    },
    /// There is no payload, and init is about to exit.
    StartFailed(StartFailure),
    /// A signal could not be delivered; the payload runs on.
    SignalRefused(SignalRefusal),
    /// The payload ended, and init is about to kill what it left, and to exit.
    Exited(Exit),
}

impl Leash {
    /// The leash to the process at the other end of `socket`, once it has greeted.
    pub(super) async fn greet(socket: OwnedFd) -> Result<Self> {
        let what = || "cannot take up the leash";
        let init = Peer::of(&socket)
            .or_fail(Kind::Host, what)
            .map_err(|failure| failure.hint("process handles need Linux 5.3 or newer"))?;
        let socket = watch(socket).or_fail(Kind::Host, what)?;
        let mut leash = Self {
            socket,
            init,
            pid_inside: 0,
        };
        match leash.receive().await?.map(|(message, _)| message) {
            Some(FromInit::Hello(hello)) if hello.version == VERSION => {
                leash.pid_inside = hello.pid;
                Ok(leash)
            }
            Some(FromInit::Hello(hello)) => Err(Failure::host(what()).because(format!(
                "init speaks version {} of the protocol, this airtight version {VERSION}",
                hello.version
            ))),
            Some(_) => Err(Failure::host(what()).because("init did not greet first")),
            None => Err(Failure::host(what()).because("init is gone")),
        }
    }

    /// Init's pid in the owner's pid namespace.
    pub fn pid(&self) -> i32 {
        self.init.pid()
    }

    /// Init's pid in its own pid namespace: 1, or with the host's namespace the host's.
    pub fn pid_inside(&self) -> i32 {
        self.pid_inside
    }

    /// Says what init is to do when the leash breaks; to be called before the payload is started.
    pub fn when_alone(&self, rule: WhenAlone) -> Result<()> {
        self.send(&FromOwner::WhenAlone(rule).encode(), &[])
            .or_fail(Kind::Host, || "cannot tell init what to do without us")
    }

    /// Has the payload started; to be called once. Our copies of its descriptors are closed, so
    /// that the ends of its pipes are seen.
    pub fn start(&self, payload: Payload) -> Result<()> {
        let (targets, descriptors): (Vec<_>, Vec<_>) = payload.descriptors.into_iter().unzip();
        let start = Start::new(payload.terminal, &targets)
            .or_fail(Kind::Usage, || "cannot hand descriptors to the payload")?;
        self.send(&FromOwner::Start(start).encode(), &descriptors)
            .or_fail(Kind::Host, || "cannot tell init to start the payload")
    }

    /// Sends a signal to the payload. Never waits: an init that has stopped reading is a failure.
    pub fn signal(&self, signal: SignalNumber) -> Result<()> {
        self.send(&FromOwner::Signal(signal).encode(), &[])
            .or_fail(Kind::Host, || {
                format!("cannot send signal {} to the payload", signal.get())
            })
    }

    /// The next event; `None` when the leash broke, which is init's end. May be cancelled without
    /// losing an event.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let Some((message, descriptor)) = self.receive().await? else {
            return Ok(None);
        };
        let event = match (message, descriptor) {
            (FromInit::Terminal, Some(master)) => Event::Terminal(master),
            (FromInit::Started(pid), _) => Event::Started { pid },
            (FromInit::StartFailed(failure), _) => Event::StartFailed(failure),
            (FromInit::SignalRefused(refusal), _) => Event::SignalRefused(refusal),
            (FromInit::Exited(exit), _) => Event::Exited(exit),
            (FromInit::Hello(_), _) => {
                return Err(Failure::host("init greeted a second time"));
            }
            (FromInit::Terminal, None) => {
                return Err(Failure::host("init announced a terminal and sent none"));
            }
        };
        Ok(Some(event))
    }

    /// Kills init and with it everything in its pid namespace, whether or not the leash answers.
    /// With the host's pid namespace only init dies: the cgroup has to be killed as well.
    pub fn kill(&self) -> Result<()> {
        self.init.kill().or_fail(Kind::Host, || {
            format!("cannot kill init, process {}", self.pid())
        })
    }

    /// Waits until init is gone, and, where it was the PID 1 of its pid namespace, everything in
    /// there. It comes after `None` of [`Leash::next`].
    pub async fn gone(&self) -> Result<()> {
        self.init.gone().await.or_fail(Kind::Host, || {
            format!("cannot wait for init, process {}", self.pid())
        })
    }

    async fn receive(&mut self) -> Result<Option<(FromInit, Option<OwnedFd>)>> {
        let what = || "cannot read what init says";
        let received = loop {
            let mut ready = self.socket.readable().await.or_fail(Kind::Host, what)?;
            match ready.try_io(|socket| packet::receive(socket.get_ref().as_fd())) {
                // Init left without reading our last signal. The kernel says so once, and only
                // then gives what init said before.
                Ok(Err(why)) if why.kind() == io::ErrorKind::ConnectionReset => {}
                Ok(received) => break received.or_fail(Kind::Host, what)?,
                Err(_would_block) => {}
            }
        };
        if received.bytes().is_empty() {
            return Ok(None);
        }
        let message = FromInit::decode(received.bytes()).or_fail(Kind::Host, what)?;
        Ok(Some((message, received.into_descriptors().into_first())))
    }

    fn send(&self, packet: &Packet, descriptors: &[OwnedFd]) -> io::Result<()> {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        packet::send(self.socket.as_fd(), packet.as_bytes(), &descriptors)
    }
}
