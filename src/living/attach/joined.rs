//! What we have of a run that we are beside: its output, its input, the ear of its owner.
//!
//! In: the owner's answers, our signals, what is typed. Out: when we are to leave. Nothing here waits for the owner but
//! in a task of its own: one that stands still keeps nobody from the output, nor from leaving.

use std::fs::File;
use std::future::{Future, pending};
use std::io::IsTerminal;
use std::os::fd::OwnedFd;

use nix::libc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::keys::Keyboard;
use super::output::Output;
use super::{Leaving, Unread, Wish};
use crate::control::message::{Reply, Request};
use crate::failure::Result;
use crate::living::{Answered, Asked, Living, PAUSE};
use crate::log::show::Shown;
use crate::run::seen::Seen;
use crate::run::signals::{ENDS, IMPATIENT, Signals};
use crate::run::terminal::Terminal;

/// It.
pub struct Joined<'a> {
    run: &'a Living,
    seen: Seen,
    wish: &'a Wish<'a>,
    terminal: Option<Terminal>,
    keyboard: Option<Keyboard>,
    output: Option<Output>,
    /// The owner is asked for the payload's streams.
    joining: JoinSet<Result<Asked>>,
    /// Signals on their way to the payload, by number.
    sending: JoinSet<(i32, Result<Sent>)>,
    unheard: Vec<i32>,
    interrupts: u32,
    /// The owner did not do what it was asked.
    is_deaf: bool,
    /// A terminal's output was not read in time.
    was_slow: bool,
}

impl<'a> Joined<'a> {
    /// Begins with the output that needs no owner, and asks for the rest.
    pub fn begin(run: &'a Living, seen: Seen, wish: &'a Wish<'a>, before: Option<Output>) -> Self {
        // Whatever is written from now on is seen; what a terminal shows is in its log as well.
        let output = match (before, seen.has_terminal()) {
            (None, false) => Output::of_log(&seen).ok(),
            (before, _) => before,
        };
        let mut joined = Self {
            run,
            output,
            seen,
            wish,
            terminal: None,
            keyboard: None,
            joining: JoinSet::new(),
            sending: JoinSet::new(),
            unheard: Vec::new(),
            interrupts: 0,
            is_deaf: false,
            was_slow: false,
        };
        joined.ask();
        joined
    }

    fn ask(&mut self) {
        let run = self.run.clone();
        self.joining
            .spawn(async move { run.request(&Request::Attach).await });
    }

    fn ask_later(&mut self) {
        let run = self.run.clone();
        self.joining.spawn(async move {
            sleep(PAUSE).await;
            run.request(&Request::Attach).await
        });
    }

    /// Resolves when we are to leave.
    pub async fn until_we_leave(&mut self, signals: &mut Signals) -> Leaving {
        loop {
            tokio::select! {
                biased;
                shown = of(&mut self.output, Output::shown) => match shown {
                    Ok(Shown::All) => self.on_end_of_output(),
                    Ok(Shown::Unread) if self.wish.unread == Unread::Leave => return Leaving::Unread,
                    Ok(Shown::Unread) => {}
                    Err(why) => self.remark(&format_args!("cannot show the output: {why}")),
                },
                () = of(&mut self.keyboard, Keyboard::left) => return Leaving::Keys,
                number = signals.next() => if self.on_signal(number) {
                    return Leaving::Signal(number);
                },
                Some(Ok(asked)) = self.joining.join_next() => self.on_answer(asked),
                Some(Ok((number, sent))) = self.sending.join_next() => self.on_sent(number, sent),
            }
        }
    }

    fn remark(&self, what: &dyn std::fmt::Display) {
        (self.wish.remark)(what);
    }

    /// What the owner has of the payload's streams.
    fn on_answer(&mut self, asked: Result<Asked>) {
        let answered = match asked {
            Ok(Asked::Answered(answered)) => answered,
            // It is ending, or another one is about to pick it up.
            Ok(Asked::Gone) => return self.ask_later(),
            Ok(Asked::Hangs) => {
                self.remark(&self.run.hangs());
                return self.only_the_end();
            }
            Err(why) => {
                self.remark(&why);
                return self.only_the_end();
            }
        };
        match &answered.reply {
            Reply::NotYet => self.ask_later(),
            Reply::Attached { terminal, input } => {
                let (terminal, input) = (*terminal, *input && self.wish.input);
                if let Err(why) = self.take(answered, terminal, input) {
                    self.remark(&why);
                }
                self.only_the_end();
            }
            Reply::Done | Reply::Ends(_) | Reply::Refused { .. } => self.only_the_end(),
        }
    }

    fn take(&mut self, answered: Answered, terminal: bool, input: bool) -> Result<()> {
        let mut descriptors = answered.descriptors.into_iter();
        let first = descriptors.next();
        let to = first.as_ref().filter(|_| input);
        let to = to.and_then(|to| to.try_clone().ok()).map(File::from);
        let mut keys = None;
        if let (true, Some(other_side), Some(screen)) = (terminal, first, descriptors.next()) {
            self.join_terminal(other_side, screen, to.is_some())?;
            keys = Some(self.wish.keys.clone());
        }
        if let Some(to) = to {
            // Only now: what comes of it is to be seen. The one before is over.
            self.keyboard = None;
            self.keyboard = Some(Keyboard::hand_on(to, keys.unwrap_or_default())?);
        }
        Ok(())
    }

    fn join_terminal(&mut self, other_side: OwnedFd, screen: OwnedFd, typed: bool) -> Result<()> {
        self.output = Some(Output::of_screen(screen.into())?);
        // A terminal is drawn anew.
        if self.was_slow && !std::io::stdout().is_terminal() {
            self.remark(&"some of what the run showed was not read in time, and is left out");
        }
        // Ours is raw once.
        if let Some(before) = self.terminal.take() {
            drop(before);
        }
        let terminal = Terminal::attached(other_side, typed)?;
        terminal.redraw();
        self.terminal = Some(terminal);
        Ok(())
    }

    /// Shows what can be shown without the owner, or says why there is nothing.
    fn only_the_end(&mut self) {
        if self.output.is_some() {
            return;
        }
        match Output::of_log(&self.seen) {
            Ok(output) => self.output = Some(output),
            Err(why) => self.remark(&format_args!("{why}; only its end is seen here")),
        }
    }

    /// A log has ended, and the run is about to; or we were too slow for a terminal, and have to come again.
    fn on_end_of_output(&mut self) {
        if self.output.as_ref().is_some_and(Output::is_screen) {
            self.was_slow = true;
            self.ask_later();
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
        self.unheard.push(number);
        let run = self.run.clone();
        self.sending
            .spawn(async move { (number, send(&run, &request).await) });
        false
    }

    fn on_sent(&mut self, number: i32, sent: Result<Sent>) {
        if let Some(at) = self.unheard.iter().position(|one| *one == number) {
            self.unheard.remove(at);
        }
        match sent {
            Ok(Sent::Heard) => {}
            Ok(Sent::Done(remark)) => self.remark(&remark),
            Ok(Sent::Unheard) => {
                self.remark(&self.run.hangs());
                self.is_deaf = true;
            }
            Err(why) => self.remark(&why),
        }
    }

    /// The signals that no owner has heard.
    pub fn unheard(&mut self) -> impl Iterator<Item = i32> {
        std::mem::take(&mut self.unheard).into_iter()
    }

    /// The run is over: resolves when the rest of its output is shown.
    pub async fn finish(&mut self) {
        self.keyboard = None;
        if let Some(output) = self.output.take() {
            output.finish().await;
        }
    }

    /// Leaves, but for what is being shown.
    pub fn leave(&mut self) -> Option<Output> {
        self.keyboard = None;
        self.terminal = None;
        self.output.take()
    }
}

/// What became of a signal.
#[derive(Debug)]
enum Sent {
    /// The owner has it.
    Heard,
    /// It was done without the owner, which is to be said.
    Done(String),
    /// The owner stands still.
    Unheard,
}

/// Until somebody hears it. A stop of an owner that stands still is done without it, as by `airtight stop`.
async fn send(run: &Living, request: &Request) -> Result<Sent> {
    loop {
        match run.request(request).await? {
            Asked::Answered(_) => return Ok(Sent::Heard),
            Asked::Gone => sleep(PAUSE).await,
            Asked::Hangs if matches!(request, Request::Stop { .. }) => {
                return run.force().await.map(Sent::Done);
            }
            Asked::Hangs => return Ok(Sent::Unheard),
        }
    }
}

/// What comes of it, where there is one.
async fn of<'t, T, F: Future>(
    thing: &'t mut Option<T>,
    wait: impl FnOnce(&'t mut T) -> F,
) -> F::Output {
    match thing {
        Some(thing) => wait(thing).await,
        None => pending().await,
    }
}
