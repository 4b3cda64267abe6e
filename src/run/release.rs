//! Taking away what was mounted in a run directory without touching what is mounted.
//!
//! In: the directory with the mounts. Out: it is gone, or an error and nothing lost. What is mounted
//! there is other people's data, so nothing here is ever removed recursively.

use std::fs;
use std::io::{ErrorKind, Result};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Unmounts everything in `dir` and removes what it was mounted on; without `dir`, nothing is to do.
pub fn release(dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // On a link nothing is mounted but where it leads.
        if !entry.file_type()?.is_symlink() {
            unmount(&entry.path())?;
        }
        // Both fail on what is still mounted here. What is mounted there in another namespace alone goes
        // with it (umount(2), mount_namespaces(7)).
        if entry.file_type()?.is_dir() {
            fs::remove_dir(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    // Whoever is still about to mount something finds no place for it from now on.
    fs::remove_dir(dir)
}

/// The payload has a mount of its own, and what is mounted may be in use. Where the host's mounts are
/// shared, as systemd has them, ours is a peer of theirs, and what is unmounted below it would be
/// unmounted below theirs as well (mount_namespaces(7)): so it stops being one first.
fn unmount(at: &Path) -> Result<()> {
    let none = None::<&str>;
    loop {
        match mount(none, at, none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none) {
            Ok(()) => {}
            // Nothing is mounted there.
            Err(Errno::EINVAL) => return Ok(()),
            Err(why) => return Err(why.into()),
        }
        match umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // There may be another below it.
            Ok(()) => {}
            // Nothing is mounted there.
            Err(Errno::EINVAL) => return Ok(()),
            Err(why) => return Err(why.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mounted_is_never_removed_with_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = dir.path().join("mounts");
        release(&mounts).unwrap();
        fs::create_dir_all(mounts.join("0")).unwrap();
        fs::write(mounts.join("0/file"), "").unwrap();
        release(&mounts).unwrap_err();
        assert!(mounts.join("0/file").exists());
        fs::remove_file(mounts.join("0/file")).unwrap();
        fs::write(mounts.join("1"), "").unwrap();
        release(&mounts).unwrap();
        assert!(!mounts.exists());
    }
}
