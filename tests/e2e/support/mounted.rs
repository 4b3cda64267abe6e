//! File systems that a test mounts.

use std::fs;
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A tmpfs, unmounted however the test ends.
pub struct Mounted(pub PathBuf);

impl Mounted {
    /// With its own `options` (tmpfs(5)), in a new directory at `path`.
    pub fn at(path: PathBuf, flags: MsFlags, options: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        mount(Some("test"), &path, Some("tmpfs"), flags, Some(options)).unwrap();
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
