//! The real `airflow`: the next one on PATH behind our own.
//!
//! In: PATH. Out: a path, and this process becomes it. Arguments and environment are handed on as they
//! are, so that the caller cannot tell that we were there. Two installations of ours on one PATH must
//! never call each other in a circle: each looks only behind the last place where it finds itself.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::NAME;
use crate::config::airflow_cfg::Environment;
use crate::config::on_path::on_path;
use crate::failure::{Failure, Kind, Result};

/// Becomes the real one; it returns only to say why it could not.
pub fn become_it(arguments: &[OsString]) -> Result<Infallible> {
    let ourselves = std::fs::metadata("/proc/self/exe");
    let path = find(&Environment::of_this_process(), ourselves)?;
    let why = Command::new(&path).args(arguments).exec();
    Err(Failure::new(
        Kind::CommandNotExecutable,
        format!("cannot execute {}", path.display()),
    )
    .because(why))
}

fn find(environment: &Environment, ourselves: io::Result<Metadata>) -> Result<PathBuf> {
    let not_found = || Failure::new(Kind::CommandNotFound, "cannot find the real airflow");
    let ourselves = ourselves.map_err(|why| not_found().because(why))?;
    let identity = |file: &Metadata| (file.dev(), file.ino());
    let is_us = |path: &PathBuf| {
        let file = path.metadata();
        file.is_ok_and(|file| identity(&file) == identity(&ourselves))
    };
    let all: Vec<PathBuf> = on_path(NAME, environment).collect();
    let behind_us = all.iter().rposition(is_us).map_or(0, |ours| ours + 1);
    all.into_iter().nth(behind_us).ok_or_else(|| {
        not_found()
            .because("there is none on PATH behind airtight's")
            .hint("PATH must name the directory of airtight's airflow first, and then that of the real one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Directories of PATH, each with an `airflow`.
    struct Place(tempfile::TempDir);

    impl Place {
        fn program(&self, directory: &str) -> PathBuf {
            let path = self.0.path().join(directory).join(NAME);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn find(&self, path: &[&str], us: &std::path::Path) -> Result<PathBuf> {
            let path = path.iter().map(|directory| self.0.path().join(directory));
            let path = std::env::join_paths(path).unwrap();
            find(&[("PATH", path)].into_iter().collect(), us.metadata())
        }
    }

    #[test]
    fn the_real_one_is_the_next_that_is_not_ourselves_under_whatever_name() {
        let place = Place(tempfile::tempdir().unwrap());
        let (ours, real) = (place.program("ours"), place.program("real"));
        std::fs::create_dir(place.0.path().join("link")).unwrap();
        symlink(&ours, place.0.path().join("link").join(NAME)).unwrap();
        for path in [
            &["ours", "real"][..],
            &["link", "ours", "no-such", "real"],
            &["real"],
        ] {
            assert_eq!(place.find(path, &ours).unwrap(), real, "{path:?}");
        }
    }

    #[test]
    fn two_of_ours_never_call_each_other_in_a_circle() {
        let place = Place(tempfile::tempdir().unwrap());
        let (first, second) = (place.program("first"), place.program("second"));
        let path = ["first", "second"];
        assert_eq!(place.find(&path, &first).unwrap(), second);
        let failure = place.find(&path, &second).unwrap_err();
        assert_eq!(failure.kind(), Kind::CommandNotFound);
    }
}
