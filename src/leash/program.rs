//! The init program, embedded, and the directory it is started from.
//!
//! In: a directory of the owner's. Out: the program in it, executable by any uid.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{Context, Kind, Result};

/// The init program: one static executable.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/airtight-init"));

/// Its name in the directory.
pub const NAME: &str = "init";

/// Writes the program into `directory` and returns its path. An existing file is never replaced.
///
/// No process may be forked by another thread meanwhile: it would hold the file open for writing
/// until its own exec, and the kernel executes no such file (execve(2), ETXTBSY).
pub fn write_into(directory: &Path) -> Result<PathBuf> {
    let path = directory.join(NAME);
    let what = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(&path)
        .or_fail(Kind::Host, what)?;
    file.write_all(PROGRAM).or_fail(Kind::Host, what)?;
    // Whatever the umask: init may run as any uid.
    file.set_permissions(Permissions::from_mode(0o755))
        .or_fail(Kind::Host, what)?;
    drop(file);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_executable_by_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let path = write_into(directory.path()).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert_eq!(std::fs::read(&path).unwrap(), PROGRAM);
    }

    #[test]
    fn a_file_in_its_place_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(NAME), "other").unwrap();
        assert!(write_into(directory.path()).is_err());
    }

    #[test]
    fn the_program_is_static() {
        // ELF program headers: PT_INTERP (3) would name a dynamic loader (elf(5)).
        let at = |offset: usize, length: usize| {
            let mut bytes = [0u8; 8];
            bytes[..length].copy_from_slice(&PROGRAM[offset..offset + length]);
            usize::from_le_bytes(bytes)
        };
        let (table, size, count) = (at(32, 8), at(54, 2), at(56, 2));
        assert!(count > 0);
        assert!((0..count).all(|index| at(table + index * size, 4) != 3));
    }
}
