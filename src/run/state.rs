//! The state directory: one run directory for each run, locked by its owner for as long as it lives.
//!
//! ```text
//! /run/airtight/lock               held for the moment a run directory is made or removed
//! /run/airtight/cgroup-parents     cgroups made above the containers' own
//! /run/airtight/<id>/lock          held by the owner; the kernel releases it when the owner dies
//! /run/airtight/<id>/record.json   what is about to be made
//! /run/airtight/<id>/payload       how far the payload is, of a run that is to be kept
//! /run/airtight/<id>/left          when it was first seen without an owner, where it is to be stopped
//! /run/airtight/<id>/control       where the owner hears what other commands ask of it
//! /run/airtight/<id>/about.json …  what is shown of a run in the foreground (papers.rs)
//! /run/airtight/<id>/hosts …       files mounted into the container
//! /run/airtight/<id>/mounts/       where others' files are mounted, until the container has them
//! /var/lib/airtight/runs/<id>/     the same papers of a detached run, its log, and a lock of its own
//! ```

mod lock;
mod run_dir;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

pub(super) use self::lock::is_locked;
use self::lock::{lock, lock_root, open_lock, open_present_lock, try_lock};
pub use self::run_dir::RunDir;
use self::run_dir::read_record;
use super::record::Record;
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::spec::{Places, SettledMounts};

/// Where runs are recorded unless told otherwise; gone after a reboot, as the runs are.
pub const DEFAULT_STATE: &str = "/run/airtight";
/// Where anonymous volumes are, and what is kept of detached runs, unless told otherwise: on disk.
pub const DEFAULT_DATA: &str = "/var/lib/airtight";

/// What an owner holds while it lives, in a directory of its run.
pub(super) const LOCK: &str = "lock";
/// What is in it.
const MAGIC: &[u8] = b"airtight\n";
const RECORD: &str = "record.json";
/// What is kept of detached runs, below the data directory.
const KEPT: &str = "runs";
const MOUNTS: &str = "mounts";
const LEFT: &str = "left";

/// The directories airtight itself needs.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
    data: PathBuf,
}

/// What a run directory turned out to be.
#[derive(Debug)]
pub enum Found {
    /// Its owner lives.
    Held,
    /// Its owner is dead; we hold it now.
    Dead(RunDir),
    /// There is none.
    Absent,
}

impl State {
    /// With run directories below `root`, volumes and what is kept below `data`; both are made when needed.
    pub fn new(root: PathBuf, data: PathBuf) -> Self {
        Self { root, data }
    }

    /// Makes and locks the run directory of `id` and writes its record; fails when it exists.
    pub fn create(&self, record: &Record) -> Result<RunDir> {
        self.make(&record.id, |dir| dir.write_record(record))
    }

    /// Makes and locks a run directory for what is no run and makes nothing else: when its owner is dead,
    /// the next command removes it.
    pub fn create_without_record(&self, id: &ContainerId) -> Result<RunDir> {
        self.make(id, |_| Ok(()))
    }

    fn make(&self, id: &ContainerId, then: impl FnOnce(&RunDir) -> Result<()>) -> Result<RunDir> {
        let path = self.root.join(id.as_str());
        let _making = self.lock_all()?;
        private_dir()
            .create(&path)
            .map_err(|why| match why.kind() {
                ErrorKind::AlreadyExists => Failure::usage(format!("the name {id} is in use"))
                    .hint("choose another --name, or wait for that run to end"),
                _ => Failure::host(format!("cannot make {}", path.display())).because(why),
            })?;
        let made = open_lock(&path)
            .and_then(|mut file| file.write_all(MAGIC).map(|()| file))
            .and_then(|file| lock(file, FlockArg::LockExclusiveNonblock))
            .or_fail(Kind::Host, || format!("cannot lock {}", path.display()))
            .map(|lock| RunDir {
                path: path.clone(),
                lock,
            })
            .and_then(|dir| then(&dir).map(|()| dir));
        if made.is_err() {
            // Nothing but what was made above is in it.
            let _ = fs::remove_dir_all(&path);
        }
        made
    }

    /// The ids that have a run directory.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        ids_in(&self.root)
    }

    /// The ids of detached runs of which something is kept, alive or ended.
    pub fn kept_ids(&self) -> Result<Vec<ContainerId>> {
        ids_in(&self.data.join(KEPT))
    }

    /// The ids of both, sorted.
    pub fn all_ids(&self) -> Result<Vec<ContainerId>> {
        let mut ids = [self.ids()?, self.kept_ids()?].concat();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Where the run directory of `id` is.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// Where what is kept of the detached run `id` is.
    pub fn kept(&self, id: &ContainerId) -> PathBuf {
        self.data.join(KEPT).join(id.as_str())
    }

    /// Whether `id` is a run that has an owner who lives.
    pub fn is_alive(&self, id: &ContainerId) -> bool {
        let dir = self.directory(id);
        dir.join(RECORD).exists() && is_locked(&dir)
    }

    /// The run that `word` names, alive or ended: its whole id or name, or the beginning of no other's.
    pub fn named(&self, word: &str) -> Result<ContainerId> {
        named_among(self.all_ids()?, word)
    }

    /// Looks whether the owner of `id` lives.
    pub fn find(&self, id: &ContainerId) -> Result<Found> {
        let path = self.root.join(id.as_str());
        let cannot = || format!("cannot lock {}", path.display());
        if path.join(RECORD).exists() {
            // Its lock was there first. If it is not any more, the owner is removing all of it, or somebody
            // else has removed the lock alone.
            let found = try_lock(&path, open_present_lock(&path)).or_fail(Kind::Host, cannot)?;
            if !matches!(found, Found::Absent) {
                return Ok(found);
            }
        }
        // Without a record it is being made or removed at this moment, or somebody died over it.
        let _changing = self.lock_all()?;
        if !is_ours(&path) {
            return Ok(Found::Absent);
        }
        try_lock(&path, open_lock(&path)).or_fail(Kind::Host, cannot)
    }

    /// The record of `id`, whoever holds it; `None` before it is written and once the run is forgotten.
    pub fn record(&self, id: &ContainerId) -> Result<Option<Record>> {
        read_record(&self.directory(id))
    }

    /// The list of cgroups made above the containers' own.
    pub fn cgroup_parents(&self) -> PathBuf {
        self.root.join("cgroup-parents")
    }

    /// Where the anonymous volumes of `id` are.
    pub fn volumes(&self, id: &ContainerId) -> PathBuf {
        self.all_volumes().join(id.as_str())
    }

    /// Where all anonymous volumes are.
    pub fn all_volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// Where a run keeps what its container sees.
    pub fn places(&self, id: &ContainerId) -> Places {
        Places {
            run: self.root.join(id.as_str()),
            volumes: self.volumes(id),
            settled: SettledMounts::new(),
        }
    }

    /// Our own directories: run directories and volumes are below them.
    pub fn directories(&self) -> [&Path; 2] {
        [&self.root, &self.data]
    }

    fn lock_all(&self) -> Result<Flock<File>> {
        private_dir()
            .recursive(true)
            .create(&self.root)
            .or_fail(Kind::Host, || {
                format!("cannot make the state directory {}", self.root.display())
            })?;
        lock_root(&self.root)
    }
}

/// Which of `ids` is meant by `word`: the whole of one, or the beginning of no other's.
pub fn named_among(mut ids: Vec<ContainerId>, word: &str) -> Result<ContainerId> {
    if let Some(whole) = ids.iter().position(|id| id.as_str() == word) {
        return Ok(ids.swap_remove(whole));
    }
    ids.retain(|id| id.answers_to(word));
    match ids.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            let what = format!("there is no run {word:?}");
            Err(Failure::new(Kind::NoRun, what).hint("`airtight ps -a` lists them"))
        }
        several => {
            let mut names: Vec<_> = several.iter().map(ContainerId::as_str).collect();
            names.sort_unstable();
            Err(
                Failure::usage(format!("{word:?} may be any of {} runs", names.len()))
                    .because(names.join(", ")),
            )
        }
    }
}

/// Whether `dir` is a run directory: it has a record, or a lock of ours, or nothing else yet. Anything else in
/// a state directory is somebody else's, who has been told the same path.
fn is_ours(dir: &Path) -> bool {
    let is_alone = || {
        let names = fs::read_dir(dir).map(|entries| entries.flatten());
        names.is_ok_and(|mut entries| entries.all(|entry| entry.file_name() == LOCK))
    };
    dir.join(RECORD).is_file()
        || fs::read(dir.join(LOCK)).is_ok_and(|text| text == MAGIC)
        || is_alone()
}

fn ids_in(dir: &Path) -> Result<Vec<ContainerId>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => {
            return Err(Failure::host(format!("cannot read {}", dir.display())).because(why));
        }
    };
    let id = |entry: fs::DirEntry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_dir
            .then(|| entry.file_name().to_str()?.parse().ok())
            .flatten()
    };
    Ok(entries.flatten().filter_map(id).collect())
}

pub(super) fn private_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// In place of what somebody who died has left there.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?
        .write_all(bytes)
}
