//! One JSON object in one packet of a SOCK_SEQPACKET socket, with descriptors beside it.
//!
//! In: a socket, or what is to be sent. Out: what arrived. The other side may be hostile: a packet that is too
//! long, has too many descriptors or none where some are needed is refused, and everything that came with it is
//! closed. It never waits but in `receive`, and never changes a socket's flags, which others share.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use tokio::io::unix::AsyncFd;

/// The longest packet. A socket's buffer takes 208 KiB where nobody changed `net.core.wmem_default`.
pub const MAX_LENGTH: usize = 128 << 10;

/// The most descriptors in one packet (the kernel's SCM_MAX_FD, unix(7)).
const MAX_DESCRIPTORS: usize = 253;

/// What arrived.
#[derive(Debug)]
pub struct Packet {
    /// The JSON object, not yet read.
    pub bytes: Vec<u8>,
    /// In the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
    /// Why it is no packet, although something arrived.
    pub flaw: Option<&'static str>,
}

/// The next packet; none at the end, which an empty packet is as well.
pub async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<Option<Packet>> {
    loop {
        let mut ready = socket.readable().await?;
        match ready.try_io(|socket| receive_now(socket.as_fd())) {
            Ok(received) => return received,
            Err(_would_block) => {}
        }
    }
}

/// The same for what is there already; `WouldBlock` where nothing is.
pub fn receive_now(socket: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0; MAX_LENGTH];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = loop {
        match recvmsg(socket, &mut parts, &mut beside, flags) {
            Err(rustix::io::Errno::INTR) => {}
            // The other side is gone with packets of ours unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 && descriptors.is_empty() {
        return Ok(None);
    }
    bytes.truncate(received.bytes);
    let flaw = if received.flags.contains(ReturnFlags::TRUNC) {
        Some("it is longer than 128 KiB")
    } else if received.flags.contains(ReturnFlags::CTRUNC) {
        Some("not all of its descriptors could be taken: too many files are open")
    } else {
        None
    };
    Ok(Some(Packet {
        bytes,
        descriptors,
        flaw,
    }))
}

/// Sends a packet as soon as there is room for it; `socket` has to be watched for both.
pub async fn send(
    socket: &AsyncFd<OwnedFd>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    loop {
        let mut ready = socket.writable().await?;
        match ready.try_io(|socket| send_now(socket.as_fd(), bytes, descriptors)) {
            Ok(sent) => return sent,
            Err(_would_block) => {}
        }
    }
}

/// Sends a packet now; `WouldBlock` where there is no room for it, and then nothing of it was sent.
pub fn send_now(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, flags) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Two connected sockets.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_arrives_as_it_was_sent_with_its_descriptors() {
        let (a, b) = pair().unwrap();
        let (c, d) = pair().unwrap();
        send_now(a.as_fd(), b"{}", &[c.as_fd(), d.as_fd()]).unwrap();
        let packet = receive_now(b.as_fd()).unwrap().unwrap();
        assert_eq!((packet.bytes.as_slice(), packet.flaw), (&b"{}"[..], None));
        let [first, second] = packet.descriptors.try_into().unwrap();
        drop((c, d));
        send_now(first.as_fd(), b"x", &[]).unwrap();
        let through = receive_now(second.as_fd()).unwrap().unwrap();
        assert_eq!(through.bytes, b"x");
    }

    #[test]
    fn nothing_yet_is_no_end() {
        let (a, b) = pair().unwrap();
        let nothing = receive_now(b.as_fd()).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive_now(b.as_fd()).unwrap().is_none());
    }

    #[test]
    fn a_packet_that_is_too_long_has_a_flaw_and_keeps_its_descriptors() {
        let (a, b) = pair().unwrap();
        let (c, _d) = pair().unwrap();
        send_now(a.as_fd(), &vec![b'x'; MAX_LENGTH + 1], &[c.as_fd()]).unwrap();
        let packet = receive_now(b.as_fd()).unwrap().unwrap();
        assert!(packet.flaw.is_some());
        assert_eq!(packet.descriptors.len(), 1);
    }

    #[test]
    fn a_full_socket_takes_nothing_and_says_so() {
        let (a, _b) = pair().unwrap();
        let packet = vec![b'x'; MAX_LENGTH];
        let full = (0..64).find_map(|_| send_now(a.as_fd(), &packet, &[]).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
