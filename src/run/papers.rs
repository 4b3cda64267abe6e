//! What is written of a run beside its record, for those who ask for it: `ps`, `inspect`, `wait`.
//!
//! ```text
//! about.json     what it is; written once
//! plan.json      every decision, with secrets masked; written once
//! started.json   when the payload was started, and its pid; written when it is
//! verdict.json   how it ended: blanks until then
//! log/           of a detached run, its output
//! ```
//!
//! A run in the foreground has them in its run directory, and they go with it. Those of a detached run are
//! on disk until somebody removes them, and the owner holds a lock of their own until the last is written.

mod about;
mod end;
mod holder;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::about::{About, Holding, Started};
pub use self::end::End;
use self::end::{ROOM, end_of, lost, write_verdict};
pub use self::holder::{Holder, holder};
use super::record::Record;
use super::state::{LOCK, RunDir, State, is_locked, private_dir, write_private};
use super::verdict::{Cause, Verdict};
use crate::failure::{Context, Failure, Kind, Result};
use crate::host;
use crate::id::ContainerId;
use crate::log::limits::Limits;
use crate::log::writer;
use crate::plan::Plan;

/// How long the end of the log is waited for. The shim gives its writer 12 s (containerd,
/// `pkg/process/io_util.go`, `binaryIOProcTermTimeout`).
const LOG_LIMIT: Duration = Duration::from_secs(15);
/// The same where the task could not be deleted: then the shim goes on holding the log's pipes.
const STUCK_LOG_LIMIT: Duration = Duration::from_secs(2);

const ABOUT: &str = "about.json";
const PLAN: &str = "plan.json";
const STARTED: &str = "started.json";
const VERDICT: &str = "verdict.json";
const LOG: &str = "log";

/// The papers of a run whose owner we are.
#[derive(Debug)]
pub struct Papers {
    dir: PathBuf,
    about: About,
    verdict: File,
    started: Cell<bool>,
    /// Where they are kept.
    _lock: Option<Flock<File>>,
}

impl Papers {
    /// Writes those of the run that `dir` belongs to; `plan` is masked. What was kept of an ended run of
    /// the same name is removed: nobody else can be at it, for the name is ours. Only an owner whose run
    /// directory somebody has removed may still live.
    pub fn begin(
        state: &State,
        dir: &RunDir,
        record: &Record,
        plan: &Plan,
        holding: Holding,
    ) -> Result<Self> {
        let about = About::of(plan, record, holding);
        let kept = state.kept(&record.id);
        if have_an_owner(&kept) {
            let what = format!("the name {} is in use", record.id);
            return Err(Failure::usage(what)
                .because("a detached run has it, whose run directory somebody has removed")
                .hint("airtight rm -f ends and removes that run"));
        }
        if holding == Holding::Foreground {
            remove(&kept)?;
            return Self::write(dir.path().to_owned(), about, plan, None);
        }
        // Complete or not there: an id begins with a letter or a digit.
        let half = half(state, &record.id);
        remove(&half)?;
        Self::keep(about, plan, &half, &kept).inspect_err(|_| {
            // Whatever it was, it is told already.
            let _ = remove(&half);
        })
    }

    /// Those of a run whose owner died, and whose name we hold now.
    pub fn take_over(state: &State, dir: &RunDir, record: &Record) -> Result<Self> {
        let kept = state.kept(&record.id);
        let (dir, lock) = match read::<About>(&kept, &Paper::About) {
            Some(about) if about.detached => {
                let lock = lock_of(&kept, File::options().write(true));
                (kept, Some(lock?))
            }
            _ => (dir.path().to_owned(), None),
        };
        let cannot = || format!("cannot read what {} says of the run", dir.display());
        let about = read(&dir, &Paper::About).ok_or_else(|| Failure::host(cannot()))?;
        let verdict = File::options()
            .write(true)
            .open(dir.join(VERDICT))
            .or_fail(Kind::Host, cannot)?;
        Ok(Self {
            started: Cell::new(dir.join(STARTED).exists()),
            dir,
            about,
            verdict,
            _lock: lock,
        })
    }

    /// Whether they stay when the run has ended.
    pub fn are_kept(&self) -> bool {
        self.about.detached
    }

    /// The container's first process, as the owner has noted it.
    pub fn first_pid(&self) -> Option<u32> {
        read::<Started>(&self.dir, &Paper::Started).map(|started| started.pid)
    }

    /// What is said of its end.
    pub fn end(&self) -> Result<Option<End>> {
        End::read(&self.dir)
    }

    /// Makes those that stay on disk, in `half`, and lets them be seen at `kept`.
    fn keep(about: About, plan: &Plan, half: &Path, kept: &Path) -> Result<Self> {
        let cannot = || format!("cannot make {}", half.display());
        private_dir()
            .recursive(true)
            .create(half)
            .or_fail(Kind::Host, cannot)?;
        let lock = lock_of(
            half,
            File::options().create_new(true).write(true).mode(0o600),
        )?;
        if about.logged {
            let limits = Limits {
                max_size: plan.keeping.log.max_size,
                max_files: plan.keeping.log.max_files,
            };
            writer::prepare(&half.join(LOG), limits)?;
        }
        let mut papers = Self::write(half.to_owned(), about, plan, Some(lock))?;
        sync_all(half).or_fail(Kind::Host, || {
            format!("cannot write {} to disk", half.display())
        })?;
        remove(kept)?;
        fs::rename(half, kept)
            .and_then(|()| kept.parent().map_or(Ok(()), sync))
            .or_fail(Kind::Host, || format!("cannot make {}", kept.display()))?;
        papers.dir = kept.to_owned();
        Ok(papers)
    }

    fn write(dir: PathBuf, about: About, plan: &Plan, lock: Option<Flock<File>>) -> Result<Self> {
        let cannot = || format!("cannot write {}", dir.display());
        let write = |name: &str, bytes: Vec<u8>| write_private(&dir.join(name), &bytes);
        let json = |value: serde_json::Result<Vec<u8>>| value.or_fail(Kind::Host, cannot);
        let (about_json, plan_json) = (
            json(serde_json::to_vec_pretty(&about))?,
            json(serde_json::to_vec_pretty(plan))?,
        );
        write(ABOUT, about_json)
            .and_then(|()| write(PLAN, plan_json))
            .and_then(|()| write(VERDICT, vec![b' '; ROOM]))
            .or_fail(Kind::Host, cannot)?;
        let verdict = File::options()
            .write(true)
            .open(dir.join(VERDICT))
            .or_fail(Kind::Host, cannot)?;
        Ok(Self {
            dir,
            about,
            verdict,
            started: Cell::new(false),
            _lock: lock,
        })
    }

    /// Where the log is, where there is one.
    pub fn log(&self) -> Option<PathBuf> {
        self.about.logged.then(|| self.dir.join(LOG))
    }

    /// The payload has been started; `pid` is the container's first process.
    pub fn say_started(&self, pid: u32) -> Result<()> {
        self.started.set(true);
        let started = Started {
            started_at: now(),
            pid,
        };
        let cannot = || format!("cannot write {}", self.dir.join(STARTED).display());
        let json = serde_json::to_vec(&started).or_fail(Kind::Host, cannot)?;
        let half = self.dir.join("started.new");
        write_private(&half, &json)
            .and_then(|()| fs::rename(&half, self.dir.join(STARTED)))
            .or_fail(Kind::Host, cannot)
    }

    /// Says how it ended, before anything is undone: whoever waits learns it even if we die over that.
    pub fn say_end(&self, cause: &Cause) -> Result<()> {
        self.say(end_of(&self.about, cause, Some(now()))?)
    }

    /// Everything is undone: writes the last word, or removes what is not to be kept. A run that was never
    /// started has been told of, and leaves nothing.
    pub async fn close(&self, verdict: &Verdict) -> Result<()> {
        if !self.about.detached {
            return Ok(());
        }
        if let Some(log) = self.log() {
            // In a thread of its own: one that hangs is not waited for.
            let end = tokio::task::spawn_blocking(move || writer::wait_for_end(&log));
            let limit = match verdict.leftovers.is_empty() {
                true => LOG_LIMIT,
                false => STUCK_LOG_LIMIT,
            };
            let _ = tokio::time::timeout(limit, end).await;
        }
        if self.about.remove || !self.started.get() {
            return remove(&self.dir);
        }
        let json =
            serde_json::to_value(verdict).or_fail(Kind::Host, || "cannot write the verdict")?;
        let mut said = self.said()?;
        said.extend(json.as_object().cloned().unwrap_or_default());
        self.say(said)?;
        // It shall survive a power cut; nobody waits for this.
        self.verdict
            .sync_data()
            .or_fail(Kind::Host, || "cannot write the verdict to disk")
    }

    fn said(&self) -> Result<Map<String, Value>> {
        Ok(End::read(&self.dir)?
            .map(|end| end.whole)
            .unwrap_or_default())
    }

    fn say(&self, verdict: Map<String, Value>) -> Result<()> {
        write_verdict(&self.verdict, &verdict).or_fail(Kind::Host, || {
            format!("cannot write {}", self.dir.join(VERDICT).display())
        })
    }
}

/// Reads a paper of those in `dir`; None where it is not there, or is not what it should be.
pub fn read<T: for<'a> Deserialize<'a>>(dir: &Path, paper: &Paper) -> Option<T> {
    serde_json::from_slice(&fs::read(dir.join(paper.name())).ok()?).ok()
}

/// Those that are read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the files")]
pub enum Paper {
    About,
    Plan,
    Started,
}

impl Paper {
    fn name(self) -> &'static str {
        match self {
            Self::About => ABOUT,
            Self::Plan => PLAN,
            Self::Started => STARTED,
        }
    }
}

/// The verdict among the papers in `dir`, be it written or not.
pub fn open_verdict(dir: &Path) -> Option<File> {
    File::open(dir.join(VERDICT)).ok()
}

/// Whether an owner lives who has yet to say how the run of the papers in `dir` ended.
pub fn have_an_owner(dir: &Path) -> bool {
    // In this order: the end is said first, and then the lock is released.
    is_locked(dir) && matches!(End::read(dir), Ok(None))
}

/// Where the log of the papers in `dir` is.
pub fn log(dir: &Path) -> PathBuf {
    dir.join(LOG)
}

/// The owner of the run that `record` is of has died, and we hold its name: says so where something is
/// kept, unless nothing is to be. What had not been started is told by the exit code of `run -d`.
pub fn owner_died(state: &State, record: &Record) -> Result<()> {
    remove(&half(state, &record.id))?;
    let dir = state.kept(&record.id);
    let Some(about) = read::<About>(&dir, &Paper::About) else {
        return Ok(());
    };
    if End::read(&dir)?.is_some() && !about.remove {
        return Ok(());
    }
    let boot_id = host::boot_id()?;
    // What says that it was started is not on disk at once: after a power cut, its absence says nothing.
    let was_started = dir.join(STARTED).exists() || about.boot_id != boot_id;
    if about.remove || !was_started {
        return remove(&dir);
    }
    let cause = lost(&about, &boot_id);
    let cannot = || format!("cannot write {}", dir.join(VERDICT).display());
    let file = File::options()
        .write(true)
        .open(dir.join(VERDICT))
        .or_fail(Kind::Host, cannot)?;
    write_verdict(&file, &end_of(&about, &cause, None)?).or_fail(Kind::Host, cannot)
}

/// Whether the end of the run that `record` is of is said.
pub fn is_told(state: &State, record: &Record) -> bool {
    let dirs = [state.directory(&record.id), state.kept(&record.id)];
    dirs.iter().any(|dir| {
        read::<About>(dir, &Paper::About).is_some_and(|about| about.token == record.token)
            && matches!(End::read(dir), Ok(Some(_)))
    })
}

/// Removes papers.
pub fn remove(dir: &Path) -> Result<()> {
    // Where the data directory is none, nothing has been kept in it.
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    match fs::remove_dir_all(dir) {
        Err(why) if !absent.contains(&why.kind()) => {
            Err(Failure::host(format!("cannot remove {}", dir.display())).because(why))
        }
        _ => Ok(()),
    }
}

/// Has what says that there is a run outlast a power cut. That of its start and its end need not: without them
/// it is lost, which it is then.
fn sync_all(dir: &Path) -> io::Result<()> {
    sync(&dir.join(ABOUT))?;
    sync(&dir.join(PLAN))?;
    sync(dir)
}

fn sync(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // fsync(2): there are file systems that know no such thing, for directories above all.
        Err(why) if why.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// The lock of the papers in `dir`, opened so.
fn lock_of(dir: &Path, options: &OpenOptions) -> Result<Flock<File>> {
    options
        .open(dir.join(LOCK))
        .and_then(|file| {
            // Who waits for an end has it for a moment when an owner dies.
            let locked = Flock::lock(file, FlockArg::LockExclusive);
            locked.map_err(|(_, errno)| errno.into())
        })
        .or_fail(Kind::Host, || format!("cannot lock {}", dir.display()))
}

/// Where papers are made that are to be kept.
fn half(state: &State, id: &ContainerId) -> PathBuf {
    state.kept(id).with_file_name(format!(".{id}"))
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
