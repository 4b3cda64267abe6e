//! How jobs and containers of the keeper's end: by themselves, because nobody waits for them, because time
//! is up, or with their container. Whatever happens, a job has one answer, and its seat is free afterwards.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::job::{Job, Killed, Place};
use super::{Keeper, Reader, START_LIMIT};
use crate::parse::container::{Handle, News};
use crate::parse::control::JobNumber;
use crate::parse::death::Death;
use crate::parse::message::{self, End};
use crate::parse::pool::Number;

/// How long a program may take to kill a file's process before its container is killed with all that is in
/// it.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// How often a file is tried again whose container's settings were changed while it started.
const MAX_ATTEMPTS: u32 = 5;

impl<R: Reader, S: Fn(&str)> Keeper<R, S> {
    /// The program says that a job's process is gone.
    pub(super) fn ended(&mut self, number: Number, id: JobNumber, end: End) {
        let end = match self.jobs.get(&id).map(|job| (job, job.place)) {
            Some((_, Place::Sent { number: own, .. })) if own == number => end,
            Some((
                job,
                Place::Dying {
                    number: own, why, ..
                },
            )) if own == number => match why {
                Killed::Late => job.order.late(),
                Killed::GivenUp => end,
            },
            // It speaks of what it does not have.
            _ => return self.kill(number),
        };
        self.answer(id, &end);
        self.pool.leave(number, Instant::now());
    }

    /// A container is gone, and with it all that was in it.
    pub(super) fn dead(&mut self, number: Number, death: &Death) {
        self.pool.gone(number);
        let container = self.containers.remove(&number);
        let unfit = container.as_ref().and_then(|own| own.unfit.as_ref());
        let mut jobs = self.jobs_in(number);
        // Whoever it was started for comes last: if it was his settings that changed, the others get
        // another container.
        jobs.sort_by_key(|id| container.as_ref().is_some_and(|own| own.starter == *id));
        for id in &jobs {
            let Some(job) = self.jobs.get_mut(id) else {
                continue;
            };
            let end = match job.place {
                Place::Starting(_) if death.changed && job.attempts < MAX_ATTEMPTS => {
                    job.attempts += 1;
                    self.read(*id);
                    continue;
                }
                Place::Starting(_) => End::failed(format!(
                    "the container that parses this file could not be started: {}",
                    unfit.unwrap_or(&death.why)
                )),
                Place::Dying {
                    why: Killed::Late, ..
                } => {
                    End::Timeout(job.order.timeout.unwrap_or_default().as_secs_f64().ceil() as u64)
                }
                _ => in_the_middle(jobs.len(), death),
            };
            self.answer(*id, &end);
        }
        self.seat_waiting();
    }

    /// Nobody waits for this job any more.
    pub(super) fn give_up(&mut self, id: JobNumber) {
        match self.jobs.get(&id).map(|job| job.place) {
            Some(Place::Sent { number, .. }) => self.kill_job(id, number, Killed::GivenUp),
            Some(Place::Dying { .. }) | None => {}
            Some(place @ (Place::Read | Place::Waiting | Place::Starting(_))) => {
                self.jobs.remove(&id);
                if let Some(number) = place.container() {
                    self.pool.leave(number, Instant::now());
                }
            }
        }
    }

    fn kill_job(&mut self, id: JobNumber, number: Number, why: Killed) {
        if let Some(job) = self.jobs.get_mut(&id) {
            let until = Instant::now() + KILL_GRACE;
            job.place = Place::Dying { number, until, why };
        }
        if let Some(handle) = self.handle(number) {
            handle.send(message::kill(id), Vec::new());
        }
    }

    /// Does what is due.
    pub(super) fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        let is_due = |(_, job): &(&JobNumber, &Job)| job.place.until().is_some_and(|at| at <= now);
        let due: Vec<_> = self
            .jobs
            .iter()
            .filter(is_due)
            .map(|(id, job)| (*id, job.place))
            .collect();
        for (id, place) in due {
            match place {
                Place::Sent { number, .. } => self.kill_job(id, number, Killed::Late),
                Place::Dying { number, .. } => {
                    self.kill(number);
                    // Its death comes as news; until then there is nothing more to do.
                    if let Some(job) = self.jobs.get_mut(&id)
                        && let Place::Dying { until, .. } = &mut job.place
                    {
                        *until = now + KILL_GRACE;
                    }
                }
                Place::Read | Place::Waiting | Place::Starting(_) => {}
            }
        }
        for container in self.containers.values_mut() {
            if container.is_starting() && container.until <= now {
                let limit = START_LIMIT.as_secs();
                container.unfit = Some(format!("it was not ready within {limit} s"));
                container.handle.iter().for_each(Handle::kill);
            }
        }
        for number in self.pool.endings(now) {
            if let Some(container) = self.containers.get_mut(&number) {
                container.handle = None;
            }
        }
    }

    /// Says how a job ended.
    pub(super) fn answer(&mut self, id: JobNumber, end: &End) {
        if let Some(job) = self.jobs.remove(&id) {
            job.control.answer(end);
        }
    }

    /// Ends everything, and waits for it.
    pub(super) async fn close(mut self, heard: &mut UnboundedReceiver<(Number, News)>) {
        self.jobs.clear();
        self.reading.abort_all();
        for container in self.containers.values_mut() {
            container.handle = None;
        }
        while !self.containers.is_empty() {
            match heard.recv().await {
                Some((number, News::Dead(_))) => drop(self.containers.remove(&number)),
                Some((_, News::Line(line))) => (self.say)(&line),
                Some((_, News::Said(_))) => {}
                None => break,
            }
        }
    }
}

/// Which of several files did it, nobody can say.
fn in_the_middle(jobs: usize, death: &Death) -> End {
    let others = match jobs {
        0 | 1 => String::new(),
        2 => " and one other".to_owned(),
        more => format!(" and {} others", more - 1),
    };
    let why = format!(
        "the container that was parsing this file{others} ended: {}",
        death.why
    );
    match jobs {
        0 | 1 => End::failed(why),
        _ => End::Lost(why),
    }
}
