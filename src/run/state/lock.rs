//! The locks of the state directory and of the directories in it.
//!
//! The kernel releases one when its holder dies, and nothing else ever says that an owner lives.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{Found, LOCK, RunDir};
use crate::failure::{Context, Kind, Result};

/// Whether somebody holds the lock in `dir`. The question keeps nobody else from it but an owner that is
/// just being born, whose record is not there yet.
pub fn is_locked(dir: &Path) -> bool {
    let lock =
        File::open(dir.join(LOCK)).map(|file| Flock::lock(file, FlockArg::LockSharedNonblock));
    matches!(lock, Ok(Err((_, Errno::EWOULDBLOCK))))
}

pub fn lock_root(root: &Path) -> Result<Flock<File>> {
    open_lock(root)
        .and_then(|file| lock(file, FlockArg::LockExclusive))
        .or_fail(Kind::Host, || {
            format!("cannot lock the state directory {}", root.display())
        })
}

pub fn open_present_lock(dir: &Path) -> std::io::Result<File> {
    File::options().write(true).open(dir.join(LOCK))
}

pub fn open_lock(dir: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join(LOCK))
}

pub fn lock(file: File, how: FlockArg) -> std::io::Result<Flock<File>> {
    Flock::lock(file, how).map_err(|(_, errno)| errno.into())
}

pub fn try_lock(path: &Path, opened: std::io::Result<File>) -> std::io::Result<Found> {
    match opened {
        Ok(file) => match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            // Between the opening and the locking the owner may have removed it, and a new owner may
            // have made another of the same name: that one is not dead.
            Ok(lock) if !is_at(&lock, &path.join(LOCK)) => Ok(Found::Absent),
            Ok(lock) => Ok(Found::Dead(RunDir {
                path: path.to_owned(),
                lock,
            })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(Found::Held),
            Err((_, errno)) => Err(errno.into()),
        },
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(Found::Absent),
        Err(why) => Err(why),
    }
}

/// Whether `file` is what `path` still names.
pub fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(named)) => identity(ours) == identity(named),
        _ => false,
    }
}
