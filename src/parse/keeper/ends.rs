//! How jobs and containers of the keeper's end: by themselves, because nobody waits for them, because time
//! is up, or with their container. Whatever happens, a job has one answer, and its seat is free afterwards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::job::{Job, Killed, Place};
use super::{Keeper, Reader};
use crate::parse::container::{Handle, News, Outgoing};
use crate::parse::control::JobNumber;
use crate::parse::death::Death;
use crate::parse::message::{self, End};
use crate::parse::pool::Number;

/// How long a program may take to kill a file's process before its container is killed with all that is in
/// it.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// How long a reader may still take when nobody wants its result any more: what it has containerd make
/// while an image is unpacked, it removes itself.
const READ_GRACE: Duration = Duration::from_secs(10);

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
    pub(super) fn dead(&mut self, number: Number, death: &Death, unsent: Vec<Outgoing>) {
        self.pool.gone(number);
        if death.changed {
            self.reader.forget();
        }
        let container = self.containers.remove(&number);
        let unfit = container.as_ref().and_then(|own| own.unfit.as_ref());
        let is_starter = |id: JobNumber| container.as_ref().is_some_and(|own| own.starter == id);
        let unsent = self.take_back(unsent);
        let mut jobs = self.jobs_in(number);
        // Whoever it was started for comes last: if it was his settings that changed, the others get
        // another container.
        jobs.sort_by_key(|id| is_starter(*id));
        for id in &jobs {
            let Some(job) = self.jobs.get_mut(id) else {
                continue;
            };
            let again = match job.place {
                // It was not for the others that it came to nothing.
                Place::Starting(_) if death.changed => !is_starter(*id) || job.tries_again(),
                Place::Sent { .. } if unsent.contains(id) => job.tries_again(),
                _ => false,
            };
            if again {
                self.read(*id);
                continue;
            }
            let end = match job.place {
                Place::Starting(_) => End::failed(format!(
                    "the container that parses this file could not be started: {}",
                    unfit.unwrap_or(&death.why)
                )),
                Place::Dying {
                    why: Killed::Late, ..
                } => job.order.late(),
                _ => in_the_middle(jobs.len(), death),
            };
            self.answer(*id, &end);
        }
        self.seat_waiting();
    }

    /// Gives jobs the descriptors back of which their program never heard.
    fn take_back(&mut self, unsent: Vec<Outgoing>) -> BTreeSet<JobNumber> {
        let mut jobs = BTreeSet::new();
        for packet in unsent {
            if let Some(id) = packet.job
                && let Some(job) = self.jobs.get_mut(&id)
            {
                job.descriptors = packet.descriptors;
                jobs.insert(id);
            }
        }
        jobs
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
            let packet = Outgoing {
                job: None,
                bytes: message::kill(id),
                descriptors: Vec::new(),
            };
            // A container that is gone has killed it already.
            let _ = handle.send(packet);
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
        for (number, container) in &mut self.containers {
            if container.is_starting() && container.until <= now {
                let limit = self.limits.start.as_secs_f64();
                container.unfit = Some(format!("it was not ready within {limit} s"));
                container.handle.iter().for_each(Handle::kill);
                self.pool.retire(*number);
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
        for container in self.containers.values_mut() {
            // Whoever is not ready does not listen.
            if !container.ready {
                container.handle.iter().for_each(Handle::kill);
            }
            container.handle = None;
        }
        let read = async { while self.reading.join_next().await.is_some() {} };
        // Whoever takes longer does not count.
        let _ = tokio::time::timeout(READ_GRACE, read).await;
        self.reading.abort_all();
        while !self.containers.is_empty() {
            match heard.recv().await {
                Some((number, News::Dead { .. })) => drop(self.containers.remove(&number)),
                Some((_, News::Line(line))) => (self.say)(&line),
                Some((_, News::Said(_) | News::Leaving)) => {}
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
