//! The run directory of one run, in the hands of who holds its lock.
//!
//! In: the lock. Out: the record, and what else is in it. Nothing is removed that may be another run's of the same name
//! by now, nor what is mounted there.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::Flock;

use super::lock::{is_at, lock_root};
use super::{LEFT, LOCK, MOUNTS, RECORD, write_private};
use crate::failure::{Context, Failure, Kind, Result};
use crate::moment::Moment;
use crate::run::record::Record;
use crate::run::release::release;

/// The run directory of a run whose owner we are, or whose owner is dead.
#[derive(Debug)]
pub struct RunDir {
    pub(super) path: PathBuf,
    pub(super) lock: Flock<File>,
}

impl RunDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The record; `None` when its maker died before writing it.
    pub fn record(&self) -> Result<Option<Record>> {
        read_record(&self.path)
    }

    /// Writes the record anew.
    pub fn rewrite(&self, record: &Record) -> Result<()> {
        self.write_record(record)
    }

    /// How long ago somebody first asked this of a run whose owner is dead; it must be of this boot. When the
    /// owner died, nothing says: one that got SIGKILL has not written it down.
    pub fn left_for(&self) -> Result<Duration> {
        let path = self.path.join(LEFT);
        let known = fs::read_to_string(&path).ok();
        if let Some(since) = known.and_then(|text| text.parse::<Moment>().ok()) {
            return Ok(since.elapsed());
        }
        // Nobody else writes it: we hold the lock.
        let half = self.path.join("left.new");
        write_private(&half, Moment::now().to_string().as_bytes())
            .and_then(|()| fs::rename(&half, &path))
            .or_fail(Kind::Host, || format!("cannot write {}", path.display()))?;
        Ok(Duration::ZERO)
    }

    /// Where others' files and directories are mounted: nothing below may ever be removed recursively.
    pub fn mounts(&self) -> PathBuf {
        self.path.join(MOUNTS)
    }

    /// Unmounts what is mounted there, if anything is.
    pub fn release_mounts(&self) -> Result<()> {
        let dir = self.mounts();
        release(&dir).or_fail(Kind::Host, || {
            format!("cannot unmount what is in {}", dir.display())
        })
    }

    /// Removes it; the run is then forgotten.
    pub fn remove(self) -> Result<()> {
        // Somebody has removed it before us, and another run may have made one of its name.
        if !is_at(&self.lock, &self.path.join(LOCK)) {
            return Ok(());
        }
        // What is mounted below is not ours to remove.
        self.release_mounts()?;
        // Nobody who looks meanwhile may put a new lock into it.
        let _removing = self.path.parent().map(lock_root).transpose()?;
        // The record goes first: a directory that cannot be removed whole is then no run any more.
        let record = self.path.join(RECORD);
        let removed = fs::remove_file(&record).or_else(|why| match why.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(why),
        });
        removed
            .and_then(|()| remove_all(&self.path))
            .or_fail(Kind::Host, || {
                format!("cannot remove {}", self.path.display())
            })
    }

    pub(super) fn write_record(&self, record: &Record) -> Result<()> {
        let path = self.path.join(RECORD);
        let bytes =
            serde_json::to_vec_pretty(record).or_fail(Kind::Host, || "cannot write the record")?;
        let half = self.path.join("record.new");
        write_private(&half, &bytes)
            .and_then(|()| fs::rename(&half, &path))
            .or_fail(Kind::Host, || format!("cannot write {}", path.display()))
    }
}

pub fn read_record(dir: &Path) -> Result<Option<Record>> {
    let path = dir.join(RECORD);
    let cannot = || format!("cannot read {}", path.display());
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .or_fail(Kind::Host, cannot),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(Failure::host(cannot()).because(why)),
    }
}

/// Removes a run directory, its lock last: what is left when we die over it is still known for ours.
fn remove_all(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() == LOCK => {}
            false => fs::remove_file(entry.path())?,
        }
    }
    fs::remove_file(dir.join(LOCK))?;
    fs::remove_dir(dir)
}
