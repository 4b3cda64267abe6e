//! Waiting for init: a socket in the directory that is mounted into the container.
//!
//! In: the path of the socket. Out: the leash to the first process that connects and greets.
//! There is never a second one: with the first, the socket and the program beside it go.

use std::fs::{Permissions, remove_file, set_permissions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, listen, socket,
};
use tokio::io::unix::AsyncFd;

use super::owner::Leash;
use super::program;
use super::watch::watch;
use crate::failure::{Context, Failure, Kind, Result};

/// A socket that init is going to connect to; dropped, it is removed.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<OwnedFd>,
    place: Place,
}

/// What stands in the directory until init has connected.
#[derive(Debug)]
struct Place {
    socket: PathBuf,
}

impl Drop for Place {
    /// Failures do not matter: the directory goes with the container's record.
    fn drop(&mut self) {
        let _ = remove_file(&self.socket);
        let _ = remove_file(self.socket.with_file_name(program::NAME));
    }
}

impl Listener {
    /// Listens at `path`, in a directory nobody else may enter: init may run as any uid, so the
    /// socket itself is open to all.
    pub fn bind(path: &Path) -> Result<Self> {
        let what = || format!("cannot listen at {}", path.display());
        let address = UnixAddr::new(path).map_err(|why| too_long(path, why))?;
        let socket = socket(
            AddressFamily::Unix,
            SockType::SeqPacket,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )
        .or_fail(Kind::Host, what)?;
        bind(socket.as_raw_fd(), &address).or_fail(Kind::Host, what)?;
        let place = Place {
            socket: path.to_owned(),
        };
        set_permissions(path, Permissions::from_mode(0o666)).or_fail(Kind::Host, what)?;
        // Only one process ever connects.
        Backlog::new(1)
            .and_then(|backlog| listen(&socket, backlog))
            .or_fail(Kind::Host, what)?;
        let socket = watch(socket).or_fail(Kind::Host, what)?;
        Ok(Self { socket, place })
    }

    /// Waits for init to connect and greet, and removes the socket and the program.
    pub async fn accept(self) -> Result<Leash> {
        let Self { socket, place } = self;
        let what = || format!("cannot accept init at {}", place.socket.display());
        let connected = loop {
            let mut ready = socket.readable().await.or_fail(Kind::Host, what)?;
            match ready.try_io(|socket| accept_once(socket.get_ref())) {
                Ok(Err(why)) if why.kind() == io::ErrorKind::ConnectionAborted => {}
                Ok(connected) => break connected.or_fail(Kind::Host, what)?,
                Err(_would_block) => {}
            }
        };
        drop(socket);
        drop(place);
        Leash::greet(connected).await
    }
}

fn accept_once(listener: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let number = accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: accept4 made the descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A socket's path has at most 107 bytes (unix(7)).
fn too_long(path: &Path, why: Errno) -> Failure {
    Failure::host(format!("cannot listen at {}", path.display()))
        .because(why)
        .hint("a socket's path has at most 107 bytes: choose a shorter state directory or name")
}

#[cfg(test)]
mod tests {
    use super::super::codec::Packet;
    use super::super::owner::Event;
    use super::super::packet;
    use super::super::protocol::{FromInit, Hello, SignalNumber, VERSION};
    use super::*;
    use nix::sys::socket::connect;
    use std::os::fd::AsFd;

    /// Connects as init does.
    fn peer(path: &Path) -> OwnedFd {
        let flags = SockFlag::SOCK_CLOEXEC;
        let peer = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        connect(peer.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        peer
    }

    fn hello(version: u16) -> Packet {
        FromInit::Hello(Hello { version, pid: 1 }).encode()
    }

    #[tokio::test]
    async fn the_first_to_connect_is_accepted_and_the_door_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leash");
        program::write_into(directory.path()).unwrap();
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);

        let peer = peer(&path);
        packet::send(peer.as_fd(), hello(VERSION).as_bytes(), &[]).unwrap();
        let leash = listener.accept().await.unwrap();
        assert_eq!(leash.pid(), i32::try_from(std::process::id()).unwrap());
        assert_eq!(leash.pid_inside(), 1);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_listener_given_up_leaves_no_socket() {
        let directory = tempfile::tempdir().unwrap();
        drop(Listener::bind(&directory.path().join("leash")).unwrap());
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_init_of_another_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leash");
        let listener = Listener::bind(&path).unwrap();
        let peer = peer(&path);
        packet::send(peer.as_fd(), hello(VERSION + 1).as_bytes(), &[]).unwrap();
        let failure = listener.accept().await.unwrap_err().to_string();
        assert!(failure.contains("version"), "{failure}");
    }

    #[tokio::test]
    async fn an_init_that_dies_before_it_greets_is_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leash");
        let listener = Listener::bind(&path).unwrap();
        drop(peer(&path));
        assert!(listener.accept().await.is_err());
    }

    #[tokio::test]
    async fn the_exit_is_heard_of_an_init_that_left_without_reading_the_last_signal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leash");
        let listener = Listener::bind(&path).unwrap();
        let peer = peer(&path);
        packet::send(peer.as_fd(), hello(VERSION).as_bytes(), &[]).unwrap();
        let mut leash = listener.accept().await.unwrap();

        leash.signal(SignalNumber::TERM).unwrap();
        let started = FromInit::Started(7).encode();
        packet::send(peer.as_fd(), started.as_bytes(), &[]).unwrap();
        drop(peer);
        let event = leash.next().await.unwrap();
        assert!(matches!(event, Some(Event::Started { pid: 7 })));
        assert!(leash.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_a_failure_with_a_hint() {
        let path = PathBuf::from("/tmp").join("x".repeat(120));
        let failure = Listener::bind(&path).unwrap_err();
        assert_eq!(failure.hints().len(), 1);
    }
}
