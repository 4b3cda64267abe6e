//! Reads files of an image below its root directory on the host.
//!
//! In goes the directory an image is mounted at; out come a file's bytes. An image may contain any
//! symlink, FIFO or device, so a path is resolved by the kernel as if the directory were `/`
//! (openat2(2), RESOLVE_IN_ROOT), and nothing but a regular file of bounded size is ever opened for
//! reading: opening a FIFO can hang, and opening a device can act.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{FileStat, SFlag, fstat};

use super::user::Accounts;
use crate::failure::{Failure, Kind, Result};
use crate::regular_file::{READ, Refusal, open_below, read_open};

/// The largest passwd or group file read; a hundred thousand users fit.
const MAX_ACCOUNT_BYTES: u64 = 8 << 20;

/// Reads `/etc/passwd` and `/etc/group` of the image mounted at `rootfs`.
pub fn read_accounts(rootfs: &Path) -> Result<Accounts> {
    Ok(Accounts {
        passwd: read(rootfs, Path::new("/etc/passwd"), MAX_ACCOUNT_BYTES)?,
        group: read(rootfs, Path::new("/etc/group"), MAX_ACCOUNT_BYTES)?,
    })
}

/// Reads the file that a process whose root directory is `rootfs` calls `path`; nothing if there is
/// none. More than `limit` bytes are refused.
pub fn read(rootfs: &Path, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let why = |why: Refusal| {
        Failure::new(
            Kind::Image,
            format!("cannot read the image's {}", path.display()),
        )
        .because(why)
    };
    let refusal = match open_regular(rootfs, path) {
        Ok(file) => return read_open(file, limit).map(Some).map_err(why),
        Err(refusal) => refusal,
    };
    match refusal.errno() {
        Some(Errno::ENOENT | Errno::ENOTDIR) if rootfs.is_dir() => Ok(None),
        Some(Errno::ENOSYS) => Err(why(refusal).hint("openat2 needs Linux 5.6 or newer")),
        _ => Err(why(refusal)),
    }
}

/// Looks first and opens then; the second look tells whether it is still the same file.
fn open_regular(rootfs: &Path, path: &Path) -> Result<File, Refusal> {
    let root = nix::fcntl::open(
        rootfs,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    let open = |flags| open_below(&root, path, flags, ResolveFlag::RESOLVE_IN_ROOT);
    let seen = regular(&fstat(open(OFlag::O_PATH)?)?)?;
    let opened = open(READ)?;
    if regular(&fstat(&opened)?)? != seen {
        return Err(Errno::ESTALE.into());
    }
    Ok(File::from(opened))
}

/// The identity of a regular file.
fn regular(stat: &FileStat) -> Result<(libc::dev_t, libc::ino_t), Refusal> {
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFREG {
        Ok((stat.st_dev, stat.st_ino))
    } else {
        Err(Refusal::NotRegular)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn rootfs() -> TempDir {
        let rootfs = tempfile::tempdir().unwrap();
        fs::create_dir(rootfs.path().join("etc")).unwrap();
        rootfs
    }

    fn passwd(rootfs: &TempDir) -> Result<Option<Vec<u8>>> {
        read(rootfs.path(), Path::new("/etc/passwd"), 64)
    }

    fn refusal(rootfs: &TempDir) -> String {
        passwd(rootfs).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_below_the_root_directory() {
        let rootfs = rootfs();
        fs::write(rootfs.path().join("etc/passwd"), "mine").unwrap();
        fs::write(rootfs.path().join("etc/group"), "ours").unwrap();
        let accounts = read_accounts(rootfs.path()).unwrap();
        assert_eq!(accounts.passwd.as_deref(), Some(&b"mine"[..]));
        assert_eq!(accounts.group.as_deref(), Some(&b"ours"[..]));
    }

    #[test]
    fn an_absent_file_is_no_error_but_an_absent_image_is() {
        let rootfs = rootfs();
        assert_eq!(passwd(&rootfs).unwrap(), None);
        fs::remove_dir(rootfs.path().join("etc")).unwrap();
        assert_eq!(passwd(&rootfs).unwrap(), None);
        fs::write(rootfs.path().join("etc"), "a file").unwrap();
        assert_eq!(passwd(&rootfs).unwrap(), None);
        assert!(read_accounts(&rootfs.path().join("absent")).is_err());
    }

    #[test]
    fn symlinks_stay_inside_the_image() {
        for target in ["/real", "../../../../real", "/etc/../../real"] {
            let rootfs = rootfs();
            fs::write(rootfs.path().join("real"), "inside").unwrap();
            symlink(target, rootfs.path().join("etc/passwd")).unwrap();
            assert_eq!(passwd(&rootfs).unwrap().unwrap(), b"inside", "{target}");
        }
        let rootfs = rootfs();
        symlink("/etc/hostname", rootfs.path().join("etc/passwd")).unwrap();
        assert_eq!(passwd(&rootfs).unwrap(), None, "dangling inside the image");
    }

    #[test]
    fn a_symlinked_directory_stays_inside_the_image() {
        let rootfs = rootfs();
        fs::remove_dir(rootfs.path().join("etc")).unwrap();
        symlink("/etc", rootfs.path().join("etc")).unwrap();
        assert!(refusal(&rootfs).contains("symbolic links"));
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_without_waiting() {
        let fifo = rootfs();
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&fifo.path().join("etc/passwd"), mode).unwrap();
        assert!(refusal(&fifo).ends_with("not a regular file"));

        let directory = rootfs();
        fs::create_dir(directory.path().join("etc/passwd")).unwrap();
        assert!(refusal(&directory).ends_with("not a regular file"));

        let socket = rootfs();
        let path = socket.path().join("etc/passwd");
        let _listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        assert!(refusal(&socket).ends_with("not a regular file"));

        let message = read(Path::new("/dev"), Path::new("zero"), 64).unwrap_err();
        assert!(message.to_string().ends_with("not a regular file"));
    }

    #[test]
    fn a_file_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
        let rootfs = rootfs();
        let path = rootfs.path().join("etc/passwd");
        fs::write(&path, [b'x'; 64]).unwrap();
        assert_eq!(passwd(&rootfs).unwrap().unwrap().len(), 64);
        fs::write(&path, [b'x'; 65]).unwrap();
        assert!(refusal(&rootfs).ends_with("larger than 64 bytes"));
    }
}
