//! Files that somebody else may have put where they are: regular ones only, bounded, never waiting.
//!
//! In: a path, or a directory and a path below it. Out: bytes, or a [`Refusal`] that leaves it to the
//! caller to name the file. It must never wait for a FIFO, or fill the memory from an endless file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// The kernel answers EAGAIN while somebody renames directories on the way (openat2(2)).
const MAX_ATTEMPTS: usize = 16;

/// For reading, without waiting for the writer of a FIFO, and without getting a terminal of our own.
pub const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY);

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The kernel says no.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A directory, a FIFO, a socket or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// Larger than the caller wants it.
    #[error("it is larger than {0}")]
    TooLarge(Size),
}

impl Refusal {
    /// The kernel's answer, where it is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System(why) => why.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }
}

impl From<Errno> for Refusal {
    fn from(why: Errno) -> Self {
        Self::System(why.into())
    }
}

/// A number of bytes, in the largest unit of which it is a multiple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 20) == 0 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// The bytes of the file at `path`, wherever links lead.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Refusal> {
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(READ.bits())
        .open(path);
    read_open(open?, limit)
}

/// The bytes of an open file, if it is a regular one.
pub fn read_open(file: File, limit: u64) -> Result<Vec<u8>, Refusal> {
    if !file.metadata()?.is_file() {
        return Err(Refusal::NotRegular);
    }
    read_stream(file, limit)
}

/// The bytes that come until the end, whatever they come from: it may wait.
pub fn read_stream(stream: impl Read, limit: u64) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    stream
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(Refusal::TooLarge(Size(limit))),
        false => Ok(bytes),
    }
}

/// Opens `path` below `directory`, with the kernel seeing to it that no link leads elsewhere.
pub fn open_below(
    directory: impl AsFd,
    path: &Path,
    flags: OFlag,
    resolve: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(resolve | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut result = openat2(&directory, path, how);
    for _ in 1..MAX_ATTEMPTS {
        if !matches!(result, Err(Errno::EAGAIN | Errno::EINTR)) {
            break;
        }
        result = openat2(&directory, path, how);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [fifo.as_path(), dir.path(), Path::new("/dev/zero")] {
            assert!(matches!(read(path, 64), Err(Refusal::NotRegular)));
        }
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_above_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [b'x'; 64]).unwrap();
        assert_eq!(read(&path, 64).unwrap().len(), 64);
        let why = read(&path, 63).unwrap_err().to_string();
        assert_eq!(why, "it is larger than 63 bytes");
    }

    #[test]
    fn a_size_is_written_in_its_own_unit() {
        let text = |bytes| Size(bytes).to_string();
        assert_eq!(
            [text(1 << 20), text(256 << 10), text(1000)],
            ["1 MiB", "256 KiB", "1000 bytes"]
        );
    }
}
