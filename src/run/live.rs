//! From nothing to the payload's end: create, start, hand over, watch.
//!
//! In: a launch, and the papers to write into. Out: how it ended; an error where the payload never ran. Nothing
//! is undone here.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::oneshot::Receiver;
use tokio::time::timeout;

use super::detached;
use super::early::{Attempt, Early};
use super::end::End;
use super::fifo::Fifos;
use super::first::FirstProcess;
use super::guard::Beside;
use super::hand_over::hand_over;
use super::job::Job;
use super::launch::{Created, Launch};
use super::note::Note;
use super::papers::{Holding, Papers};
use super::process::TaskProcess;
use super::signals::Signals;
use super::step::{Step, reached};
use super::supervise::{Supervisor, WaitForTask};
use super::task::{NotStarted, TaskStdio};
use super::terminal::Terminal;
use super::verdict::Phases;
use super::wait;
use crate::config::values::OwnerDeath;
use crate::containerd::Client;
use crate::control::Orders;
use crate::failure::{Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::{Leash, Listener, pids};

/// A start that takes longer is one that containerd or the shim is in the way of.
const START_USUALLY: Duration = Duration::from_secs(2);

/// From nothing to the payload's end.
pub async fn live(
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
pub fn wait_for_task(client: &Client, id: &ContainerId) -> WaitForTask {
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
