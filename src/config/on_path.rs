//! Programs on PATH, never from the working directory, which empty and relative parts of PATH would name.
//!
//! In: an [`Environment`], a name. Out: paths as PATH spells them, links not followed.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::airflow_cfg::Environment;

/// All programs of this name, in the order of PATH.
pub fn on_path<N: AsRef<OsStr>>(
    name: N,
    environment: &Environment,
) -> impl Iterator<Item = PathBuf> {
    let directories = environment.get("PATH").map(std::env::split_paths);
    directories
        .into_iter()
        .flatten()
        .filter(|directory| directory.is_absolute())
        .map(move |directory| directory.join(name.as_ref()))
        .filter(|path| is_program(path))
}

/// Whether it is a file that may be executed.
pub fn is_program(path: &Path) -> bool {
    let file = path.metadata().ok().filter(std::fs::Metadata::is_file);
    file.is_some_and(|file| file.permissions().mode() & 0o111 != 0)
}
