//! DAG files on a command line: named themselves, by their metadata files, or by a directory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Kind, Result};

/// What stands behind the name of a DAG file.
const SUFFIX: &str = ".metadata.yaml";

/// The DAG files that `paths` name; of a directory, those that have a metadata file. Each once.
pub fn named<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Vec<PathBuf>> {
    let mut dag_files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let begun = dag_files.len();
            search(path, &mut dag_files)
                .or_fail(Kind::Usage, || format!("cannot search {}", path.display()))?;
            dag_files[begun..].sort();
        } else {
            dag_files.push(dag_file(path));
        }
    }
    let mut seen = HashSet::new();
    dag_files.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(dag_files)
}

/// The DAG file that a metadata file belongs to.
fn dag_file(path: &Path) -> PathBuf {
    let name = path.as_os_str().as_bytes();
    name.strip_suffix(SUFFIX.as_bytes())
        .map_or_else(|| path.to_owned(), |name| OsStr::from_bytes(name).into())
}

/// Adds the DAG files of all metadata files below `directory`; links are not followed.
fn search(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            search(&entry.path(), found)?;
        } else if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
            found.push(dag_file(&entry.path()));
        }
    }
    Ok(())
}
