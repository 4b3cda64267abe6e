//! What other commands ask of the owner of a living run: to stop, to send a signal.
//!
//! In: orders, and where the run is. Out: an answer to each, at once; what is begun goes on in the
//! supervisor. Nothing here waits for a client.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::libc;
use tokio::time::Instant;

use super::early::PATIENCE;
use super::end::Asked;
use super::progress::{AFTER_KILL, Payload, Progress, Rung, after};
use super::signals::ENDS;
use super::supervise::Supervisor;
use super::terminal::Terminal;
use crate::control::message::Request;
use crate::control::{Connection, Order, Orders};
use crate::plan::StopPlan;

impl Supervisor<'_> {
    /// Does it, or says why not.
    pub(super) fn on_order(&mut self, order: Order, now: &mut Progress) {
        if now.has_ended() {
            return order.answer_late();
        }
        match order.request {
            Request::Stop { signal, timeout } => {
                let stop = StopPlan {
                    signal: signal.unwrap_or(self.stop.signal),
                    timeout: timeout.unwrap_or(self.stop.timeout),
                    ..self.stop
                };
                self.stop_sooner(stop, signal, now);
                order.connection.ends_within(ladder(now.rung));
            }
            Request::Signal(number) => {
                self.send(number, now);
                order.connection.done();
            }
            Request::Guard(process) => self.beside.guard(process, order.connection),
            Request::Attach => self.attach(&order.connection, now),
        }
    }

    /// Hands over what we have of the payload's stdin or terminal.
    fn attach(&self, connection: &Connection, now: &Progress) {
        if matches!(now.payload, Payload::Starting(_)) {
            return connection.not_yet();
        }
        let at_terminal = now.terminal.as_ref().and_then(Terminal::other_side);
        match (at_terminal, &self.stdin) {
            (Some(terminal), _) => match self.output.viewers.admit() {
                Ok(screen) => {
                    let both = [terminal, screen.as_fd()];
                    connection.attached(true, self.takes_keys, &both);
                }
                Err(why) => connection.refuse(format!("it can have no further viewer: {why}")),
            },
            (None, Some(stdin)) => connection.attached(false, true, &[stdin.as_fd()]),
            (None, None) => connection.attached(false, false, &[]),
        }
    }

    /// Begins the ladder. One that has begun can only become shorter; a signal that was asked for is sent
    /// all the same.
    fn stop_sooner(&mut self, stop: StopPlan, signal: Option<i32>, now: &mut Progress) {
        match now.rung {
            Rung::Calm => {
                self.stop = stop;
                self.ask(Asked::Stop, now);
            }
            Rung::Asked(until) => {
                signal.into_iter().for_each(|number| self.send(number, now));
                now.rung = Rung::Asked(until.min(after(stop.timeout)));
            }
            Rung::Killed(_) | Rung::Waiting(_) => {}
        }
    }
}

/// How long the rest of the ladder takes at most.
fn ladder(rung: Rung) -> Duration {
    let left = |until: Instant| until.saturating_duration_since(Instant::now());
    match rung {
        Rung::Calm => Duration::ZERO,
        Rung::Asked(until) => left(until).saturating_add(AFTER_KILL),
        Rung::Killed(until) | Rung::Waiting(until) => left(until),
    }
}

/// Resolves with the signal of the next order that ends a run whose payload does not run yet; others are
/// refused.
pub async fn end_ordered(orders: &mut Orders) -> i32 {
    loop {
        let order = orders.next().await;
        match order.request {
            Request::Stop { .. } => {
                order.connection.ends_within(PATIENCE);
                return libc::SIGTERM;
            }
            Request::Signal(number) if number == libc::SIGKILL || ENDS.contains(&number) => {
                order.connection.done();
                return number;
            }
            Request::Attach => order.connection.not_yet(),
            Request::Signal(_) | Request::Guard(_) => {
                let why = "its payload does not run yet";
                order.connection.refuse_with(why, "try again in a moment");
            }
        }
    }
}
