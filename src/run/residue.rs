//! What the OCI runtime has kept of a container whose shim was killed: nobody else removes it, and the runtime
//! refuses to make another container of that name as long as it is there.
//!
//! In: a record. Out: the runtime's directory of that container, removed. Never one whose first process lives:
//! every containerd of a host shares that place, so it may be of somebody who has the same names.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::record::Record;
use crate::owner;

/// Where runc's shim has the runtime keep it unless told otherwise, and we never do (containerd,
/// `runtime/v2/runc/container.go`, `process.RuncRoot`).
const ROOT: &str = "/run/containerd/runc";

/// The first process of a container, as the runtime's own file has it.
#[derive(Deserialize)]
struct First {
    /// runc has the one name, crun the other.
    #[serde(alias = "init_process_pid")]
    pid: u32,
    #[serde(alias = "init_process_start", alias = "process-start-time")]
    started: u64,
}

/// Removes what there is of the run of `record`, nothing of which is alive. Says whether there was anything.
pub fn forget(record: &Record) -> Result<bool, String> {
    forget_in(Path::new(ROOT), record)
}

fn forget_in(root: &Path, record: &Record) -> Result<bool, String> {
    let dir = root.join(&record.namespace).join(record.id.as_str());
    if !dir.is_dir() {
        return Ok(false);
    }
    // A file that is not written yet names nobody.
    if first(&dir).is_some_and(|first| owner::may_live(first.pid, first.started)) {
        return Ok(false);
    }
    match fs::remove_dir_all(&dir) {
        Err(why) if why.kind() != ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {why}", dir.display()))
        }
        _ => Ok(true),
    }
}

fn first(dir: &Path) -> Option<First> {
    let read = |path: PathBuf| serde_json::from_slice(&fs::read(path).ok()?).ok();
    // runc's, and crun's.
    read(dir.join("state.json")).or_else(|| read(dir.join("status")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Owner;

    fn left(root: &Path, record: &Record, file: &str, text: &str) -> PathBuf {
        let dir = root.join(&record.namespace).join(record.id.as_str());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(file), text).unwrap();
        dir
    }

    #[test]
    fn what_a_runtime_kept_of_the_dead_is_removed_and_of_the_living_it_is_not() {
        let root = tempfile::tempdir().unwrap();
        let record = Record::fixture("a");
        assert_eq!(forget_in(root.path(), &record), Ok(false));
        let (dead, alive) = (Owner::dead(), Owner::this_process().unwrap());
        let runc = |owner: &Owner| {
            format!(
                r#"{{"id":"a","init_process_pid":{},"init_process_start":{}}}"#,
                owner.pid, owner.started
            )
        };
        let crun = format!(
            r#"{{"pid":{},"process-start-time":{}}}"#,
            dead.pid, dead.started
        );
        for (file, text) in [("state.json", runc(&dead)), ("status", crun)] {
            let dir = left(root.path(), &record, file, &text);
            assert_eq!(forget_in(root.path(), &record), Ok(true));
            assert!(!dir.exists());
        }
        let dir = left(root.path(), &record, "state.json", &runc(&alive));
        assert_eq!(forget_in(root.path(), &record), Ok(false));
        assert!(dir.exists());
    }
}
