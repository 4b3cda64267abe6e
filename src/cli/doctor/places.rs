//! The directories that airtight writes to: can they be made and written, and does a reboot empty the
//! one it should? Only asked, never tried.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, access};

use super::finding::Finding;

/// Where living runs are recorded.
pub fn state(directory: &Path) -> Finding {
    const CHECK: &str = "state directory";
    let finding = writable(CHECK, directory, "--state-dir");
    match finding {
        Ok(existing) if statfs(existing).is_ok_and(|fs| fs.filesystem_type() != TMPFS_MAGIC) => {
            Finding::warn(CHECK, format!("{} outlives a reboot", directory.display()))
                .advice("put it on a tmpfs such as /run: records of before a reboot are of no use")
        }
        Ok(_) => Finding::ok(CHECK, directory.display().to_string()),
        Err(finding) => finding,
    }
}

/// Where anonymous volumes are kept.
pub fn data(directory: &Path) -> Finding {
    const CHECK: &str = "data directory";
    match writable(CHECK, directory, "--data-dir") {
        Ok(_) => Finding::ok(CHECK, directory.display().to_string()),
        Err(finding) => finding,
    }
}

/// The directory, or the nearest one above it that exists, if it can be written to.
fn writable<'a>(check: &'static str, directory: &'a Path, flag: &str) -> Result<&'a Path, Finding> {
    let existing = directory.ancestors().find(|above| above.exists());
    let outcome = match existing {
        Some(existing) if !existing.is_dir() => Err(Errno::ENOTDIR),
        Some(existing) => {
            access(existing, AccessFlags::W_OK | AccessFlags::X_OK).map(|()| existing)
        }
        None => Err(Errno::ENOENT),
    };
    outcome.map_err(|why| {
        Finding::missing(check, format!("{}: {}", directory.display(), why.desc()))
            .advice(format!("make it writable, or choose another with {flag}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_directory_that_can_be_made_is_ok() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(data(&place.path().join("a/b")).state(), State::Ok);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_missing() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(data(&file.join("below")).state(), State::Missing);
    }

    #[test]
    fn a_state_directory_that_outlives_a_reboot_is_warned_of() {
        assert_eq!(state(Path::new("/sys/airtight-state")).state(), State::Warn);
        assert_eq!(state(Path::new("/dev/shm/airtight")).state(), State::Ok);
    }
}
