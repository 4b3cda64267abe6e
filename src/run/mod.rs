//! The life of a run: launch, supervise, clean up, verdict.
//!
//! [`execute`] takes a plan to its end. Whatever happens in between, cleanup comes last and needs only
//! the record, which is the first thing written.

pub mod adopt;
pub mod belongings;
pub mod cleanup;
mod detached;
mod earlier;
mod early;
mod end;
pub mod fenced;
pub mod fifo;
pub mod first;
pub mod guard;
mod hand_over;
mod job;
pub mod last_words;
pub mod launch;
mod live;
mod names;
pub mod note;
mod orders;
pub mod papers;
pub mod preview;
pub mod process;
mod progress;
mod readable;
pub mod record;
mod release;
mod residue;
mod rootfs;
pub mod runc;
pub mod seen;
mod shim;
pub mod signals;
pub mod state;
pub mod stdio;
pub mod step;
mod supervise;
pub mod task;
pub mod terminal;
pub mod thread;
pub mod verdict;
mod viewers;
pub mod volumes;
mod wait;

use self::adopt::Orphan;
use self::earlier::Earlier;
use self::end::End;
pub use self::job::{Beginning, Connection, Job};
use self::launch::Launch;
use self::live::live;
use self::papers::Papers;
pub use self::readable::MustRead;
use self::record::Record;
use self::signals::Signals;
use self::state::RunDir;
use self::step::{Step, reached};
use self::verdict::{Cause, Phases, RunFacts, Verdict};
use crate::config::values::OwnerDeath;
use crate::control::{Door, Orders};
use crate::failure::{Failure, Result};

/// The verdict, and for a run that did not start the failure behind it.
#[derive(Debug)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Outcome {
    pub verdict: Verdict,
    pub failure: Option<Failure>,
}

/// What became of a plan.
#[derive(Debug)]
pub enum Executed {
    /// It was run, to its end.
    Ended(Box<Outcome>),
    /// Nothing: another run with its key lives, which it is to be beside (`--on-conflict attach`).
    Held,
    /// Nothing: the run that was to be picked up is not there any more.
    Gone,
}

/// Runs the plan to its end. `phases` has been started by the caller, when the command was.
///
/// An error means that nothing was begun; a run that failed half-way is an outcome.
pub async fn execute(job: Job<'_>, mut phases: Phases, signals: &mut Signals) -> Result<Executed> {
    job.check_streams()?;
    let begun = begin(job, signals).await?;
    phases.lap("record");
    let (record, client, dir, heir_of, ran) = match begun {
        Begun::Nothing(why) => return Ok(why),
        Begun::PickedUp(orphan) => {
            (job.on_start)();
            let heir_of = Some(orphan.heir_of);
            let taken = orphan.run(job, signals, &mut phases).await;
            let (record, client, dir, ran) = taken;
            (record, client, dir, heir_of, ran)
        }
        Begun::Made(record, dir) => {
            reached(Step::Record);
            let launch = Launch {
                job,
                record: &record,
                dir: &dir,
            };
            let ran = run(launch, signals, &mut phases).await;
            (*record, job.client.clone(), dir, None, ran)
        }
    };
    let Ran {
        papers,
        door: _door,
        lived,
    } = ran;
    let group = record.group().ok().flatten();
    let usage = group.map(|group| group.usage()).unwrap_or_default();
    let is_told = matches!(lived, Lived::Told(_));
    let (cause, failure) = match lived {
        Lived::Told(cause) => (cause, None),
        Lived::Seen(end) => (end.cause(job.program(), &usage), None),
        Lived::NotAtAll(failure) => (Cause::start_failed(&failure), Some(failure)),
    };
    let said = papers.as_ref().filter(|_| !is_told);
    let said = said.map(|papers| papers.say_end(&cause));
    let kept_end = papers.as_ref().filter(|papers| papers.are_kept());
    if record.is_kept() && (is_told || matches!(said, Some(Ok(())))) && kept_end.is_some() {
        // Its end is told for good: what is left is nobody's to pick up.
        let _ = dir.rewrite(&record.to_be_undone());
    }
    reached(Step::End);
    let facts = RunFacts::of(&record);
    let mut undone = cleanup::undo_all_but_directory(&record, &client, job.state, &dir).await;
    let unsaid = said.and_then(Result::err).map(|why| why.to_string());
    phases.lap("cleanup");
    let leftovers = undone.left.iter().cloned().chain(unsaid).collect();
    let verdict = Verdict::new(facts, cause, phases, usage, leftovers);
    let mut verdict = verdict.picked_up(heir_of);
    // While the name is ours, so are the papers of that name. Whoever waits for their lock may remove them at
    // once: it is held until the name is nobody's.
    if let Some(papers) = &papers
        && let Err(why) = papers.close(&verdict).await
    {
        verdict.leftovers.push(why.to_string());
    }
    if undone.left.is_empty() {
        cleanup::forget(dir, &mut undone);
        verdict.leftovers.append(&mut undone.left);
    } else if record.on_owner_death != OwnerDeath::Kill {
        // Its end is told: what is left is nobody's to pick up.
        let rewritten = dir.rewrite(&record.to_be_undone());
        verdict
            .leftovers
            .extend(rewritten.err().map(|why| why.to_string()));
    }
    Ok(Executed::Ended(Box::new(Outcome { verdict, failure })))
}

/// What a run begins with.
enum Begun {
    /// Its own record, and nothing else yet.
    Made(Box<Record>, RunDir),
    /// A run with the same key that has lost its owner.
    PickedUp(Box<Orphan>),
    /// And that is how it is.
    Nothing(Executed),
}

async fn begin(job: Job<'_>, signals: &mut Signals) -> Result<Begun> {
    loop {
        if let Some(key) = &job.plan.key {
            match job.earlier(key, signals).await? {
                Earlier::Nothing if job.beginning == Beginning::Heir => {
                    return Ok(Begun::Nothing(Executed::Gone));
                }
                Earlier::Nothing => {}
                Earlier::Orphaned(orphan) => return Ok(Begun::PickedUp(orphan)),
                Earlier::Living => return Ok(Begun::Nothing(Executed::Held)),
            }
        } else {
            names::must_be_free(job.state, &job.plan.id)?;
        }
        let record = job.record()?;
        names::cgroup_must_be_free(&record)?;
        match job.state.create(&record) {
            // Another one with the same key was quicker.
            Err(_) if job.plan.key.is_some() && job.state.record(&record.id)?.is_some() => {}
            made => return made.map(|dir| Begun::Made(Box::new(record), dir)),
        }
    }
}

/// What there is when the payload has ended.
struct Ran {
    papers: Option<Papers>,
    /// Others may ask for an end until the end.
    door: Option<Door>,
    lived: Lived,
}

/// How it came to that.
enum Lived {
    /// We were there.
    Seen(End),
    /// An owner that died has said it already.
    Told(Cause),
    /// It never ran.
    NotAtAll(Failure),
}

impl From<Result<End>> for Lived {
    fn from(lived: Result<End>) -> Self {
        lived.map_or_else(Self::NotAtAll, Self::Seen)
    }
}

async fn run(launch: Launch<'_>, signals: &mut Signals, phases: &mut Phases) -> Ran {
    let (papers, (door, orders)) = match prepare(launch) {
        Ok(prepared) => prepared,
        Err(failure) => {
            return Ran {
                papers: None,
                door: None,
                lived: Lived::NotAtAll(failure),
            };
        }
    };
    let lived = live(launch, &papers, signals, orders, phases).await;
    Ran {
        papers: Some(papers),
        door: Some(door),
        lived: lived.into(),
    }
}

fn prepare(launch: Launch<'_>) -> Result<(Papers, (Door, Orders))> {
    let papers = launch.job.papers(launch.dir, launch.record)?;
    Ok((papers, Door::open(launch.dir.path())?))
}
