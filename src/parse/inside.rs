//! The Python programs that parse DAG files for a person at a shell, who has no package of ours.
//!
//! In: a directory. Out: the programs in it, for everybody to read: the container's user may be anybody.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Kind, Result};

/// Where they are in a container.
pub const PLACE: &str = "/opt/airtight_airflow";

/// The one that is run.
pub const PROGRAM: &str = "/opt/airtight_airflow/parse_files.py";

macro_rules! programs {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../python/src/airtight_airflow/inside/", $name)))),*]
    };
}

/// It and what it imports.
const PROGRAMS: [(&str, &str); 5] = programs![
    "parse_files.py",
    "_ahead.py",
    "_forks.py",
    "_paths.py",
    "_prepare.py"
];

/// Writes them into a directory of their own below `directory`.
pub fn write_into(directory: &Path) -> Result<PathBuf> {
    let inside = directory.join("inside");
    let cannot = || format!("cannot write to {}", inside.display());
    fs::create_dir(&inside).or_fail(Kind::Host, cannot)?;
    open_to_all(&inside, 0o755).or_fail(Kind::Host, cannot)?;
    for (name, text) in PROGRAMS {
        let path = inside.join(name);
        fs::write(&path, text).or_fail(Kind::Host, cannot)?;
        open_to_all(&path, 0o644).or_fail(Kind::Host, cannot)?;
    }
    Ok(inside)
}

/// Whatever the umask.
fn open_to_all(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}
