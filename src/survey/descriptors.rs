//! What our own open descriptors are, for those that are to be handed over.

use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::sys::stat::{major, minor};

use crate::leash::inherited;

/// What kind of file a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// A pipe, a socket, `/dev/null` and the like: handed over as it is.
    Passable,
    /// A regular file: handed over only on request, for its reader could reopen it for writing.
    File,
    /// A terminal: never handed over, for its reader could type into it.
    Terminal,
    /// Never handed over.
    Refused(&'static str),
}

/// What descriptor `fd` is that this process was started with.
pub(super) fn kind(fd: i32) -> Option<Descriptor> {
    if !inherited::is_inherited(fd) {
        return None;
    }
    let metadata = fs::metadata(format!("/proc/self/fd/{fd}")).ok()?;
    let kind = metadata.file_type();
    let device = (major(metadata.rdev()), minor(metadata.rdev()));
    Some(if kind.is_file() {
        Descriptor::File
    } else if kind.is_dir() {
        Descriptor::Refused("it is a directory")
    } else if kind.is_block_device() {
        Descriptor::Refused("it is a block device")
    } else if is_terminal(fd, device) {
        Descriptor::Terminal
    } else if kind.is_char_device() && !MEMORY_DEVICES.contains(&device) {
        Descriptor::Refused("it is a device")
    } else {
        Descriptor::Passable
    })
}

/// null, zero, full, random and urandom (kernel, admin-guide/devices).
const MEMORY_DEVICES: [(u64, u64); 5] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)];

fn is_terminal(fd: i32, (major, _): (u64, u64)) -> bool {
    match fd {
        0 => std::io::stdin().is_terminal(),
        1 => std::io::stdout().is_terminal(),
        2 => std::io::stderr().is_terminal(),
        // Virtual consoles, /dev/tty and the console, pseudo-terminals (kernel, admin-guide/devices).
        _ => matches!(major, 4 | 5 | 136..=143),
    }
}
