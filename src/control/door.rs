//! The owner's side: a socket in the run directory, and what is asked through it.
//!
//! In: the run directory. Out: [`Orders`], each with the connection on which to answer. Who connects has a
//! few seconds to say what for; only so many may be about to at once, and the others wait outside.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SocketFlags, accept_with, bind, listen};
use serde::Serialize;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::message::{self, Malformed, Reply, Request};
use super::{SOCKET, socket};
use crate::failure::{Context, Kind, Result};
use crate::leash::watch::watch_both;
use crate::packet::{self, Packet};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may be connected; the kernel keeps [`WAITING`] more waiting.
const CONNECTIONS: usize = 128;
/// The backlog of the socket.
const WAITING: i32 = 128;
/// After an attempt to accept that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The open socket; dropped, nobody is let in any more. The run directory's removal removes it.
#[derive(Debug)]
pub struct Door(AbortHandle);

/// What is asked, one after the other.
#[derive(Debug)]
pub struct Orders(UnboundedReceiver<Order>);

/// Something that a client asks for.
#[derive(Debug)]
pub struct Order {
    /// What.
    pub request: Request,
    /// Where to answer.
    pub connection: Connection,
}

/// A connected client.
#[derive(Debug)]
pub struct Connection {
    socket: AsyncFd<OwnedFd>,
    /// While it is about to say what it wants, or is to be told of the run's end.
    seat: Option<OwnedSemaphorePermit>,
}

impl Door {
    /// Opens the socket in `dir`, which nobody else may enter.
    pub fn open(dir: &Path) -> Result<(Self, Orders)> {
        let what = || format!("cannot listen at {}", dir.join(SOCKET).display());
        let listener = listener(dir).or_fail(Kind::Host, what)?;
        let (sender, receiver) = unbounded_channel();
        let accepting = tokio::spawn(accept(listener, sender));
        Ok((Self(accepting.abort_handle()), Orders(receiver)))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Orders {
    /// The next one; waits for ever where the door is closed.
    pub async fn next(&mut self) -> Order {
        match self.0.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }
}

impl Connection {
    /// Says that it is done.
    pub fn done(&self) {
        self.answer(&Reply::Done);
    }

    /// Says why not.
    pub fn refuse(&self, why: impl Into<String>) {
        self.answer(&Reply::Refused {
            why: why.into(),
            hint: None,
        });
    }

    /// Says why not, and what to do.
    pub fn refuse_with(&self, why: impl Into<String>, hint: impl Into<String>) {
        self.answer(&Reply::Refused {
            why: why.into(),
            hint: Some(hint.into()),
        });
    }

    /// Says that the run ends, and lets the client see by our own end that it is over.
    pub fn ends_within(self, limit: Duration) {
        self.answer(&Reply::Ends(limit));
        tokio::spawn(async move { self.next().await });
    }

    /// Says that it is too early.
    pub fn not_yet(&self) {
        self.answer(&Reply::NotYet);
    }

    /// Hands over what it asked for.
    pub fn attached(&self, terminal: bool, input: bool, descriptors: &[BorrowedFd<'_>]) {
        self.answer_with(&Reply::Attached { terminal, input }, descriptors);
    }

    fn answer(&self, reply: &impl Serialize) {
        self.answer_with(reply, &[]);
    }

    fn answer_with(&self, reply: &impl Serialize, descriptors: &[BorrowedFd<'_>]) {
        // Who has gone, or reads nothing, needs no answer.
        let _ = packet::send_now(self.socket.as_fd(), &message::write(reply), descriptors);
    }

    /// What the client says next; none when it is gone.
    pub async fn next(&self) -> Option<Packet> {
        packet::receive(&self.socket).await.ok().flatten()
    }
}

fn listener(dir: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let (socket, _dir, address) = socket(dir)?;
    // That of an owner that died.
    match std::fs::remove_file(dir.join(SOCKET)) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    bind(&socket, &address)?;
    std::fs::set_permissions(dir.join(SOCKET), Permissions::from_mode(0o600))?;
    listen(&socket, WAITING)?;
    watch_both(socket)
}

async fn accept(listener: AsyncFd<OwnedFd>, orders: UnboundedSender<Order>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
            return;
        };
        match next(&listener).await.and_then(watch_both) {
            Ok(socket) => {
                let connection = Connection {
                    socket,
                    seat: Some(seat),
                };
                tokio::spawn(hear(connection, orders.clone()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn next(listener: &AsyncFd<OwnedFd>) -> io::Result<OwnedFd> {
    loop {
        let mut ready = listener.readable().await?;
        let accepted = ready.try_io(|listener| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            Ok(accept_with(listener.get_ref(), flags)?)
        });
        if let Ok(accepted) = accepted {
            return accepted;
        }
    }
}

/// Hears what the client wants.
async fn hear(connection: Connection, orders: UnboundedSender<Order>) {
    let Ok(Some(packet)) = tokio::time::timeout(PATIENCE, connection.next()).await else {
        return;
    };
    let request = match (packet.flaw, message::read(&packet.bytes)) {
        (Some(flaw), _) => return connection.refuse(flaw),
        (None, Err(why @ Malformed::OtherVersion(_))) => {
            let version = env!("CARGO_PKG_VERSION");
            let hint = format!("use the airtight that started the run, version {version}");
            return connection
                .refuse_with(format!("the command is of another version: {why}"), hint);
        }
        (None, Err(why)) => return connection.refuse(why.to_string()),
        (None, Ok(request)) => request,
    };
    let mut connection = connection;
    if matches!(request, Request::Guard(_)) {
        // It lasts as long as what it guards, and must not keep others from being heard.
        connection.seat = None;
    }
    let order = Order {
        request,
        connection,
    };
    if let Err(late) = orders.send(order) {
        late.0.answer_late();
    }
}

impl Order {
    /// The payload has ended.
    pub fn answer_late(self) {
        match self.request {
            Request::Stop { .. } => {
                self.connection.ends_within(Duration::ZERO);
            }
            Request::Attach => self.connection.attached(false, false, &[]),
            Request::Signal(_) | Request::Guard(_) => {
                self.connection.refuse("its payload has ended");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Caller};
    use super::*;

    async fn ask(dir: &Path, request: &Request) -> Answer {
        let caller = Caller::connect(dir).unwrap();
        caller.ask(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_arrives_and_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let (_door, mut orders) = Door::open(dir.path()).unwrap();
        let request = Request::Signal(9);
        let asked = request.clone();
        let path = dir.path().to_owned();
        let answer = tokio::spawn(async move { ask(&path, &asked).await });
        let order = orders.next().await;
        assert_eq!(order.request, request);
        order.connection.refuse("no");
        let refused = Reply::Refused {
            why: "no".into(),
            hint: None,
        };
        assert!(matches!(answer.await.unwrap(), Answer::Reply(reply, _) if reply == refused));
    }

    #[tokio::test]
    async fn clients_that_say_nothing_keep_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let (_door, mut orders) = Door::open(dir.path()).unwrap();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS - 1 {
            silent.push(Caller::connect(dir.path()).unwrap());
        }
        let path = dir.path().to_owned();
        let answer = tokio::spawn(async move { ask(&path, &Request::Signal(1)).await });
        orders.next().await.connection.done();
        assert!(matches!(
            answer.await.unwrap(),
            Answer::Reply(Reply::Done, _)
        ));
    }

    #[tokio::test]
    async fn another_version_and_nonsense_are_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let (_door, _orders) = Door::open(dir.path()).unwrap();
        for (bytes, word) in [
            (&br#"{"version": 2, "says": "x"}"#[..], "version 2"),
            (b"hello", "not understood"),
            (&[b'x'; packet::MAX_LENGTH + 1], "longer"),
        ] {
            let caller = Caller::connect(dir.path()).unwrap();
            let Answer::Reply(Reply::Refused { why, .. }, _) = caller.say(bytes).await.unwrap()
            else {
                panic!("{word}")
            };
            assert!(why.contains(word), "{why}");
        }
    }

    #[tokio::test]
    async fn after_the_end_of_the_payload_a_stop_is_done_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let (_door, orders) = Door::open(dir.path()).unwrap();
        drop(orders);
        let stop = Request::Stop {
            signal: None,
            timeout: None,
        };
        let done = ask(dir.path(), &stop).await;
        assert!(matches!(done, Answer::Reply(Reply::Ends(_), _)));
        let late = ask(dir.path(), &Request::Signal(1)).await;
        assert!(matches!(late, Answer::Reply(Reply::Refused { .. }, _)));
    }

    #[test]
    fn a_directory_with_a_long_path_has_a_socket_too() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(120));
        std::fs::create_dir(&long).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (_door, _orders) = Door::open(&long).unwrap();
            assert!(Caller::connect(&long).is_ok());
        });
    }
}
