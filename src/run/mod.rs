//! The life of a run: launch, supervise, clean up, verdict.
//!
//! [`execute`] takes a plan to its end. Whatever happens in between, cleanup comes last and needs only
//! the record, which is the first thing written.

pub mod adopt;
pub mod belongings;
pub mod cleanup;
mod earlier;
mod early;
mod end;
pub mod fenced;
mod fifo;
mod first;
mod launch;
mod names;
mod note;
mod orders;
pub mod preview;
mod progress;
mod readable;
pub mod record;
mod release;
mod rootfs;
mod runc;
mod shim;
mod signals;
pub mod state;
mod stdio;
pub mod step;
mod supervise;
mod task;
mod terminal;
mod thread;
pub mod verdict;
pub mod volumes;
mod wait;

use std::pin::pin;
use std::time::Duration;

use tokio::sync::oneshot::Receiver;
use tokio::time::{Instant, timeout};

use self::adopt::Orphan;
use self::early::{Attempt, Early};
use self::end::End;
use self::fifo::Fifos;
use self::first::FirstProcess;
use self::launch::{Created, Launch};
use self::note::Note;
pub use self::readable::MustRead;
use self::record::Record;
use self::signals::Signals;
use self::state::{RunDir, State};
use self::stdio::{Output, Stdio};
use self::step::{Step, reached};
use self::supervise::{Supervisor, WaitForTask};
use self::task::{NotStarted, TaskStdio};
use self::terminal::Terminal;
use self::verdict::{Cause, Phases, RunFacts, Verdict};
use crate::config::values::OwnerDeath;
use crate::containerd::Client;
use crate::control::{Door, Orders};
use crate::failure::{Failure, Kind, Result};
use crate::id::ContainerId;
use crate::image::Image;
use crate::leash::{Leash, Listener, Payload, pids};
use crate::owner::Owner;
use crate::plan::{MountKind, Plan};
use crate::survey::{Descriptor, Survey};

/// A start that takes longer is one that containerd or the shim is in the way of.
const START_USUALLY: Duration = Duration::from_secs(2);

/// Where things are, for one run.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the global flags")]
pub struct Connection {
    pub address: String,
    pub namespace: String,
}

/// Everything that one run is about.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Job<'a> {
    pub plan: &'a Plan,
    pub survey: &'a Survey,
    pub image: &'a Image,
    pub client: &'a Client,
    pub connection: &'a Connection,
    pub state: &'a State,
    pub must_read: Option<MustRead<'a>>,
}

/// The verdict, and for a run that did not start the failure behind it.
#[derive(Debug)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Outcome {
    pub verdict: Verdict,
    pub failure: Option<Failure>,
}

/// Runs the plan to its end. `phases` has been started by the caller, when the command was.
///
/// An error means that nothing was begun; a run that failed half-way is an outcome.
pub async fn execute(job: Job<'_>, mut phases: Phases) -> Result<Outcome> {
    job.check_terminal()?;
    let mut signals = Signals::listen()?;
    let begun = begin(job, &mut signals).await?;
    phases.lap("record");
    let (record, client, dir, heir_of, (_door, lived)) = match begun {
        Begun::PickedUp(orphan) => {
            let (door, orders) = Door::open(orphan.dir.path())?;
            let end = orphan.end(job, &mut signals, orders, &mut phases).await;
            let (heir_of, ended) = (Some(orphan.heir_of), (Some(door), Ok(end)));
            (orphan.record, orphan.client, orphan.dir, heir_of, ended)
        }
        Begun::Made(record, dir) => {
            reached(Step::Record);
            // Others may ask for an end until the end.
            let lived = match Door::open(dir.path()) {
                Ok((door, orders)) => {
                    let lived = live(job, &record, &dir, &mut signals, orders, &mut phases).await;
                    (Some(door), lived)
                }
                Err(why) => (None, Err(why)),
            };
            (*record, job.client.clone(), dir, None, lived)
        }
    };
    reached(Step::End);
    let group = record.group().ok().flatten();
    let usage = group.map(|group| group.usage()).unwrap_or_default();
    let (cause, failure) = match lived {
        Ok(end) => (end.cause(job.program(), &usage), None),
        Err(failure) => (Cause::start_failed(&failure), Some(failure)),
    };
    if record.on_owner_death == OwnerDeath::Keep && !cause.is_ours() {
        // Should we die before all of it is undone. Where it cannot be noted, that end is lost.
        let _ = Note::Ended(cause.code()).write(dir.path());
    }
    let facts = RunFacts::of(&record);
    let undone = cleanup::undo(&record, &client, job.state, dir).await;
    phases.lap("cleanup");
    Ok(Outcome {
        verdict: Verdict::new(facts, cause, phases, usage, undone.left).picked_up(heir_of),
        failure,
    })
}

/// What a run begins with.
enum Begun {
    /// Its own record, and nothing else yet.
    Made(Box<Record>, RunDir),
    /// A run with the same key that has lost its owner.
    PickedUp(Box<Orphan>),
}

async fn begin(job: Job<'_>, signals: &mut Signals) -> Result<Begun> {
    loop {
        if let Some(key) = &job.plan.key
            && let Some(orphan) = job.earlier(key, signals).await?
        {
            return Ok(Begun::PickedUp(Box::new(orphan)));
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

/// From nothing to the payload's end.
async fn live(
    job: Job<'_>,
    record: &Record,
    dir: &RunDir,
    signals: &mut Signals,
    mut orders: Orders,
    phases: &mut Phases,
) -> Result<End> {
    let launch = Launch { job, record, dir };
    let is_kept = record.on_owner_death == OwnerDeath::Keep;
    let process = &job.plan.process;
    let fifos = if process.init {
        None
    } else {
        Some(Fifos::prepare(process, dir.path())?)
    };
    let nothing = TaskStdio::default();
    let mut early = Early {
        time_limit: job.time_limit(phases),
        signals,
        orders: &mut orders,
    };
    let task_stdio = fifos.as_ref().map_or(&nothing, |fifos| &fifos.task);
    let creating = launch.create(task_stdio, phases);
    let Created { pid, listener } = match early.unless_asked(creating).await? {
        Attempt::Done(created) => created,
        Attempt::Ended(end) => return Ok(end),
    };

    let mut task = wait_for_task(job.client, &job.plan.id);
    let first = FirstProcess::hold(pid, record.present_group()?);
    let mut output = Output::default();
    let mut terminal = None;
    let leash = if let Some(listener) = listener {
        let starting = start_init(launch, listener, &mut task);
        let leash = match early.unless_asked(starting).await? {
            Attempt::Done(leash) => leash,
            Attempt::Ended(end) => return Ok(end),
        };
        if process.random_pids {
            randomise_pids(pid)?;
        }
        leash.when_alone(job.plan.stop.when_alone())?;
        if is_kept {
            Note::Asked.write(dir.path())?;
        }
        output.copies = hand_over(job, &leash)?;
        Some(leash)
    } else {
        if process.terminal {
            // What the payload writes first is meant for a raw terminal already.
            let made = Terminal::of_task(job.client, &job.plan.id, process.interactive)?;
            terminal = Some(made);
        }
        // From the start on nothing may fail here: the payload runs.
        let stdin = fifos.as_ref().map(Fifos::feed).transpose()?.flatten();
        match start_payload(launch, &first, &mut early).await {
            Ok(Attempt::Done(())) => {}
            Ok(Attempt::Ended(end)) => return Ok(end),
            Err(NotStarted::Refused(failure)) => return Err(failure),
            Err(NotStarted::Unknown(failure)) => return Ok(End::lost(&failure)),
        }
        phases.lap("start");
        reached(Step::Start);
        terminal.iter().for_each(Terminal::resize);
        close_stdin_at_its_end(job, stdin);
        output = fifos.map(|fifos| fifos.output).unwrap_or_default();
        None
    };
    let supervisor = Supervisor {
        record,
        stop: job.plan.stop,
        time_limit: early.time_limit,
        signals: early.signals,
        orders: early.orders,
        first,
        leash,
        terminal,
        interactive: process.interactive,
        output,
        payload: None,
        note_in: is_kept.then_some(dir.path()),
    };
    Ok(supervisor.watch(task, phases).await)
}

/// Starts the init and waits for its call, which counts more than containerd's answer.
async fn start_init(
    launch: Launch<'_>,
    listener: Listener,
    task: &mut WaitForTask,
) -> Result<Leash> {
    let mut starting = pin!(launch.start());
    let mut calling = pin!(listener.accept());
    let called = tokio::select! {
        biased;
        started = &mut starting => {
            started?;
            None
        }
        leash = &mut calling => {
            // A call that is given up too early is one that containerd gives up.
            let _ = timeout(START_USUALLY, starting).await;
            Some(leash)
        }
    };
    reached(Step::Start);
    if let Some(leash) = called {
        return leash;
    }
    tokio::select! {
        leash = calling => leash,
        end = task => Err(init_failed(&end)),
    }
}

/// Starts a payload that has no init. What is sent to us meanwhile is for the payload, unless this takes
/// long: then containerd or the shim is in the way, and neither an end that is asked for nor the payload's
/// own waits for that.
async fn start_payload(
    launch: Launch<'_>,
    first: &FirstProcess,
    early: &mut Early<'_>,
) -> Result<Attempt<()>, NotStarted> {
    let mut starting = pin!(launch.start());
    match timeout(START_USUALLY, &mut starting).await {
        Ok(started) => started.map(Attempt::Done),
        Err(_) => {
            let started = async {
                tokio::select! {
                    started = starting => started,
                    () = first.ended() => Ok(()),
                }
            };
            early.unless_asked(started).await
        }
    }
}

/// Makes the payload's pid, which the init is about to give it, a random one.
fn randomise_pids(init: u32) -> Result<()> {
    pids::randomise(init).map_err(|why| {
        Failure::host("cannot give the payload a random pid")
            .because(why)
            .hint("--random-pids=false (RANDOM_PIDS in airflow.cfg) does without; it takes Linux with CONFIG_CHECKPOINT_RESTORE and a /proc/sys that can be written")
    })
}

/// Starts waiting before the task is started, so that its end cannot be missed.
fn wait_for_task(client: &Client, id: &ContainerId) -> WaitForTask {
    let (client, id) = (client.clone(), id.clone());
    let waiting = tokio::spawn(async move { wait::task_end(&client, &id).await });
    Box::pin(async move {
        // The task cannot panic and is never aborted.
        waiting
            .await
            .unwrap_or_else(|why| wait::TaskEnd::Lost(why.to_string()))
    })
}

/// Gives the payload its descriptors.
fn hand_over(job: Job<'_>, leash: &Leash) -> Result<Vec<stdio::Copy>> {
    let process = &job.plan.process;
    let mut descriptors = stdio::passed(&process.pass_fds)?;
    let mut copies = Vec::new();
    let terminal = process.terminal.then(terminal::window_size);
    if !process.terminal {
        let stdio = Stdio::prepare(process, job.survey)?;
        descriptors.extend((0..).zip(stdio.inside));
        copies = stdio.copies;
    }
    leash.start(Payload {
        terminal,
        descriptors,
    })?;
    Ok(copies)
}

/// Tells the shim when our stdin has ended; it holds the FIFO open itself.
fn close_stdin_at_its_end(job: Job<'_>, stdin: Option<Receiver<()>>) {
    let Some(ended) = stdin else { return };
    let (client, id) = (job.client.clone(), job.plan.id.clone());
    tokio::spawn(async move {
        if ended.await.is_ok() {
            // A task that has ended needs no such call.
            let _ = launch::close_stdin(&client, &id).await;
        }
    });
}

fn init_failed(end: &wait::TaskEnd) -> Failure {
    Failure::new(Kind::Host, "the init inside the container could not start")
        .because(match end {
            wait::TaskEnd::Status(status) => format!("it ended with status {status}"),
            wait::TaskEnd::Lost(why) => why.clone(),
        })
        .hint("--no-init runs the payload without it")
}

impl Job<'_> {
    /// The one conflict that only a real run has: a plan or a bundle can be made anywhere.
    fn check_terminal(&self) -> Result<()> {
        let process = &self.plan.process;
        let wanted = process.terminal && process.interactive;
        if wanted && self.survey.descriptor(0) != Some(Descriptor::Terminal) {
            return Err(
                Failure::usage("-i with -t needs a terminal, and stdin is none")
                    .hint("leave out -t when input comes from a pipe or file"),
            );
        }
        Ok(())
    }

    fn record(&self) -> Result<Record> {
        let plan = self.plan;
        let anonymous = plan
            .mounts
            .iter()
            .any(|mount| matches!(mount.kind, MountKind::Anonymous(_)));
        let [state, _] = self.state.directories();
        Ok(Record {
            id: plan.id.clone(),
            token: ContainerId::random()?.to_string(),
            owner: Owner::this_process()?,
            state: state.to_owned(),
            address: self.connection.address.clone(),
            namespace: self.connection.namespace.clone(),
            image: plan.image.name.clone(),
            image_digest: plan.image.digest.clone(),
            snapshotter: plan.image.snapshotter.clone(),
            cgroup_mount_path: plan.cgroup.mount_path.clone(),
            cgroup_subpath: plan.cgroup.subpath.clone(),
            on_owner_death: plan.stop.owner_death,
            stop_timeout: plan.stop.timeout,
            volumes: anonymous.then(|| self.state.volumes(&plan.id)),
        })
    }

    fn time_limit(&self, phases: &Phases) -> Option<Instant> {
        let limit = self.plan.stop.time_limit?;
        Instant::from_std(phases.started()).checked_add(limit)
    }

    fn program(&self) -> &str {
        self.plan.process.args.first().map_or("", String::as_str)
    }
}
