//! Init's end of the leash.

use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use crate::packet::{self, Descriptors};
use crate::protocol::{FromInit, FromOwner, Hello, VERSION};
use crate::sys::{self, Errno, check, check_descriptor};

/// The name of the socket beside us.
const NAME: &[u8] = b"leash";

/// The connection to the owner.
pub struct Leash(OwnedFd);

impl Leash {
    /// Connects to the socket in the directory of `own_path`: `/.airtight/leash` in a container.
    ///
    /// Whoever may choose the path we are started by may start anything else as well, so the
    /// payload gains nothing by it.
    pub fn connect(own_path: &CStr) -> Result<Self, Errno> {
        let address = address(own_path).ok_or(Errno(libc::ENAMETOOLONG))?;
        // SAFETY: socket(2) takes numbers and makes a new descriptor; connect(2) reads an address
        // of the size given.
        unsafe {
            let flags = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
            let socket = check_descriptor(libc::socket(libc::AF_UNIX, flags, 0))?;
            let size = mem::size_of_val(&address) as libc::socklen_t;
            let address = ptr::from_ref(&address).cast();
            check(libc::connect(socket.as_raw_fd(), address, size))?;
            Ok(Self(socket))
        }
    }

    /// Tells who we are.
    pub fn greet(&self) -> Result<(), Errno> {
        self.tell(FromInit::Hello(Hello {
            version: VERSION,
            pid: sys::own_pid(),
        }))
    }

    /// Tells the owner something.
    pub fn tell(&self, message: FromInit) -> Result<(), Errno> {
        self.send(message, &[])
    }

    /// Gives the owner the master side of the terminal.
    pub fn give_terminal(&self, master: OwnedFd) -> Result<(), Errno> {
        self.send(FromInit::Terminal, &[master.as_fd()])
    }

    /// The next message, once there is one.
    pub fn receive(&self) -> Result<(FromOwner, Descriptors), Errno> {
        let received = packet::receive(self.0.as_fd())?;
        let message = FromOwner::decode(received.bytes()).map_err(|_| Errno(libc::EBADMSG))?;
        Ok((message, received.into_descriptors()))
    }

    fn send(&self, message: FromInit, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let packet = message.encode();
        packet::send(self.0.as_fd(), packet.as_bytes(), descriptors)?;
        Ok(())
    }
}

impl AsFd for Leash {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn address(own_path: &CStr) -> Option<libc::sockaddr_un> {
    let own_path = own_path.to_bytes();
    let end = own_path.iter().rposition(|&byte| byte == b'/')?;
    let directory = own_path.get(..=end)?;
    // SAFETY: a sockaddr_un of zeros is valid: its path is empty.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if directory.len() + NAME.len() >= address.sun_path.len() {
        return None;
    }
    let path = directory.iter().chain(NAME);
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = from.cast_signed() as libc::c_char;
    }
    Some(address)
}
