//! While the payload runs: its leash, its end, signals to us, the time limit, and the ladder at whose
//! end nothing is alive.
//!
//! Stopping never needs containerd: signals go through the leash, SIGKILL through a handle on the
//! first process, and the last step is the cgroup. A task that containerd does not report as ended is
//! not waited for longer than [`AFTER_END`].

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use nix::libc;
use tokio::time::{Instant, sleep_until};

use super::end::{Asked, End, PayloadEnd};
use super::first::FirstProcess;
use super::signals::Signals;
use super::stdio::Copy;
use super::terminal::Terminal;
use super::verdict::Phases;
use super::wait::TaskEnd;
use crate::failure::Result;
use crate::leash::{Event, Leash, SignalNumber, SignalRefusal};
use crate::plan::StopPlan;

/// From SIGKILL to the first process until the cgroup is killed as a whole.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// From the payload's end, or the last kill, until containerd is no longer waited for.
const AFTER_END: Duration = Duration::from_secs(10);
/// As many interrupts from the keyboard mean: now.
const IMPATIENT: u32 = 3;

/// The future that knows when containerd considers the task ended.
pub type WaitForTask = Pin<Box<dyn Future<Output = TaskEnd>>>;

/// One running payload.
pub struct Supervisor<'a> {
    /// How to stop it.
    pub stop: StopPlan,
    /// What is sent to us.
    pub signals: &'a mut Signals,
    /// The container's first process: the init, or without it the payload.
    pub first: FirstProcess,
    /// With an init.
    pub leash: Option<Leash>,
    /// Connects our terminal to the payload's, where it has one.
    pub interactive: bool,
    /// Threads that copy output, to be waited for.
    pub copies: Vec<Copy>,
    /// When the run began.
    pub began: Instant,
}

/// How far down the ladder we are.
#[derive(Debug, Clone, Copy)]
enum Rung {
    /// Nothing is asked of the payload.
    Calm,
    /// The stop signal is sent; until then it has time.
    Asked(Instant),
    /// SIGKILL is sent to the first process.
    Killed(Instant),
    /// Nothing more can be done but to wait for containerd to notice.
    Waiting(Instant),
}

struct Progress {
    rung: Rung,
    asked: Option<Asked>,
    started: bool,
    interrupts: u32,
    terminal: Option<Terminal>,
    end: Option<PayloadEnd>,
}

impl Supervisor<'_> {
    /// Returns when everything inside has ended, or cannot be ended.
    pub async fn watch(mut self, mut task: WaitForTask, phases: &mut Phases) -> Result<End> {
        let mut now = Progress {
            rung: Rung::Calm,
            asked: None,
            started: self.leash.is_none(),
            interrupts: 0,
            terminal: None,
            end: None,
        };
        let time_limit = self.stop.time_limit.map(|limit| self.began + limit);
        let outcome = loop {
            tokio::select! {
                biased;
                event = next_event(&mut self.leash) => self.on_event(event?, &mut now, phases).await?,
                end = &mut task => break self.after_task(end, &mut now).await?,
                number = self.signals.next() => self.on_signal(number, &mut now),
                () = at(now.rung.deadline()) => {
                    if self.step_down(&mut now).await {
                        break PayloadEnd::Unknown("containerd does not report the task's end".into());
                    }
                }
                () = at(time_limit.filter(|_| now.asked.is_none())) => self.ask(Asked::Timeout, &mut now),
            }
        };
        phases.lap("run");
        self.finish_copies(now.asked.is_some()).await;
        Ok(End {
            payload: now.end.unwrap_or(outcome),
            asked: now.asked,
        })
    }

    async fn on_event(
        &mut self,
        event: Option<Event>,
        now: &mut Progress,
        phases: &mut Phases,
    ) -> Result<()> {
        match event {
            Some(Event::Terminal(master)) => {
                let (terminal, copy) = Terminal::connect(master, self.interactive)?;
                now.terminal = Some(terminal);
                self.copies.push(copy);
            }
            Some(Event::Started { .. }) => {
                phases.lap("start");
                now.started = true;
                // A stop that came too early for the init to pass on.
                if now.asked.is_some() {
                    self.send(self.stop.signal);
                }
            }
            Some(Event::SignalRefused(refusal)) => self.on_refusal(refusal),
            Some(Event::StartFailed(failure)) => now.ended(PayloadEnd::StartFailed(failure)),
            Some(Event::Exited(exit)) => now.ended(PayloadEnd::Status(exit.status)),
            None => {
                // The init is gone; in a pid namespace of its own, everything else with it.
                self.leash = None;
                self.first.kill_tree().await;
                now.rung = Rung::Waiting(Instant::now() + AFTER_END);
            }
        }
        Ok(())
    }

    /// The task has ended; what the init said last may still be unread.
    async fn after_task(&mut self, end: TaskEnd, now: &mut Progress) -> Result<PayloadEnd> {
        if now.end.is_none() && self.leash.is_some() {
            // An init that outlives its task says nothing more.
            tokio::time::timeout(AFTER_KILL, self.last_words(now))
                .await
                .unwrap_or(Ok(()))?;
        }
        Ok(match end {
            TaskEnd::Status(status) => PayloadEnd::TaskStatus(status),
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
                if now.interrupts >= IMPATIENT {
                    now.asked.get_or_insert(Asked::Stop);
                    self.kill(now);
                } else {
                    self.send(number);
                }
            }
            other => self.send(other),
        }
    }

    /// Begins the ladder; asking again changes nothing.
    fn ask(&self, why: Asked, now: &mut Progress) {
        if now.asked.is_none() {
            now.asked = Some(why);
            if matches!(now.rung, Rung::Calm) {
                self.send(self.stop.signal);
                now.rung = Rung::Asked(Instant::now() + self.stop.timeout);
            }
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
        now.rung = Rung::Killed(Instant::now() + AFTER_KILL);
    }

    /// A payload that cannot be reached by the leash is reached by the ladder's next rung.
    fn send(&self, number: i32) {
        match (&self.leash, SignalNumber::try_from(number)) {
            (Some(leash), Ok(signal)) => drop(leash.signal(signal)),
            _ => self.first.signal(number),
        }
    }

    /// The payload runs under another uid than the init; we are root.
    fn on_refusal(&self, refusal: SignalRefusal) {
        if refusal.errno == libc::EPERM {
            self.first.signal_inside(refusal.pid, refusal.signal.get());
        }
    }

    /// Nothing that was written is lost: the copies end when every writer is gone. Only someone who
    /// asked us to stop is not kept waiting for a reader that does not read.
    async fn finish_copies(&mut self, asked: bool) {
        for copy in self.copies.drain(..) {
            if asked {
                let _ = tokio::time::timeout(AFTER_KILL, copy.finish()).await;
            } else {
                copy.finish().await;
            }
        }
    }
}

impl Rung {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Calm => None,
            Self::Asked(until) | Self::Killed(until) | Self::Waiting(until) => Some(until),
        }
    }
}

impl Progress {
    fn ended(&mut self, end: PayloadEnd) {
        self.end = Some(end);
        // The init kills what is left and exits; that must not take for ever either.
        self.rung = Rung::Killed(Instant::now() + AFTER_END);
    }
}

async fn next_event(leash: &mut Option<Leash>) -> Result<Option<Event>> {
    match leash {
        Some(leash) => leash.next().await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
