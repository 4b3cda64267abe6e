//! The directory of a run's anonymous volumes, marked with its record.
//!
//! It is on disk and so outlives a reboot, which the run directory does not: the record beside the volumes
//! says whose they are. A directory with another run's record, or none, is never touched.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::record::{Record, VOLUMES_FILE};
use crate::failure::{Context, Failure, Kind, Result};

/// Makes the directory, if the run has volumes. One that a dead run left is removed first.
pub fn prepare(record: &Record) -> Result<()> {
    let Some(directory) = &record.volumes else {
        return Ok(());
    };
    let cannot = || format!("cannot make {}", directory.display());
    if let Some(old) = read(directory).filter(|old| old.is_left_over(&record.state)) {
        remove(&old).map_err(|why| Failure::host(cannot()).because(why))?;
    }
    let above = directory.parent().unwrap_or(directory);
    // An image or a payload may put set-user-ID programs and devices into a volume, which are no
    // business of other users of the host.
    let mut private = DirBuilder::new();
    private.mode(0o700);
    private
        .recursive(true)
        .create(above)
        .and_then(|()| match private.recursive(false).create(directory) {
            // Somebody died before it was marked.
            Err(_) if is_ours(record, directory) => {
                fs::remove_file(directory.join(VOLUMES_FILE)).or_else(absent_is_fine)
            }
            made => made,
        })
        .or_fail(Kind::Host, cannot)?;
    let text = record.text()?;
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(directory.join(VOLUMES_FILE))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .or_fail(Kind::Host, cannot)
}

/// Whether the run's directory is there, and the run's.
pub fn are_ours(record: &Record) -> bool {
    let directory = record.volumes.as_deref();
    directory.is_some_and(|directory| is_ours(record, directory))
}

/// Removes the volumes. Says whether there were any.
pub fn remove(record: &Record) -> Result<bool, String> {
    let Some(directory) = &record.volumes else {
        return Ok(false);
    };
    if !is_ours(record, directory) {
        return Ok(false);
    }
    // The mark goes last: what is left of a removal that was cut short still has its owner.
    let removed = remove_all_but_the_mark(directory)
        .and_then(|()| fs::remove_file(directory.join(VOLUMES_FILE)).or_else(absent_is_fine))
        .and_then(|()| fs::remove_dir(directory));
    match removed.or_else(absent_is_fine) {
        Ok(()) => Ok(true),
        Err(why) => Err(format!("cannot remove {}: {why}", directory.display())),
    }
}

/// The records beside all volumes below `directory`.
pub fn records(directory: &Path) -> Vec<Record> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let named = |record: &Record, path: &Path| record.volumes.as_deref() == Some(path);
    entries
        .filter_map(|entry| Some((read(&entry.path())?, entry.path())))
        .filter(|(record, path)| named(record, path))
        .map(|(record, _)| record)
        .collect()
}

fn read(directory: &Path) -> Option<Record> {
    Record::from_text(fs::read(directory.join(VOLUMES_FILE)).ok()?)
}

/// By its mark; one without a mark and with nothing in it is ours to remove too, since its owner may have
/// died before it could mark it.
fn is_ours(record: &Record, directory: &Path) -> bool {
    match fs::read(directory.join(VOLUMES_FILE)) {
        Ok(mark) if mark.is_empty() => is_empty_but_for_the_mark(directory),
        Ok(mark) => record.is_on(mark),
        Err(why) if why.kind() == ErrorKind::NotFound => is_empty_but_for_the_mark(directory),
        Err(_) => false,
    }
}

fn is_empty_but_for_the_mark(directory: &Path) -> bool {
    let entries = fs::read_dir(directory);
    entries.is_ok_and(|entries| entries.flatten().all(|one| one.file_name() == VOLUMES_FILE))
}

fn remove_all_but_the_mark(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() != VOLUMES_FILE {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn absent_is_fine(why: std::io::Error) -> std::io::Result<()> {
    match why.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Owner;

    fn record(directory: &Path, token: &str, owner: Owner) -> Record {
        Record {
            token: token.into(),
            owner,
            volumes: Some(directory.join("volumes").join("a")),
            ..Record::fixture("a")
        }
    }

    #[test]
    fn volumes_are_their_run_s_alone_until_its_owner_is_dead() {
        let place = tempfile::tempdir().unwrap();
        let alive = record(place.path(), "1", Owner::this_process().unwrap());
        let later = record(place.path(), "2", Owner::this_process().unwrap());
        prepare(&alive).unwrap();
        fs::create_dir(place.path().join("volumes/a/0")).unwrap();
        assert!(are_ours(&alive) && !are_ours(&later));
        assert_eq!(remove(&later), Ok(false));
        prepare(&later).unwrap_err();
        assert_eq!(remove(&alive), Ok(true));
        assert_eq!(remove(&alive), Ok(false));
        let dead = record(place.path(), "3", Owner::dead());
        prepare(&dead).unwrap();
        prepare(&later).unwrap();
        assert_eq!(records(&place.path().join("volumes")), [later]);
    }

    #[test]
    fn a_directory_that_was_never_marked_is_removed_only_while_it_is_empty() {
        let place = tempfile::tempdir().unwrap();
        let run = record(place.path(), "1", Owner::dead());
        let directory = run.volumes.clone().unwrap();
        fs::create_dir_all(directory.join("0")).unwrap();
        assert_eq!(remove(&run), Ok(false));
        fs::remove_dir(directory.join("0")).unwrap();
        assert_eq!(remove(&run), Ok(true));
    }
}
