//! Being beside a run that somebody else has begun, as `docker attach` does: its output from now on, its input,
//! the signals that are sent to us, and its end.
//!
//! In: a run and what is wanted. Out: how it ended, or why we left before it did. Our own end changes nothing
//! for the run. What there is to be had the owner hands over, and no byte goes through it that did not before:
//! a terminal's other side, a pipe of what it shows, a pipe to stdin. What a detached run without a terminal
//! writes is read from its log; a foreground run's goes to its caller alone.

mod keys;
mod output;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::libc;
use tokio::sync::oneshot::Receiver;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use self::keys::{DEFAULT, DetachKeys};
use self::output::Source;
use super::over::until_over;
use super::{Asked, Living, PAUSE};
use crate::control::message::{Reply, Request};
use crate::failure::{Context, Failure, Kind, Result};
use crate::log::show::Shown;
use crate::run::papers;
use crate::run::seen::{self, Condition, Seen, Watch};
use crate::run::signals::{ENDS, Signals};
use crate::run::state::State;
use crate::run::terminal::Terminal;

/// As many interrupts from the keyboard mean: now.
const IMPATIENT: u32 = 3;

/// What is wanted of it.
pub struct Wish<'a> {
    /// What we are typed, or written.
    pub input: bool,
    /// Signals that are sent to us are for the payload, unless it has a terminal, as with docker.
    pub signals: bool,
    /// What to leave with.
    pub keys: DetachKeys,
    /// Told what the user should know meanwhile.
    pub remark: &'a dyn Fn(&dyn std::fmt::Display),
}

/// How it came to an end.
#[derive(Debug)]
pub enum End {
    /// The run's own.
    Run(papers::End),
    /// Ours, and the run goes on.
    Left(Leaving),
    /// It has lost its owner: whoever comes next may have it.
    Nobody,
}

/// Why we left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// By the keys for it.
    Keys,
    /// This signal.
    Signal(i32),
    /// Nobody reads our output any more.
    Unread,
}

/// Stays with `run` until it ends, or we are to leave.
pub async fn attach(state: &State, run: &Living, wish: &Wish<'_>) -> Result<End> {
    let mut signals = Signals::listen()?;
    let Some((seen, watch)) = started(state, run, &mut signals).await? else {
        return Ok(End::Nobody);
    };
    let mut beside = Beside::of(run, &seen, wish).await?;
    let ending = std::pin::pin!(until_over(state, &run.id, watch));
    let watch = tokio::select! {
        biased;
        watch = ending => watch?,
        why = beside.leaving(&mut signals) => return Ok(End::Left(why?)),
    };
    tokio::select! {
        shown = beside.rest() => drop(shown?),
        number = signals.end_asked() => return Ok(End::Left(Leaving::Signal(number))),
    }
    let goes_on =
        seen::look(state, &run.id)?.is_some_and(|now| now.condition == Condition::Orphaned);
    match goes_on {
        true => Ok(End::Nobody),
        false => watch.end().map(End::Run),
    }
}

/// The run once its payload runs, or has ended; nothing where it has lost its owner.
async fn started(
    state: &State,
    run: &Living,
    signals: &mut Signals,
) -> Result<Option<(Seen, Watch)>> {
    let mut last = None;
    loop {
        match seen::look(state, &run.id)? {
            Some(seen) if seen.condition == Condition::Orphaned => return Ok(None),
            Some(seen) if seen.is_alive() => {
                let watch = seen.watch()?;
                let waits = seen.condition == Condition::Created;
                last = Some((seen, watch));
                if !waits {
                    return Ok(last);
                }
            }
            Some(_) | None => return Ok(last),
        }
        tokio::select! {
            number = signals.end_asked() => {
                let what = format!("waited for run {} to start", run.id);
                return Err(Failure::new(Kind::Interrupted(number), what));
            }
            () = sleep(PAUSE) => {}
        }
    }
}

/// What an owner has handed over.
#[derive(Default)]
struct Handed {
    terminal: Option<Terminal>,
    /// What it shows.
    screen: Option<File>,
    /// Where input goes.
    input: Option<File>,
}

/// What we have of the run.
struct Beside<'a> {
    run: &'a Living,
    wish: &'a Wish<'a>,
    terminal: Option<Terminal>,
    keys: Option<Receiver<()>>,
    output: Option<Receiver<io::Result<Shown>>>,
    /// What is handed on, and not answered yet.
    asking: JoinSet<Result<()>>,
    interrupts: u32,
    /// The owner did not do what it was asked.
    is_deaf: bool,
}

impl<'a> Beside<'a> {
    async fn of(run: &'a Living, seen: &Seen, wish: &'a Wish<'a>) -> Result<Self> {
        let mut beside = Self {
            run,
            wish,
            terminal: None,
            keys: None,
            output: None,
            asking: JoinSet::new(),
            interrupts: 0,
            is_deaf: false,
        };
        let Handed {
            terminal,
            screen,
            input,
        } = beside.asked_for().await?;
        let source = match screen {
            Some(screen) => Ok(Source::Screen(screen)),
            None => Source::log(seen),
        };
        match source {
            Ok(source) => beside.output = Some(source.show()?),
            Err(why) => (wish.remark)(&format_args!("{why}; only its end is seen here")),
        }
        // Only now: what comes of it is to be seen.
        let keys = terminal.as_ref().map(|_| wish.keys.clone());
        beside.terminal = terminal;
        let hand_on = input.map(|to| keys::hand_on(to, keys.unwrap_or_default()));
        beside.keys = hand_on.transpose()?;
        Ok(beside)
    }

    /// What the owner has of the payload's stdin and terminal.
    async fn asked_for(&self) -> Result<Handed> {
        let asked = match self.run.request(&Request::Attach).await {
            Ok(Asked::Answered(answered)) => answered,
            // It is ending.
            Ok(Asked::Gone) => return Ok(Handed::default()),
            Ok(Asked::Hangs) => {
                (self.wish.remark)(&self.run.hangs());
                return Ok(Handed::default());
            }
            Err(why) => {
                (self.wish.remark)(&why);
                return Ok(Handed::default());
            }
        };
        let Reply::Attached { terminal, input } = asked.reply else {
            return Ok(Handed::default());
        };
        let mut descriptors = asked.descriptors.into_iter();
        let first = descriptors.next();
        let takes = first.as_ref().filter(|_| input && self.wish.input);
        let input = takes.map(OwnedFd::try_clone).transpose();
        let input = input.or_fail(Kind::Host, || "cannot reach the payload's stdin")?;
        let terminal = first.filter(|_| terminal);
        let terminal = terminal.map(|side| Terminal::attached(side, input.is_some()));
        Ok(Handed {
            terminal: terminal.transpose()?.inspect(Terminal::redraw),
            screen: descriptors.next().map(File::from),
            input: input.map(File::from),
        })
    }

    /// Resolves when we are to leave.
    async fn leaving(&mut self, signals: &mut Signals) -> Result<Leaving> {
        loop {
            tokio::select! {
                biased;
                shown = result(&mut self.output) => match shown.or_fail(Kind::Host, cannot_show)? {
                    // Its end is still to come.
                    Shown::All => {}
                    Shown::Unread => return Ok(Leaving::Unread),
                },
                () = result(&mut self.keys) => return Ok(Leaving::Keys),
                number = signals.next() => if self.on_signal(number) {
                    return Ok(Leaving::Signal(number));
                },
                Some(asked) = self.asking.join_next() => if let Ok(Err(why)) = asked {
                    (self.wish.remark)(&why);
                    self.is_deaf = true;
                },
            }
        }
    }

    /// Whether it makes us leave; else it is handed on.
    fn on_signal(&mut self, number: i32) -> bool {
        if number == libc::SIGWINCH {
            self.terminal.iter().for_each(Terminal::resize);
            return false;
        }
        if self.terminal.is_some() || !self.wish.signals || self.is_deaf {
            return ENDS.contains(&number);
        }
        self.interrupts += u32::from(number == libc::SIGINT);
        let request = match number {
            libc::SIGTERM => Request::Stop {
                signal: None,
                timeout: None,
            },
            libc::SIGINT if self.interrupts >= IMPATIENT => Request::Signal(libc::SIGKILL),
            other => Request::Signal(other),
        };
        let run = self.run.clone();
        self.asking.spawn(async move {
            match run.request(&request).await? {
                Asked::Answered(_) | Asked::Gone => Ok(()),
                Asked::Hangs => Err(run.hangs()),
            }
        });
        false
    }

    /// Resolves when everything is shown that the run wrote.
    async fn rest(&mut self) -> Result<()> {
        match self.output.take() {
            Some(output) => match output.await {
                Ok(shown) => shown.map(drop).or_fail(Kind::Host, cannot_show),
                Err(_) => Ok(()),
            },
            None => Ok(()),
        }
    }
}

fn cannot_show() -> &'static str {
    "cannot show the output"
}

/// What the thread behind it says; waits for ever where there is none, or it ended without a word.
async fn result<T>(thread: &mut Option<Receiver<T>>) -> T {
    if let Some(receiver) = thread {
        let said = receiver.await;
        // It says one thing only.
        *thread = None;
        if let Ok(said) = said {
            return said;
        }
    }
    std::future::pending().await
}
