//! While the payload runs: its leash, its end, signals to us, the time limit, and the ladder at whose
//! end nothing is alive.
//!
//! Stopping never needs containerd: signals go through the leash, SIGKILL through a handle on the
//! first process, and the last step is the cgroup. A task that containerd does not report as ended is
//! not waited for longer than [`AFTER_END`].

use std::future::Future;
use std::mem::replace;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::{Pin, pin};

use nix::libc;
use tokio::time::{Instant, sleep_until};

use super::end::{Asked, End, PayloadEnd};
use super::first::FirstProcess;
use super::guard::Beside;
use super::progress::{AFTER_END, AFTER_KILL, Payload, Progress, Rung, after};
use super::record::Record;
use super::shim::{self, Shim};
use super::signals::{IMPATIENT, Signals};
use super::stdio::Output;
use super::step::{Step, reached};
use super::terminal::Terminal;
use super::verdict::Phases;
use super::wait::TaskEnd;
use crate::control::Orders;
use crate::failure::Result;
use crate::leash::{Event, Leash, SignalNumber, SignalRefusal};
use crate::plan::StopPlan;

/// The future that knows when containerd considers the task ended.
pub type WaitForTask = Pin<Box<dyn Future<Output = TaskEnd>>>;

/// One running payload.
pub struct Supervisor<'a> {
    /// What the run is known by.
    pub record: &'a Record,
    /// How to stop it.
    pub stop: StopPlan,
    /// When the whole run's time is over.
    pub time_limit: Option<Instant>,
    /// What is sent to us.
    pub signals: &'a mut Signals,
    /// What other commands ask of us; see `orders.rs`.
    pub orders: &'a mut Orders,
    /// The container's first process: the init, or without it the payload.
    pub first: FirstProcess,
    /// What other commands start beside it.
    pub beside: Beside,
    /// With an init.
    pub leash: Option<Leash>,
    /// The payload's terminal, where the runtime made it.
    pub terminal: Option<Terminal>,
    /// Connects our terminal to one that the init makes.
    pub interactive: bool,
    /// Whether what others type at its terminal reaches it.
    pub takes_keys: bool,
    /// Its stdin, open as long as it runs, where others may write to it.
    pub stdin: Option<OwnedFd>,
    /// What is copied, to be waited for.
    pub output: Output,
    /// Without a leash, the payload's pid inside, where it is known.
    pub payload: Option<i32>,
    /// Told when the payload has been started, with its pid inside.
    pub on_start: &'a dyn Fn(i32),
}

impl Supervisor<'_> {
    /// Returns when everything inside has ended, or cannot be ended.
    pub async fn watch(mut self, task: WaitForTask, phases: &mut Phases) -> End {
        let mut now = Progress::of(match self.leash {
            Some(_) => Payload::Starting(Vec::new()),
            None => Payload::Running,
        });
        now.terminal = self.terminal.take();
        let seen = match self.until_end(task, &mut now, phases).await {
            Ok(seen) => seen,
            // The payload may have run: whoever reads the verdict must not take it for one that did not.
            Err(failure) => {
                self.first.kill_tree().await;
                PayloadEnd::Lost(failure.to_string())
            }
        };
        phases.lap("run");
        self.finish_output(&now).await;
        End {
            payload: match now.payload {
                Payload::Ended(end) => end,
                Payload::Starting(_) | Payload::Running => seen,
            },
            asked: now.asked,
        }
    }

    /// What was seen of the end; an error when the leash cannot be used any more.
    async fn until_end(
        &mut self,
        mut task: WaitForTask,
        now: &mut Progress,
        phases: &mut Phases,
    ) -> Result<PayloadEnd> {
        loop {
            tokio::select! {
                biased;
                event = next_event(&mut self.leash) => self.on_event(event?, now, phases).await?,
                end = &mut task => return self.after_task(end, now).await,
                number = self.signals.next() => self.on_signal(number, now),
                () = at(now.rung.deadline()) => {
                    if self.step_down(now).await {
                        return Ok(now.unreported());
                    }
                }
                () = self.first.ended(), if !now.gone && !now.init => self.on_first_end(now).await,
                () = at(self.time_limit.filter(|_| now.can_be_asked())) => self.ask(Asked::Timeout, now),
                () = self.output.reader_gone.notified() => self.on_unread(now),
                order = self.orders.next() => self.on_order(order, now),
            }
        }
    }

    async fn on_event(
        &mut self,
        event: Option<Event>,
        now: &mut Progress,
        phases: &mut Phases,
    ) -> Result<()> {
        match event {
            Some(Event::Terminal(master)) => {
                let terminal = Terminal::connect(master, self.interactive, &mut self.output)?;
                now.terminal = Some(terminal);
            }
            Some(Event::Started { pid }) => {
                phases.lap("start");
                (self.on_start)(pid);
                reached(Step::Payload);
                if let Payload::Starting(waiting) = replace(&mut now.payload, Payload::Running) {
                    waiting
                        .into_iter()
                        .for_each(|number| self.send(number, now));
                }
            }
            Some(Event::SignalRefused(refusal)) => self.on_refusal(refusal),
            Some(Event::StartFailed(failure)) => now.ended(PayloadEnd::StartFailed(failure)),
            Some(Event::Exited(exit)) => now.ended(PayloadEnd::Status(exit.status)),
            None => {
                // The init is gone; in a pid namespace of its own, everything else with it.
                self.leash = None;
                self.on_first_end(now).await;
            }
        }
        Ok(())
    }

    /// The container's first process is gone: so is everything else in a pid namespace of its own. Only
    /// the shim knows how, and it may hang, or containerd be away.
    async fn on_first_end(&self, now: &mut Progress) {
        now.first_gone();
        self.first.kill_tree().await;
    }

    /// The task has ended; what the init said last may still be unread.
    async fn after_task(&mut self, end: TaskEnd, now: &mut Progress) -> Result<PayloadEnd> {
        if self.leash.is_some() && !now.has_ended() {
            // An init that outlives its task says nothing more.
            tokio::time::timeout(AFTER_KILL, self.last_words(now))
                .await
                .unwrap_or(Ok(()))?;
        }
        Ok(match end {
            TaskEnd::Status(status) => now.first_ended(status),
            TaskEnd::Lost(why) => PayloadEnd::Lost(why),
        })
    }

    async fn last_words(&mut self, now: &mut Progress) -> Result<()> {
        while let Some(event) = next_event(&mut self.leash).await? {
            match event {
                Event::Exited(exit) => now.ended(PayloadEnd::Status(exit.status)),
                Event::StartFailed(failure) => now.ended(PayloadEnd::StartFailed(failure)),
                _ => {}
            }
        }
        Ok(())
    }

    fn on_signal(&mut self, number: i32, now: &mut Progress) {
        match number {
            libc::SIGWINCH => now.terminal.iter().for_each(Terminal::resize),
            libc::SIGTERM => self.ask(Asked::Stop, now),
            libc::SIGINT => {
                now.interrupts += 1;
                if now.interrupts < IMPATIENT {
                    self.send(number, now);
                } else if !now.has_ended() {
                    now.asked.get_or_insert(Asked::Stop);
                    self.kill(now);
                }
            }
            other => self.send(other, now),
        }
    }

    /// Begins the ladder; asking again changes nothing.
    pub(super) fn ask(&self, why: Asked, now: &mut Progress) {
        if now.can_be_asked() {
            now.asked = Some(why);
            if matches!(now.rung, Rung::Calm) {
                self.send(self.stop.signal, now);
                reached(Step::Stop);
                now.rung = Rung::Asked(after(self.stop.timeout));
            }
        }
    }

    /// Nobody reads what the payload writes, and it gets no EPIPE: a terminal's user is told as when
    /// the terminal is closed; without an init, this is what SIGPIPE would have done.
    fn on_unread(&self, now: &mut Progress) {
        if now.init {
            self.send(libc::SIGHUP, now);
        } else if !now.unread {
            now.unread = true;
            self.kill(now);
        }
    }

    /// The present rung's time is over. True when there is no further one.
    async fn step_down(&mut self, now: &mut Progress) -> bool {
        match now.rung {
            Rung::Calm => {}
            Rung::Asked(_) => self.kill(now),
            Rung::Killed(_) => {
                self.first.kill_tree().await;
                now.rung = Rung::Waiting(Instant::now() + AFTER_END);
            }
            Rung::Waiting(_) => return true,
        }
        false
    }

    fn kill(&self, now: &mut Progress) {
        self.first.kill();
        now.killed();
    }

    /// A payload that cannot be reached by the leash is reached by the ladder's next rung.
    pub(super) fn send(&self, number: i32, now: &mut Progress) {
        if let Payload::Starting(waiting) = &mut now.payload {
            waiting.push(number);
            return;
        }
        match (&self.leash, SignalNumber::try_from(number), self.payload) {
            (Some(leash), Ok(signal), _) => drop(leash.signal(signal)),
            (None, _, Some(payload)) => self.first.signal_inside(payload, number),
            _ => self.first.signal(number),
        }
    }

    /// The payload runs under another uid than the init; we are root.
    fn on_refusal(&self, refusal: SignalRefusal) {
        if refusal.errno == libc::EPERM {
            self.first.signal_inside(refusal.pid, refusal.signal.get());
        }
    }

    /// Nothing that was written is lost: a copy ends when every writer is gone. Only someone who asks
    /// us to stop is not kept waiting for a reader that does not read. A shim that hangs keeps its ends
    /// open, where it has some.
    async fn finish_output(mut self, now: &Progress) {
        if self.output.copies.is_empty() {
            return;
        }
        // In the host's pid namespace a writer may have outlived the first process.
        self.first.kill_tree().await;
        let soon = after(AFTER_KILL);
        let mut enough = pin!(at(now.asked.map(|_| soon)));
        let mut shim_ends = (now.unreported && !now.init).then_some(soon);
        for copy in &mut self.output.copies {
            loop {
                tokio::select! {
                    biased;
                    () = copy.finish() => break,
                    () = &mut enough => return,
                    _ = self.signals.end_asked() => return,
                    () = at(shim_ends) => {
                        shim::of(self.record, Path::new("/proc")).iter().for_each(Shim::kill);
                        shim_ends = None;
                    }
                }
            }
        }
    }
}

async fn next_event(leash: &mut Option<Leash>) -> Result<Option<Event>> {
    match leash {
        Some(leash) => leash.next().await,
        None => std::future::pending().await,
    }
}

/// Resolves at `deadline`, if there is one.
pub async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
