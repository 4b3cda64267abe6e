//! One packet through a SOCK_SEQPACKET socket, with descriptors beside it (unix(7), SCM_RIGHTS).
//!
//! In: bytes and descriptors to send, or a socket to receive from. Out: what arrived. Shared by
//! owner and init. Received descriptors are owned and close-on-exec from the first moment; a
//! packet that arrives incomplete, in bytes or in descriptors, is an error and never a message.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::protocol::{MAX_DESCRIPTORS, MAX_PACKET};

const DESCRIPTOR_SIZE: usize = mem::size_of::<RawFd>();

// SAFETY: CMSG_SPACE is arithmetic.
const CONTROL_SIZE: usize =
    unsafe { libc::CMSG_SPACE((MAX_DESCRIPTORS * DESCRIPTOR_SIZE) as libc::c_uint) as usize };

/// Room for the control message, aligned for its header (cmsg(3)).
#[repr(C)]
union Control {
    bytes: [u8; CONTROL_SIZE],
    _align: libc::cmsghdr,
}

/// What arrived.
pub struct Received {
    bytes: [u8; MAX_PACKET],
    length: usize,
    descriptors: Descriptors,
}

/// Received descriptors, in the order they were sent; closed on drop.
pub struct Descriptors {
    slots: [Option<OwnedFd>; MAX_DESCRIPTORS],
    count: usize,
}

impl Received {
    /// The message, undecoded; empty means that the peer closed the leash.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The descriptors beside it.
    pub fn into_descriptors(self) -> Descriptors {
        self.descriptors
    }
}

impl Descriptors {
    fn none() -> Self {
        Self {
            slots: [const { None }; MAX_DESCRIPTORS],
            count: 0,
        }
    }

    fn push(&mut self, descriptor: OwnedFd) {
        if let Some(slot) = self.slots.get_mut(self.count) {
            *slot = Some(descriptor);
            self.count += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &OwnedFd> {
        self.slots.iter().flatten()
    }

    /// The first; the others are closed.
    pub fn into_first(self) -> Option<OwnedFd> {
        self.slots.into_iter().flatten().next()
    }
}

/// Sends one packet; a broken leash is EPIPE, never SIGPIPE.
pub fn send(
    socket: BorrowedFd<'_>,
    packet: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut control = Control {
        bytes: [0; CONTROL_SIZE],
    };
    let mut part = libc::iovec {
        iov_base: packet.as_ptr().cast_mut().cast(),
        iov_len: packet.len(),
    };
    let mut header = header(&mut part, &mut control);
    if descriptors.is_empty() {
        header.msg_control = ptr::null_mut();
        header.msg_controllen = 0;
    } else {
        let length = (descriptors.len() * DESCRIPTOR_SIZE) as libc::c_uint;
        // SAFETY: at most MAX_DESCRIPTORS, so header and data lie within `control`, which is
        // aligned; a BorrowedFd has the representation of a RawFd.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(length) as _;
            let message = libc::CMSG_FIRSTHDR(&header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(length) as _;
            let data = libc::CMSG_DATA(message);
            ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), data, length as usize);
        }
    }
    // SAFETY: `header` points to `part`, `packet` and `control`, which outlive the call.
    retry(|| unsafe { libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_NOSIGNAL) })?;
    Ok(())
}

/// Receives one packet, waiting for it unless the socket is non-blocking.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Received> {
    let mut bytes = [0; MAX_PACKET];
    let mut control = Control {
        bytes: [0; CONTROL_SIZE],
    };
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut header = header(&mut part, &mut control);
    // SAFETY: `header` points to `part`, `bytes` and `control`, which outlive the call.
    let length = retry(|| unsafe {
        libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC)
    })?;
    let descriptors = take_descriptors(&header);
    if header.msg_flags & libc::MSG_CTRUNC != 0 {
        // The only cause with room for all of them: our table is full (unix(7), BUGS).
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    Ok(Received {
        bytes,
        length,
        descriptors,
    })
}

fn header(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: a msghdr of zeros is valid: no address, no parts, no control.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header.msg_control = ptr::from_mut(control).cast();
    header.msg_controllen = CONTROL_SIZE as _;
    header
}

fn take_descriptors(header: &libc::msghdr) -> Descriptors {
    let mut descriptors = Descriptors::none();
    // SAFETY: recvmsg filled `header`, so the macros walk the control messages within its buffer;
    // each number in SCM_RIGHTS is a new descriptor that nobody else owns.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let rights = ((*message).cmsg_level, (*message).cmsg_type);
            if rights == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let length = ((*message).cmsg_len as usize)
                    .saturating_sub(libc::CMSG_LEN(0) as usize)
                    / DESCRIPTOR_SIZE;
                let data = libc::CMSG_DATA(message).cast::<RawFd>();
                for index in 0..length {
                    // Never negative; said here, so that OwnedFd need not check and panic.
                    if let number @ 0.. = ptr::read_unaligned(data.add(index)) {
                        descriptors.push(OwnedFd::from_raw_fd(number));
                    }
                }
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    descriptors
}

fn retry(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(length) => return Ok(length),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}
