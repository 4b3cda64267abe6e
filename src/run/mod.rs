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
pub mod launch;
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

use std::pin::pin;
use std::time::Duration;

use tokio::sync::oneshot::Receiver;
use tokio::time::{Instant, timeout};

use self::adopt::Orphan;
use self::earlier::Earlier;
use self::early::{Attempt, Early};
use self::end::End;
use self::fifo::Fifos;
use self::first::FirstProcess;
use self::guard::Beside;
use self::hand_over::hand_over;
use self::launch::{Created, Launch};
use self::note::Note;
use self::papers::{Holding, Papers};
use self::process::TaskProcess;
pub use self::readable::MustRead;
use self::record::Record;
use self::signals::Signals;
use self::state::{RunDir, State};
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
use crate::leash::{Leash, Listener, pids};
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
    /// Told when the payload has been started.
    pub on_start: &'a dyn Fn(),
    /// Who holds it.
    pub holding: Holding,
}

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
}

/// Runs the plan to its end. `phases` has been started by the caller, when the command was.
///
/// An error means that nothing was begun; a run that failed half-way is an outcome.
pub async fn execute(job: Job<'_>, mut phases: Phases) -> Result<Executed> {
    job.check_streams()?;
    let mut signals = Signals::listen()?;
    let begun = begin(job, &mut signals).await?;
    phases.lap("record");
    let (record, client, dir, heir_of, ran) = match begun {
        Begun::Nothing => return Ok(Executed::Held),
        Begun::PickedUp(orphan) => {
            (job.on_start)();
            let heir_of = Some(orphan.heir_of);
            let taken = orphan.run(job, &mut signals, &mut phases).await;
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
            let ran = run(launch, &mut signals, &mut phases).await;
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
        let over = Record {
            on_owner_death: OwnerDeath::Kill,
            ..record
        };
        verdict
            .leftovers
            .extend(dir.rewrite(&over).err().map(|why| why.to_string()));
    }
    Ok(Executed::Ended(Box::new(Outcome { verdict, failure })))
}

/// What a run begins with.
enum Begun {
    /// Its own record, and nothing else yet.
    Made(Box<Record>, RunDir),
    /// A run with the same key that has lost its owner.
    PickedUp(Box<Orphan>),
    /// Another one with the same key lives, and may go on.
    Nothing,
}

async fn begin(job: Job<'_>, signals: &mut Signals) -> Result<Begun> {
    loop {
        if let Some(key) = &job.plan.key {
            match job.earlier(key, signals).await? {
                Earlier::Nothing => {}
                Earlier::Orphaned(orphan) => return Ok(Begun::PickedUp(orphan)),
                Earlier::Living => return Ok(Begun::Nothing),
            }
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

/// From nothing to the payload's end.
async fn live(
    launch: Launch<'_>,
    papers: &Papers,
    signals: &mut Signals,
    mut orders: Orders,
    phases: &mut Phases,
) -> Result<End> {
    let Launch { job, record, dir } = launch;
    let is_kept = record.on_owner_death == OwnerDeath::Keep;
    let process = &job.plan.process;
    let fifos = if process.init || job.is_detached() {
        None
    } else {
        Some(Fifos::prepare(process.streams(), dir.path())?)
    };
    let others = match job.holding {
        Holding::Detached => detached::task_stdio(process, papers)?,
        Holding::Foreground => TaskStdio::default(),
    };
    let mut early = Early {
        time_limit: job.time_limit(phases),
        signals,
        orders: &mut orders,
    };
    let task_stdio = fifos.as_ref().map_or(&others, |fifos| &fifos.task);
    let creating = launch.create(task_stdio, phases);
    let Created { pid, listener } = match early.unless_asked(creating).await? {
        Attempt::Done(created) => created,
        Attempt::Ended(end) => return Ok(end),
    };

    let mut task = wait_for_task(job.client, &job.plan.id);
    detached::check_log(papers)?;
    let on_start = |inside: Option<i32>| {
        // The payload runs: nothing may keep us from watching it. A disk that is full costs the time in a
        // list, and what an heir would know.
        if is_kept {
            let _ = Note::Begun(inside).write(dir.path());
        }
        let _ = papers.say_started(pid);
        (job.on_start)();
    };
    let group = record.present_group()?;
    let beside = Beside::of(job.client, record, dir, &group);
    let first = FirstProcess::hold(pid, group);
    let output;
    let mut terminal = None;
    let mut others_stdin = None;
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
        (output, others_stdin) = hand_over(job, &leash)?;
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
        on_start(None);
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
        beside,
        leash,
        terminal,
        interactive: process.interactive && !job.is_detached(),
        takes_keys: process.interactive,
        stdin: others_stdin,
        output,
        payload: None,
        on_start: &|inside| on_start(Some(inside)),
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

/// Tells the shim when our stdin has ended; it holds the FIFO open itself.
fn close_stdin_at_its_end(job: Job<'_>, stdin: Option<Receiver<()>>) {
    let Some(ended) = stdin else { return };
    let (client, id) = (job.client.clone(), job.plan.id.clone());
    tokio::spawn(async move {
        if ended.await.is_ok() {
            // A task that has ended needs no such call.
            let _ = TaskProcess::first(&client, &id).close_stdin().await;
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
    /// The conflicts that only a real run has: a plan or a bundle can be made anywhere.
    fn check_streams(&self) -> Result<()> {
        let process = &self.plan.process;
        if self.is_detached() {
            return detached::check(self.plan);
        }
        let wanted = process.terminal && process.interactive;
        if wanted && self.survey.descriptor(0) != Some(Descriptor::Terminal) {
            return Err(terminal::none());
        }
        Ok(())
    }

    fn is_detached(&self) -> bool {
        self.holding == Holding::Detached
    }

    fn papers(&self, dir: &RunDir, record: &Record) -> Result<Papers> {
        let shown = self.plan.clone().masked();
        Papers::begin(self.state, dir, record, &shown, self.holding)
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
            stop_signal: plan.stop.signal,
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
