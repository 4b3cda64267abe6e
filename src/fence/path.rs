//! Opening and making host paths that others may change at any moment.
//!
//! In: a path. Out: what it leads to, held open, and where the kernel says that this is. A link of
//! `/proc`, which can lead into another mount namespace, is never followed; what does not exist is made
//! one name at a time, below what is held open, and never through a symbolic link.

use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};

/// What is below a directory is opened so: only itself, whatever it has become.
const ONE_NAME: ResolveFlag = ResolveFlag::RESOLVE_BENEATH
    .union(ResolveFlag::RESOLVE_NO_SYMLINKS)
    .union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

/// A file or directory of the host, held open without a right to its content (`O_PATH`).
#[derive(Debug)]
pub struct Held {
    file: OwnedFd,
    real: PathBuf,
}

/// Where a path leads.
#[derive(Debug)]
pub enum Way {
    /// To something.
    There(Held),
    /// To nothing yet: what there is of it, and the names that are missing below.
    Missing(Held, Vec<OsString>),
}

/// Why a path cannot be followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// As docker says it of `--mount`.
    #[error("it does not exist")]
    Missing,
    /// Its target could be made later, anywhere.
    #[error("it leads through a symbolic link to nothing")]
    Dangling,
    /// A file stands in its way.
    #[error("a part of it is not a directory")]
    NotADirectory,
    /// Links in a circle, links that appeared just now, or those of `/proc`.
    #[error("it leads through symbolic links that are not followed here")]
    Links,
    /// `/missing/../x`: nobody knows what it will be.
    #[error("it goes up again from what does not exist")]
    Up,
    /// openat2(2) came with Linux 5.6.
    #[error("this kernel cannot follow it safely: that takes Linux 5.6 or newer")]
    Kernel,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] std::io::Error),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT => Self::Missing,
            Errno::ENOTDIR => Self::NotADirectory,
            Errno::ELOOP | Errno::EXDEV => Self::Links,
            Errno::ENOSYS => Self::Kernel,
            other => Self::Other(other.into()),
        }
    }
}

impl Held {
    /// Follows `path` as mount(2) would, but for links of `/proc`.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let how = how(OFlag::empty(), ResolveFlag::RESOLVE_NO_MAGICLINKS);
        Self::of(openat2(AT_FDCWD, path, how)?)
    }

    /// Where the kernel says that it is, without any link.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Which file it is, whatever its names.
    pub fn identity(&self) -> Result<(u64, u64), Trouble> {
        let found = fstat(&self.file)?;
        Ok((found.st_dev, found.st_ino))
    }

    /// Whether it can have something below it.
    pub fn is_directory(&self) -> Result<bool, Trouble> {
        Ok(has_type(&fstat(&self.file)?, SFlag::S_IFDIR))
    }

    /// Makes the directories `names` below it, each in the one before, and holds the last. What somebody
    /// else makes meanwhile is taken, as long as it is a directory.
    pub fn make(self, names: &[OsString]) -> Result<Self, Trouble> {
        let mut file = self.file;
        for name in names {
            match mkdirat(&file, name.as_os_str(), Mode::from_bits_truncate(0o777)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(why) => return Err(why.into()),
            }
            file = openat2(&file, name.as_os_str(), how(OFlag::O_DIRECTORY, ONE_NAME))?;
        }
        Self::of(file)
    }

    fn of(file: OwnedFd) -> Result<Self, Trouble> {
        let real = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        Ok(Self { file, real })
    }

    fn is_link(&self, name: &OsString) -> bool {
        let found = fstatat(&self.file, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| has_type(&found, SFlag::S_IFLNK))
    }
}

impl Way {
    /// Where it leads, or would lead if everything missing were made.
    pub fn real(&self) -> PathBuf {
        match self {
            Self::There(held) => held.real.clone(),
            Self::Missing(above, names) => names
                .iter()
                .fold(above.real.clone(), |path, name| path.join(name)),
        }
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Follows `path` as far as there is something. What is missing is found by halves: a path may have two
/// thousand names.
pub fn follow(path: &Path) -> Result<Way, Trouble> {
    match Held::open(path) {
        Err(Trouble::Missing) => {}
        found => return found.map(Way::There),
    }
    let known: Vec<&Path> = path.ancestors().collect();
    let is_missing = |path: &&Path| matches!(Held::open(path), Err(Trouble::Missing));
    let (missing, there) = known.split_at(known.partition_point(is_missing));
    let names = missing.iter().rev().map(|path| path.file_name());
    let names: Option<Vec<OsString>> = names.map(|name| Some(name?.to_owned())).collect();
    let (Some(names), Some(above)) = (names, there.first()) else {
        return Err(Trouble::Up);
    };
    let held = Held::open(above)?;
    match names.first() {
        Some(name) if held.is_link(name) => Err(Trouble::Dangling),
        _ => Ok(Way::Missing(held, names)),
    }
}

fn how(flags: OFlag, resolve: ResolveFlag) -> OpenHow {
    OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | flags)
        .resolve(resolve)
}

fn has_type(found: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    #[test]
    fn what_is_held_is_where_the_kernel_says_it_is() {
        let (_dir, path) = directory();
        fs::create_dir(path.join("real")).unwrap();
        symlink("real", path.join("link")).unwrap();
        assert_eq!(
            Held::open(&path.join("link")).unwrap().real(),
            path.join("real")
        );
        let up = Held::open(&path.join("real/../..")).unwrap();
        assert_eq!(up.real(), path.parent().unwrap());
    }

    #[test]
    fn what_is_held_stays_the_same_when_its_name_is_given_to_something_else() {
        let (_dir, path) = directory();
        fs::create_dir(path.join("x")).unwrap();
        let held = Held::open(&path.join("x")).unwrap();
        let before = held.identity().unwrap();
        fs::rename(path.join("x"), path.join("y")).unwrap();
        symlink("/etc", path.join("x")).unwrap();
        assert_eq!(held.identity().unwrap(), before);
        assert_eq!(
            Held::open(&path.join("y")).unwrap().identity().unwrap(),
            before
        );
    }

    #[test]
    fn a_link_of_proc_is_not_followed() {
        let (_dir, path) = directory();
        symlink("/proc/self/root/etc", path.join("magic")).unwrap();
        let refused = follow(&path.join("magic")).unwrap_err();
        assert!(matches!(refused, Trouble::Links), "{refused}");
    }

    #[test]
    fn what_is_missing_is_made_below_what_is_held() {
        let (_dir, path) = directory();
        let Way::Missing(above, names) = follow(&path.join("a/b")).unwrap() else {
            panic!("it is not there")
        };
        assert_eq!((above.real(), names.len()), (path.as_path(), 2));
        assert_eq!(above.make(&names).unwrap().real(), path.join("a/b"));
        assert!(matches!(follow(&path.join("a/b")).unwrap(), Way::There(_)));
    }

    #[test]
    fn a_path_of_many_names_is_followed_as_far_as_it_goes() {
        let (_dir, path) = directory();
        let names = |count: usize| path.join(vec!["a"; count].join("/"));
        fs::create_dir_all(names(300)).unwrap();
        for missing in [1, 2, 299, 700] {
            let Way::Missing(above, rest) = follow(&names(300 + missing)).unwrap() else {
                panic!("it is not there")
            };
            assert_eq!((above.real(), rest.len()), (&*names(300), missing));
        }
    }

    #[test]
    fn nothing_is_made_through_a_link_that_appears_meanwhile() {
        let (_dir, path) = directory();
        let Way::Missing(above, names) = follow(&path.join("a/b")).unwrap() else {
            panic!("it is not there")
        };
        fs::create_dir(path.join("secret")).unwrap();
        symlink("secret", path.join("a")).unwrap();
        assert!(matches!(above.make(&names), Err(Trouble::Links)));
        assert!(!path.join("secret/b").exists());
    }

    #[test]
    fn what_leads_to_nothing_in_particular_is_refused() {
        let (_dir, path) = directory();
        fs::write(path.join("file"), "").unwrap();
        symlink("/nowhere/at/all", path.join("dangling")).unwrap();
        symlink("circle", path.join("circle")).unwrap();
        let refusal = |name: &str| follow(&path.join(name)).unwrap_err();
        assert!(matches!(refusal("dangling"), Trouble::Dangling));
        assert!(matches!(refusal("dangling/x"), Trouble::Dangling));
        assert!(matches!(refusal("missing/../x"), Trouble::Up));
        assert!(matches!(refusal("file/x"), Trouble::NotADirectory));
        assert!(matches!(refusal("circle"), Trouble::Links));
    }
}
