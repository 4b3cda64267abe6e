//! DAG files on a command line: named themselves, by their metadata files, or by a directory.
//!
//! In: paths. Out: DAG files, and what in the directories could not be looked into: it keeps nothing else
//! from being found.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Kind, Result};

/// What stands behind the name of a DAG file.
const SUFFIX: &str = ".metadata.yaml";

/// What paths come to.
#[derive(Default)]
pub struct Named {
    /// The DAG files.
    pub dag_files: Vec<PathBuf>,
    /// Why there may be more of them, for people.
    pub warnings: Vec<String>,
}

/// The DAG files that `paths` name; of a directory, those that have a metadata file. Each once.
pub fn named<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Named> {
    let mut named = Named::default();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            // What somebody named has to be readable.
            let entries = entries(path).or_fail(Kind::Usage, || cannot_search(path))?;
            search(entries, &mut found, &mut named.warnings);
            found.sort();
            named.dag_files.append(&mut found);
        } else {
            named.dag_files.push(dag_file(path));
        }
    }
    let mut seen = HashSet::new();
    let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
    named.dag_files.retain(|path| seen.insert(real(path)));
    Ok(named)
}

fn cannot_search(directory: &Path) -> String {
    format!("cannot search {}", directory.display())
}

/// The DAG file that a metadata file belongs to.
fn dag_file(path: &Path) -> PathBuf {
    let name = path.as_os_str().as_bytes();
    name.strip_suffix(SUFFIX.as_bytes())
        .map_or_else(|| path.to_owned(), |name| OsStr::from_bytes(name).into())
}

fn entries(directory: &Path) -> io::Result<Vec<(PathBuf, FileType)>> {
    let entries = fs::read_dir(directory)?.map(|entry| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?))
    });
    entries.collect()
}

/// Adds the DAG files of all metadata files among `entries` and below; links are not followed.
fn search(all: Vec<(PathBuf, FileType)>, found: &mut Vec<PathBuf>, warnings: &mut Vec<String>) {
    for (path, kind) in all {
        if kind.is_dir() {
            match entries(&path) {
                Ok(below) => search(below, found, warnings),
                Err(why) => {
                    let skipped = Failure::usage(cannot_search(&path)).because(why);
                    warnings.push(skipped.to_string());
                }
            }
        } else if path.as_os_str().as_bytes().ends_with(SUFFIX.as_bytes()) {
            found.push(dag_file(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_that_cannot_be_read_is_told_and_keeps_nothing_else_from_being_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let set_mode = |path: &Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in ["a.py.metadata.yaml", "locked/b.py.metadata.yaml"] {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), "").unwrap();
        }
        set_mode(directory.path(), 0o755);
        set_mode(&path("locked"), 0o000);
        // Root reads everything.
        let as_nobody = |paths: &[PathBuf]| {
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
                    named(paths)
                });
                thread.join().unwrap()
            })
        };
        let found = as_nobody(&[directory.path().to_owned()]).unwrap();
        assert_eq!(found.dag_files, [path("a.py")]);
        assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
        assert!(found.warnings[0].contains("locked: Permission denied"));
        assert!(as_nobody(&[path("locked")]).is_err());
    }
}
