//! The process at the other end of the leash: init.
//!
//! In: the connected socket. Out: its peer, to be killed and waited for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use tokio::io::unix::AsyncFd;

use super::pidfd;
use super::watch::watch;

/// The process at the other end of a socket.
#[derive(Debug)]
pub struct Peer {
    pid: i32,
    handle: AsyncFd<OwnedFd>,
}

impl Peer {
    /// The process that connected `socket`, which has to hold it still.
    pub fn of(socket: &OwnedFd) -> io::Result<Self> {
        let pid = getsockopt(socket, sockopt::PeerCredentials)?.pid();
        let handle = getsockopt(socket, sockopt::PeerPidfd).or_else(|_| open(pid, socket))?;
        let handle = watch(handle)?;
        Ok(Self { pid, handle })
    }

    /// Its pid in our pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// SIGKILL; a process that is gone already is a success.
    pub fn kill(&self) -> io::Result<()> {
        pidfd::signal(self.handle.get_ref(), libc::SIGKILL)
    }

    /// Waits until it is gone: for the PID 1 of a pid namespace that is when the kernel has torn
    /// down the namespace (pid_namespaces(7)).
    pub async fn gone(&self) -> io::Result<()> {
        self.handle.readable().await.map(|_| ())
    }
}

/// The handle by pid, for kernels before 6.5, which know no SO_PEERPIDFD. A peer that still holds the
/// socket afterwards has not been replaced before.
fn open(pid: i32, socket: &OwnedFd) -> io::Result<OwnedFd> {
    let handle = pidfd::open(pid)?;
    let mut hung_up = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    match poll(&mut hung_up, PollTimeout::ZERO)? {
        0 => Ok(handle),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC;
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap()
    }

    fn own_pid() -> i32 {
        std::process::id().try_into().unwrap()
    }

    #[test]
    fn a_process_that_holds_its_end_is_opened_by_pid() {
        let (ours, _theirs) = pair();
        assert!(open(own_pid(), &ours).is_ok());
    }

    #[test]
    fn a_pid_is_not_trusted_once_the_peer_hung_up() {
        let (ours, theirs) = pair();
        drop(theirs);
        let error = open(own_pid(), &ours).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
