//! A command beside the payload of a living run, as `docker exec` starts it: in its namespaces and cgroup, with
//! its limits and powers.
//!
//! In: a run and what is wanted. Out: how the command ended. It dies with us, SIGKILL included: the run's owner
//! guards it ([`crate::run::guard`]). Only a detached one goes on, until the run ends, and needs nothing of us any more.

mod calls;
mod process;

use std::cell::Cell;
use std::fs::DirBuilder;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_spec::runtime::Process;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use self::calls::Calls;
pub use self::process::Wish;
use super::Living;
use crate::containerd::{self, Client};
use crate::control::Caller;
use crate::control::message::{Guarded, Request};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::{pidfd, watch};
use crate::plan::Streams;
use crate::run::fifo::Fifos;
use crate::run::guard;
use crate::run::runc::explain_command;
use crate::run::signals::{ENDS, IMPATIENT, Signals};
use crate::run::stdio::Output;
use crate::run::task::TaskStdio;
use crate::run::terminal::{self, Terminal};
use crate::run::thread::on_a_thread;
use crate::spec::rootfs_files;
use crate::spec::user::Accounts;

/// From the death of the process to containerd's word of it, which a stopped shim never gives.
const WORD: Duration = Duration::from_secs(30);
/// How long a containerd that is well takes at most to say that it is there.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks whether someone else holds the process's output open.
const LOOK: Duration = Duration::from_millis(500);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this code; 128 and the signal's number if it died of one.
    Code(u8),
    /// It goes on without us.
    Detached,
}

/// Starts `wish` beside the payload and stays with it to its end.
pub async fn attached(run: &Living, wish: &Wish, streams: Streams) -> Result<End> {
    if streams.interactive
        && streams.terminal
        && !std::io::IsTerminal::is_terminal(&std::io::stdin())
    {
        return Err(terminal::none());
    }
    let mut signals = Signals::listen()?;
    let (starts, mut waiting) = (Cell::new(false), Vec::new());
    let begun = {
        let mut beginning = std::pin::pin!(begin(run, wish, streams, &starts));
        loop {
            tokio::select! {
                biased;
                begun = &mut beginning => break begun?,
                number = signals.next() => {
                    // One that is being started gets it, unless somebody asks for an end again. What was
                    // begun, the guard ends.
                    let again = waiting.iter().any(|before| ENDS.contains(before));
                    if ENDS.contains(&number) && (again || !starts.get()) {
                        let what = "the command was interrupted before it ran";
                        return Err(Failure::new(Kind::Interrupted(number), what));
                    }
                    waiting.push(number);
                }
            }
        }
    };
    waiting.into_iter().for_each(|number| begun.send(number));
    // Without an end that is known, the guard ends it as well.
    let code = begun.until_end(&mut signals).await?;
    let mut output = begun.output;
    finish(&mut output, &mut signals).await;
    // What is to be undone, the owner undoes: that may take a moment. One that is gone has ended all.
    let _ = begun.guard.tell(&Guarded::Over, &[]);
    Ok(End::Code(code))
}

/// Starts `wish` beside the payload and leaves it there; it has no input, and its output goes nowhere.
pub async fn detached(run: &Living, wish: &Wish) -> Result<End> {
    let calls = reach(run).await?;
    // Nobody would be at its terminal, and the shim wants a place for what it shows.
    let wish = &Wish {
        terminal: false,
        ..wish.clone()
    };
    let process = process(run, &calls, wish).await?;
    // Until it is left to the guard, it ends with us however we end, half started too.
    let guard = run.ask(&Request::Guard(calls.name.clone())).await?;
    calls.create(&process, &TaskStdio::default()).await?;
    let started = calls.start().await;
    started.map_err(|why| not_started(why, wish))?;
    let cannot = || format!("cannot leave the command beside run {}", run.id);
    match guard.agrees(&Guarded::Detached).await {
        Ok(true) => Ok(End::Detached),
        Ok(false) => Err(Failure::host(cannot()).because("the run's owner does not answer")),
        Err(why) => Err(Failure::host(cannot()).because(why)),
    }
}

/// The containerd of the run.
async fn reach(run: &Living) -> Result<Calls> {
    let record = &run.record;
    containerd::reach(&record.address).await?;
    let client = Client::new(&record.address, &record.namespace)?;
    let answers = client.answers_within(ANSWER, &record.address);
    answers
        .await
        .map_err(|why| Failure::new(Kind::Containerd, "cannot start a command").because(why))?;
    Ok(Calls {
        client,
        id: run.id.clone(),
        name: ContainerId::random()?,
    })
}

async fn process(run: &Living, calls: &Calls, wish: &Wish) -> Result<Process> {
    let of_run = calls.process_of_run().await?;
    let accounts = match wish.user {
        Some(_) => accounts(run, calls.first_pid().await?).await?,
        None => Accounts::default(),
    };
    process::process(&of_run, wish, &accounts)
}

/// What the container's own passwd and group say now. Its root directory is that of its first process.
async fn accounts(run: &Living, pid: u32) -> Result<Accounts> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let accounts = on_a_thread("accounts", move || rootfs_files::read_accounts(&root)).await?;
    // Looked at afterwards: until then the pid has not been another process's.
    match is_in(run, i32::try_from(pid).unwrap_or_default())? {
        true => Ok(accounts),
        false => Err(Failure::usage(format!("run {} is ending", run.id))),
    }
}

fn is_in(run: &Living, pid: i32) -> Result<bool> {
    match run.record.group()? {
        Some(group) => Ok(group.pids()?.contains(&pid)),
        None => Ok(false),
    }
}

fn not_started(why: containerd::Error, wish: &Wish) -> Failure {
    explain_command(why, wish.args.first().map_or("", String::as_str))
}

/// A process that runs, with us at its streams.
struct Begun {
    calls: Calls,
    guard: Caller,
    handle: Option<AsyncFd<OwnedFd>>,
    screen: Option<Terminal>,
    output: Output,
}

/// Starts it, guarded from before it exists; `starts` says when containerd is told to.
async fn begin(run: &Living, wish: &Wish, streams: Streams, starts: &Cell<bool>) -> Result<Begun> {
    let Streams {
        interactive,
        terminal,
    } = streams;
    let calls = reach(run).await?;
    let process = process(run, &calls, wish).await?;
    let guard = run.ask(&Request::Guard(calls.name.clone())).await?;
    let dir = guard::directory(&run.dir, &calls.name);
    DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .or_fail(Kind::Host, || format!("cannot make {}", dir.display()))?;
    let fifos = Fifos::prepare(streams, &dir)?;
    calls.create(&process, &fifos.task).await?;
    let name = calls.name.as_str();
    let screen = match terminal {
        true => Some(Terminal::of_process(
            &calls.client,
            &calls.id,
            name,
            interactive,
        )?),
        false => None,
    };
    starts.set(true);
    let started = calls.start().await;
    let pid = started.map_err(|why| not_started(why, wish))?;
    let handle = hold(run, &guard, pid)?;
    screen.iter().for_each(Terminal::resize);
    if interactive {
        let stdin = fifos.feed().ok().flatten();
        let calls = calls.clone();
        tokio::spawn(async move {
            if let Some(stdin) = stdin {
                // An error means that the thread is gone: also an end.
                let _ = stdin.await;
            }
            // One that has ended needs no such call.
            let _ = calls.task_process().close_stdin().await;
        });
    }
    Ok(Begun {
        calls,
        guard,
        handle,
        screen,
        output: output_of(fifos),
    })
}

/// A handle on the process, which its guard gets too; none where it has ended already.
fn hold(run: &Living, guard: &Caller, pid: u32) -> Result<Option<AsyncFd<OwnedFd>>> {
    let what = || "cannot watch the process";
    let pid = i32::try_from(pid).or_fail(Kind::Host, what)?;
    let Ok(handle) = pidfd::open(pid) else {
        return Ok(None);
    };
    // The pid of one that has ended may be another process's by now.
    if !is_in(run, pid)? {
        return Ok(None);
    }
    // An owner that is gone has killed it.
    let _ = guard.tell(&Guarded::Runs(pid), &[handle.as_fd()]);
    watch::watch(handle).map(Some).or_fail(Kind::Host, what)
}

/// What is copied, without what only keeps FIFOs open.
fn output_of(fifos: Fifos) -> Output {
    fifos.output
}

impl Begun {
    /// Sends it a signal; one that is gone needs none.
    fn send(&self, number: i32) {
        match (number, &self.handle) {
            (libc::SIGWINCH, _) => self.screen.iter().for_each(Terminal::resize),
            (_, Some(handle)) => drop(pidfd::signal(handle.get_ref(), number)),
            (_, None) => {}
        }
    }

    /// Hands signals on until it has ended.
    async fn until_end(&self, signals: &mut Signals) -> Result<u8> {
        let Self {
            calls,
            screen,
            output,
            ..
        } = self;
        let handle = self.handle.as_ref();
        let (mut interrupts, mut unread) = (0, false);
        let mut ended = std::pin::pin!(calls.task_process().end());
        let status = loop {
            tokio::select! {
                biased;
                ended = &mut ended => break ended,
                number = signals.next() => match number {
                    libc::SIGINT if interrupts + 1 >= IMPATIENT => self.send(libc::SIGKILL),
                    other => {
                        interrupts += u32::from(other == libc::SIGINT);
                        self.send(other);
                    }
                },
                () = output.reader_gone.notified(), if !unread => {
                    // It gets no EPIPE: this is what SIGPIPE would have done, or a terminal that is closed.
                    unread = screen.is_none();
                    self.send(if unread { libc::SIGKILL } else { libc::SIGHUP });
                }
                () = gone(handle) => break match timeout(WORD, &mut ended).await {
                    Ok(ended) => ended,
                    Err(_) => Err(containerd::Error::late(
                        ("learn how a process ended in task", calls.id.as_str()),
                        WORD,
                    )),
                },
            }
        };
        let status = status.map_err(|why| {
            Failure::new(Kind::Containerd, "how the command ended is not known").because(why)
        })?;
        const KILLED: u32 = 128 + libc::SIGKILL.unsigned_abs();
        Ok(match status {
            KILLED if unread => u8::try_from(128 + libc::SIGPIPE).unwrap_or(u8::MAX),
            status => u8::try_from(status).unwrap_or(u8::MAX),
        })
    }
}

async fn gone(handle: Option<&AsyncFd<OwnedFd>>) {
    match handle {
        Some(handle) => drop(handle.readable().await),
        None => std::future::pending().await,
    }
}

/// Everything that it wrote is copied. What it has left behind may hold its output open for ever: then it is
/// enough that all is read, which it is when our own readers read and nothing has come for a moment.
async fn finish(output: &mut Output, signals: &mut Signals) {
    for copy in &mut output.copies {
        loop {
            tokio::select! {
                biased;
                () = copy.finish() => break,
                _ = signals.end_asked() => return,
                () = sleep(LOOK) => if is_read() { return },
            }
        }
    }
}

/// Whether our stdout and stderr take more.
fn is_read() -> bool {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    let ready = |stream: &dyn AsFd| {
        let mut watched = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        poll(&mut watched, PollTimeout::ZERO) != Ok(0)
    };
    ready(&out) && ready(&err)
}
