//! The directories above containers' own that we made, and that are ours to remove when empty.
//!
//! They are written down, one `inode path` line each, in a file (`/run/airtight/cgroup-parents`)
//! before they are made (inode 0), and again once their inode is known: a directory that somebody
//! removed and made anew is then not taken for ours. The last line about a path counts. A lock on
//! that file, held while directories are made or removed and released by the kernel when we die,
//! keeps two runs from pulling a parent from under each other; a container's own directory, made
//! under the lock, then holds its parents in place. The file itself is never removed. Should somebody else
//! remove it, marks on the directories still say that they were in it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{mark, tree};
use crate::failure::{Context, Failure, Kind, Result};

/// Written down, but not yet made, or we died in between.
const UNKNOWN: u64 = 0;

/// The list, locked.
pub struct Parents {
    file: File,
    path: PathBuf,
    claims: BTreeMap<PathBuf, u64>,
}

impl Parents {
    /// Waits for the lock and reads the list; makes an empty one if there is none.
    pub fn lock(path: &Path) -> Result<Self> {
        let what = || format!("cannot open {}", path.display());
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).or_fail(Kind::Host, what)?;
        }
        Self::open(path, OpenOptions::new().create(true)).or_fail(Kind::Host, what)
    }

    /// The same, if there is a list.
    pub fn lock_existing(path: &Path) -> Result<Option<Self>> {
        match Self::open(path, &mut OpenOptions::new()) {
            Ok(parents) => Ok(Some(parents)),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => Err(Failure::host(format!("cannot open {}", path.display())).because(why)),
        }
    }

    fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Self> {
        let mut file = options.read(true).append(true).mode(0o600).open(path)?;
        while let Err(why) = file.lock() {
            if why.kind() != ErrorKind::Interrupted {
                return Err(why);
            }
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            claims: parse(&String::from_utf8_lossy(&text)),
        })
    }

    /// Makes those of `directories` that do not exist, in this order, each written down before.
    pub fn make(&mut self, directories: &[PathBuf]) -> Result<()> {
        let missing: Vec<_> = directories.iter().filter(|path| !path.exists()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.append(missing.iter().map(|path| (path.as_path(), UNKNOWN)))?;
        let mut foreign = false;
        for &path in &missing {
            let what = || format!("cannot make cgroup {}", path.display());
            if make_directory(path).or_fail(Kind::Host, what)? {
                mark::set(path, mark::LIST, self.path.as_os_str().as_bytes());
                let inode = fs::metadata(path).or_fail(Kind::Host, what)?.ino();
                self.claims.insert(path.clone(), inode);
            } else {
                self.claims.remove(path);
                foreign = true;
            }
        }
        if foreign {
            self.rewrite()
        } else {
            let known = missing.into_iter().map(|path| (path.clone(), ()));
            let known: Vec<_> = known
                .filter_map(|(path, ())| Some((self.claims.get(&path).copied()?, path)))
                .collect();
            self.append(known.iter().map(|(inode, path)| (path.as_path(), *inode)))
        }
    }

    /// Removes those of `directories` that are ours and empty, in this order.
    pub fn remove_empty(&mut self, directories: &[PathBuf]) -> Result<()> {
        let before = self.claims.len();
        for path in directories {
            let claimed = match self.claims.get(path) {
                Some(&claimed) => claimed,
                None if Self::is_marked(path, &self.path) => UNKNOWN,
                None => continue,
            };
            let what = || format!("cannot remove cgroup {}", path.display());
            if remove_if_ours(path, claimed).or_fail(Kind::Host, what)? == Fate::Gone {
                self.claims.remove(path);
            }
        }
        if self.claims.len() == before {
            return Ok(());
        }
        self.rewrite()
    }

    /// Whether `directory` was once made and written down in the list at `path`.
    pub fn is_marked(directory: &Path, path: &Path) -> bool {
        mark::get(directory, mark::LIST).is_some_and(|list| list == path.as_os_str().as_bytes())
    }

    fn append<'a>(&mut self, lines: impl Iterator<Item = (&'a Path, u64)>) -> Result<()> {
        let mut text = String::new();
        for (path, inode) in lines {
            text.push_str(&line(path, inode));
            self.claims.insert(path.to_owned(), inode);
        }
        self.file
            .write_all(text.as_bytes())
            .or_fail(Kind::Host, || {
                format!("cannot write {}", self.path.display())
            })
    }

    fn rewrite(&mut self) -> Result<()> {
        let text: String = self
            .claims
            .iter()
            .map(|(p, inode)| line(p, *inode))
            .collect();
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .or_fail(Kind::Host, || {
                format!("cannot write {}", self.path.display())
            })
    }
}

fn line(path: &Path, inode: u64) -> String {
    format!("{inode} {}\n", path.display())
}

/// A line that is not of the form (we died while writing it) is left out.
fn parse(text: &str) -> BTreeMap<PathBuf, u64> {
    let claim = |line: &str| {
        let (inode, path) = line.split_once(' ')?;
        let path = PathBuf::from(path);
        path.is_absolute().then_some((path, inode.parse().ok()?))
    };
    text.lines().filter_map(claim).collect()
}

/// Makes one directory; `false` when somebody else was faster.
pub fn make_directory(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => Ok(true),
        Err(why) if why.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(why) => Err(why),
    }
}

/// What became of a directory that was once ours.
#[derive(PartialEq, Eq)]
enum Fate {
    /// It is no more, or another has its name.
    Gone,
    /// Somebody lives in it.
    Stays,
}

fn remove_if_ours(path: &Path, claimed: u64) -> io::Result<Fate> {
    match fs::metadata(path) {
        Ok(metadata) if claimed == UNKNOWN || metadata.ino() == claimed => {}
        Ok(_) => return Ok(Fate::Gone),
        Err(why) if tree::is_gone(&why) => return Ok(Fate::Gone),
        Err(why) => return Err(why),
    }
    match fs::remove_dir(path) {
        Ok(()) => Ok(Fate::Gone),
        Err(why) if tree::is_gone(&why) => Ok(Fate::Gone),
        Err(why) if tree::is_busy(&why) => Ok(Fate::Stays),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn lock(&self) -> Parents {
            Parents::lock(&self.at("run/list")).unwrap()
        }

        fn text(&self) -> String {
            fs::read_to_string(self.at("run/list")).unwrap()
        }
    }

    #[test]
    fn a_directory_we_made_is_removed_when_it_is_empty() {
        let place = Place::new();
        let (outer, inner) = (place.at("a"), place.at("a/b"));
        place.lock().make(&[outer.clone(), inner.clone()]).unwrap();
        assert!(inner.exists());
        place.lock().remove_empty(&[inner, outer.clone()]).unwrap();
        assert!(!outer.exists());
        assert_eq!(place.text(), "");
    }

    #[test]
    fn a_directory_that_is_in_use_stays_and_stays_ours() {
        let place = Place::new();
        let outer = place.at("a");
        place.lock().make(std::slice::from_ref(&outer)).unwrap();
        fs::create_dir(outer.join("other")).unwrap();
        place
            .lock()
            .remove_empty(std::slice::from_ref(&outer))
            .unwrap();
        assert!(outer.exists());
        fs::remove_dir(outer.join("other")).unwrap();
        place
            .lock()
            .remove_empty(std::slice::from_ref(&outer))
            .unwrap();
        assert!(!outer.exists());
    }

    #[test]
    fn a_directory_that_existed_is_never_removed() {
        let place = Place::new();
        let operators = place.at("operators");
        fs::create_dir(&operators).unwrap();
        place.lock().make(std::slice::from_ref(&operators)).unwrap();
        place
            .lock()
            .remove_empty(std::slice::from_ref(&operators))
            .unwrap();
        assert!(operators.exists());
    }

    #[test]
    fn a_directory_made_anew_by_somebody_else_is_not_ours() {
        let place = Place::new();
        let ours = place.at("a");
        place.lock().make(std::slice::from_ref(&ours)).unwrap();
        // While it is open, the file system gives its number to no other.
        let held = fs::File::open(&ours).unwrap();
        fs::remove_dir(&ours).unwrap();
        fs::create_dir(&ours).unwrap();
        drop(held);
        place
            .lock()
            .remove_empty(std::slice::from_ref(&ours))
            .unwrap();
        assert!(ours.exists());
        assert_eq!(place.text(), "");
    }

    #[test]
    fn what_was_written_down_before_a_sudden_death_is_ours() {
        let place = Place::new();
        let ours = place.at("a");
        drop(place.lock());
        fs::write(place.at("run/list"), line(&ours, UNKNOWN)).unwrap();
        fs::create_dir(&ours).unwrap();
        place
            .lock()
            .remove_empty(std::slice::from_ref(&ours))
            .unwrap();
        assert!(!ours.exists());
    }

    #[test]
    fn a_list_that_was_never_made_holds_nothing() {
        assert!(
            Parents::lock_existing(Path::new("/nowhere/list"))
                .unwrap()
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn any_list_is_read(text in ".*") {
            prop_assert!(parse(&text).keys().all(|path| path.is_absolute()));
        }
    }
}
