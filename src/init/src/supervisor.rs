//! The loop: the leash, signals, and the child that is about to become the payload.
//!
//! In: messages, signals, the ends of children. Out: how it all ended. Nothing here waits for one
//! of them without watching the leash: when it breaks, that comes first. Then everything inside is
//! killed, unless the owner has asked for something else.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use crate::FAILED;
use crate::command::Command;
use crate::family;
use crate::leash::Leash;
use crate::packet::Descriptors;
use crate::payload::Child;
use crate::protocol::{
    Exit, FromInit, FromOwner, SignalNumber, SignalRefusal, Stage, Start, StartFailure, WhenAlone,
};
use crate::signals::{self, Arrived, Signals};
use crate::sys::Errno;
use crate::terminal::Terminal;

/// What it watches.
pub struct Supervisor<'a> {
    leash: &'a Leash,
    signals: &'a Signals,
    command: Command,
    payload: Payload,
    owner: Owner,
}

enum Owner {
    /// It lives, and wants this when it does not any more.
    Holds(WhenAlone),
    /// It is gone, and the payload is not to live longer than this.
    Gone(Option<Instant>),
}

enum Payload {
    Awaited,
    Starting(Child),
    Running(libc::pid_t),
    Reaped,
}

/// Why there is nothing more to do.
pub enum End {
    /// The payload ended.
    Exited(Exit),
    /// It could not be started.
    NotStarted(StartFailure),
    /// The owner is gone, while there was a payload.
    Orphaned,
    /// The owner is gone, before there was a payload.
    Abandoned,
}

/// Which descriptors have something to say.
struct Ready {
    leash: libc::c_short,
    signals: libc::c_short,
    child: libc::c_short,
}

impl End {
    /// Tells the owner, who may be gone as well.
    pub fn tell(&self, leash: &Leash) {
        let _ = match self {
            Self::Exited(exit) => leash.tell(FromInit::Exited(*exit)),
            Self::NotStarted(failure) => leash.tell(FromInit::StartFailed(*failure)),
            Self::Orphaned | Self::Abandoned => return,
        };
    }

    /// Init's own exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(exit) => exit.status.exit_code(),
            Self::NotStarted(failure) => failure.exit_code(),
            Self::Orphaned => 128 + 9,
            Self::Abandoned => FAILED,
        }
    }
}

impl<'a> Supervisor<'a> {
    /// Before there is a payload.
    pub fn new(leash: &'a Leash, signals: &'a Signals, command: Command) -> Self {
        Self {
            leash,
            signals,
            command,
            payload: Payload::Awaited,
            owner: Owner::Holds(WhenAlone::Kill),
        }
    }

    /// Runs to the end.
    pub fn run(&mut self) -> End {
        loop {
            if let ControlFlow::Break(end) = self.turn() {
                return end;
            }
        }
    }

    /// The payload's pid, as long as it is its own.
    pub fn unreaped_payload(&self) -> Option<libc::pid_t> {
        match &self.payload {
            Payload::Awaited | Payload::Reaped => None,
            Payload::Starting(child) => Some(child.pid),
            Payload::Running(pid) => Some(*pid),
        }
    }

    fn turn(&mut self) -> ControlFlow<End> {
        let ready = self.wait();
        if ready.leash & (libc::POLLHUP | libc::POLLERR) != 0 {
            return self.leash_broke();
        }
        if let Owner::Gone(Some(deadline)) = self.owner
            && deadline <= Instant::now()
        {
            return ControlFlow::Break(End::Orphaned);
        }
        if ready.child != 0 {
            self.settle()?;
        }
        if ready.signals != 0 {
            self.take_signals();
            self.reap()?;
        }
        if ready.leash != 0 {
            self.obey()?;
        }
        ControlFlow::Continue(())
    }

    fn wait(&self) -> Ready {
        let poll = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let child = match &self.payload {
            Payload::Starting(child) => child.as_fd().as_raw_fd(),
            // poll(2) passes over negative numbers.
            Payload::Awaited | Payload::Running(_) | Payload::Reaped => -1,
        };
        let (leash, patience) = match self.owner {
            Owner::Holds(_) => (self.leash.as_fd().as_raw_fd(), -1),
            Owner::Gone(deadline) => (-1, deadline.map_or(-1, milliseconds_until)),
        };
        let signals = self.signals.as_fd().as_raw_fd();
        let mut watched = [poll(leash), poll(signals), poll(child)];
        // SAFETY: three of them. It cannot fail but for want of memory: then nothing is ready.
        unsafe { libc::poll(watched.as_mut_ptr(), 3, patience) };
        let [leash, signals, child] = watched.map(|one| one.revents);
        Ready {
            leash,
            signals,
            child,
        }
    }

    fn leash_broke(&mut self) -> ControlFlow<End> {
        let Some(payload) = self.unreaped_payload() else {
            return ControlFlow::Break(End::Abandoned);
        };
        let deadline = match self.owner {
            Owner::Holds(WhenAlone::Keep) => None,
            Owner::Holds(WhenAlone::Stop(signal, timeout)) => {
                // If it is gone already, its end is about to be seen.
                let _ = signals::send(payload, signal.get());
                Instant::now().checked_add(timeout)
            }
            Owner::Holds(WhenAlone::Kill) | Owner::Gone(_) => {
                return ControlFlow::Break(End::Orphaned);
            }
        };
        self.owner = Owner::Gone(deadline);
        ControlFlow::Continue(())
    }

    fn obey(&mut self) -> ControlFlow<End> {
        match (self.leash.receive(), &self.payload) {
            (Ok((FromOwner::Start(start), received)), Payload::Awaited) => {
                match self.start(&start, received) {
                    Ok(child) => self.payload = Payload::Starting(child),
                    Err(failure) => return ControlFlow::Break(End::NotStarted(failure)),
                }
            }
            (Ok((FromOwner::Signal(signal), _)), _) => self.signal(signal),
            (Ok((FromOwner::WhenAlone(rule), _)), Payload::Awaited) => {
                self.owner = Owner::Holds(rule);
            }
            (Err(errno), Payload::Awaited) => {
                let failure = errno.during(Stage::Descriptors);
                return ControlFlow::Break(End::NotStarted(failure));
            }
            // Not the owner we know: as good as none.
            _ => {
                self.owner = Owner::Holds(WhenAlone::Kill);
                return self.leash_broke();
            }
        }
        ControlFlow::Continue(())
    }

    fn start(&self, start: &Start, received: Descriptors) -> Result<Child, StartFailure> {
        let failed = |errno: Errno| errno.during(Stage::Terminal);
        let slave = match start.terminal().map(Terminal::open).transpose() {
            Ok(None) => None,
            Ok(Some(Terminal { master, slave })) => {
                self.leash.give_terminal(master).map_err(failed)?;
                Some(slave)
            }
            Err(errno) => return Err(failed(errno)),
        };
        Child::fork(start, received, slave, &self.command)
    }

    fn settle(&mut self) -> ControlFlow<End> {
        let Payload::Starting(child) = &self.payload else {
            return ControlFlow::Continue(());
        };
        if let Err(failure) = child.result() {
            return ControlFlow::Break(End::NotStarted(failure));
        }
        let pid = child.pid;
        self.payload = Payload::Running(pid);
        // If the leash broke, the next turn sees it.
        let _ = self.leash.tell(FromInit::Started(pid));
        ControlFlow::Continue(())
    }

    fn signal(&self, signal: SignalNumber) {
        let sent = match self.unreaped_payload() {
            Some(pid) => signals::send(pid, signal.get()),
            None => Err(Errno(libc::ESRCH)),
        };
        if let Err(errno) = sent {
            // As above.
            let _ = self.leash.tell(FromInit::SignalRefused(SignalRefusal {
                signal,
                errno: errno.0,
                pid: self.unreaped_payload().unwrap_or(0),
            }));
        }
    }

    /// What others send to us, a runtime's `kill` for instance, is meant for the payload.
    fn take_signals(&self) {
        while let Some(arrived) = self.signals.next() {
            if let (Arrived::Other(signal), Some(payload)) = (arrived, self.unreaped_payload()) {
                let _ = signals::send(payload, signal);
            }
        }
    }

    fn reap(&mut self) -> ControlFlow<End> {
        while let Ok(Some(reaped)) = family::reap() {
            if self.unreaped_payload() == Some(reaped.pid) {
                // Its last word on the pipe counts before its exit.
                let settled = self.settle();
                self.payload = Payload::Reaped;
                settled?;
                return ControlFlow::Break(End::Exited(reaped.exit));
            }
        }
        ControlFlow::Continue(())
    }
}

/// For poll(2), which takes no more than a C int: it is asked again then. Never so early that it would be asked in
/// vain.
fn milliseconds_until(deadline: Instant) -> libc::c_int {
    let left = deadline.saturating_duration_since(Instant::now());
    libc::c_int::try_from(left.as_millis().saturating_add(1)).unwrap_or(libc::c_int::MAX)
}
