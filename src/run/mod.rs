//! The life of a run: launch, supervise, clean up, verdict.
//!
//! [`execute`] takes a plan to its end. Whatever happens in between, cleanup comes last and needs only
//! the record, which is the first thing written.

pub mod cleanup;
mod early;
mod end;
pub mod fenced;
pub mod fifo;
mod first;
pub mod guard;
pub mod launch;
mod orders;
pub mod preview;
mod progress;
mod readable;
pub mod record;
mod release;
mod rootfs;
pub mod runc;
mod shim;
pub mod signals;
pub mod state;
pub mod stdio;
pub mod step;
mod supervise;
pub mod terminal;
pub mod thread;
pub mod verdict;
mod wait;

use std::process;

use tokio::sync::oneshot::Receiver;
use tokio::time::Instant;

use self::early::{Attempt, Early};
use self::end::End;
use self::fifo::Fifos;
use self::first::FirstProcess;
use self::guard::Beside;
use self::launch::{Created, Launch, TaskStdio};
pub use self::readable::MustRead;
use self::record::Record;
use self::signals::Signals;
use self::state::{RunDir, State};
use self::stdio::{Output, Stdio};
use self::step::{Step, reached};
use self::supervise::{Supervisor, WaitForTask};
use self::terminal::Terminal;
use self::verdict::{Cause, Phases, RunFacts, Verdict};
use crate::cgroup::{Group, Usage};
use crate::containerd::Client;
use crate::control::{Door, Orders};
use crate::failure::{Failure, Kind, Result};
use crate::image::Image;
use crate::leash::{Leash, Listener, Payload, pids};
use crate::plan::{MountKind, Plan};
use crate::survey::{Descriptor, Survey};

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
    let record = job.record();
    // Cleanup removes everything of this name: nothing of it may be somebody else's.
    cleanup::must_be_free(&record, job.client).await?;
    let dir = job.state.create(&record)?;
    phases.lap("record");
    reached(Step::Record);

    // Others may ask for an end until the end.
    let (_door, lived) = match Door::open(dir.path()) {
        Ok((door, orders)) => {
            let lived = live(job, &record, &dir, &mut signals, orders, &mut phases).await;
            (Some(door), lived)
        }
        Err(why) => (None, Err(why)),
    };
    reached(Step::End);
    let usage = job.usage();
    let leftovers = cleanup::undo(&record, job.client, job.state, dir).await;
    phases.lap("cleanup");

    let (cause, failure) = match lived {
        Ok(end) => (end.cause(job.program(), &usage), None),
        Err(failure) => (Cause::start_failed(&failure), Some(failure)),
    };
    Ok(Outcome {
        verdict: Verdict::new(job.facts(), cause, phases, usage, leftovers),
        failure,
    })
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
    let process = &job.plan.process;
    let fifos = if process.init {
        None
    } else {
        Some(Fifos::prepare(process.streams(), dir.path())?)
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

    let mut task = wait_for_task(job);
    let group = job.group()?;
    let beside = Beside {
        client: job.client.clone(),
        id: job.plan.id.clone(),
        dir: dir.path().to_owned(),
        group: group.clone(),
    };
    let first = FirstProcess::hold(pid, group);
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
        launch.start().await?;
        phases.lap("start");
        reached(Step::Start);
        terminal.iter().for_each(Terminal::resize);
        close_stdin_at_its_end(job, stdin);
        output = fifos.map(|fifos| fifos.output).unwrap_or_default();
        None
    };
    let supervisor = Supervisor {
        stop: job.plan.stop,
        time_limit: early.time_limit,
        signals: early.signals,
        orders: early.orders,
        first,
        beside,
        leash,
        terminal,
        interactive: process.interactive,
        output,
    };
    Ok(supervisor.watch(task, phases).await)
}

/// Starts the init and waits for its call.
async fn start_init(
    launch: Launch<'_>,
    listener: Listener,
    task: &mut WaitForTask,
) -> Result<Leash> {
    launch.start().await?;
    reached(Step::Start);
    tokio::select! {
        leash = listener.accept() => leash,
        end = task => Err(init_failed(&end)),
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
fn wait_for_task(job: Job<'_>) -> WaitForTask {
    let (client, id) = (job.client.clone(), job.plan.id.clone());
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
            return Err(terminal::none());
        }
        Ok(())
    }

    fn record(&self) -> Record {
        let plan = self.plan;
        let anonymous = plan
            .mounts
            .iter()
            .any(|mount| matches!(mount.kind, MountKind::Anonymous(_)));
        Record {
            id: plan.id.clone(),
            boot_id: self.survey.facts.boot_id.clone(),
            owner: process::id(),
            address: self.connection.address.clone(),
            namespace: self.connection.namespace.clone(),
            snapshotter: plan.image.snapshotter.clone(),
            cgroup_mount_path: plan.cgroup.mount_path.clone(),
            cgroup_subpath: plan.cgroup.subpath.clone(),
            volumes: anonymous.then(|| self.state.volumes(&plan.id)),
        }
    }

    fn group(&self) -> Result<Group> {
        let cgroup = &self.plan.cgroup;
        let group = Group::find(&cgroup.mount_path, &cgroup.subpath, &self.plan.id)?;
        group.ok_or_else(|| {
            Failure::host(format!(
                "the container has no cgroup {}",
                self.facts().cgroup
            ))
        })
    }

    fn usage(&self) -> Usage {
        self.group().map(|group| group.usage()).unwrap_or_default()
    }

    fn time_limit(&self, phases: &Phases) -> Option<Instant> {
        let limit = self.plan.stop.time_limit?;
        Instant::from_std(phases.started()).checked_add(limit)
    }

    fn program(&self) -> &str {
        self.plan.process.args.first().map_or("", String::as_str)
    }

    fn facts(&self) -> RunFacts {
        RunFacts {
            id: self.plan.id.clone(),
            image: self.plan.image.name.clone(),
            image_digest: self.plan.image.digest.clone(),
            cgroup: self.plan.cgroup_path(),
        }
    }
}
