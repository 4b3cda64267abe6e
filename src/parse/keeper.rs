//! The keeper: takes files from a client, finds or starts a container for each, and tells how each ended.
//!
//! In: a client's socket, a [`Reader`] that turns an order into a recipe. Out: exactly one packet on each
//! job's control socket. A job ends when its control socket does, and all of them when the client's does.
//! It never waits for one file, container or program while others have something to say, and nothing that
//! any of them sends makes it fail.

use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::container::{self, Handle, News};
use super::control::{Control, JobNumber};
use super::death::Death;
use super::message::{self, End, Order, Said};
use super::packet::{self, MAX_LENGTH, Packet};
use super::pool::{Limits, Number, Pool, Seat, Wish};
use super::recipe::Recipe;
use crate::failure::{Context, Failure, Kind, Result};
use crate::leash::watch;

/// How long a program may take to kill a file's process before its container is killed with all that is in
/// it.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// The most descriptors that a program takes with a job; with more it would leave, and all others with it.
const MAX_DESCRIPTORS: usize = 16;

/// How often a file is tried again whose container's settings were changed while it started.
const MAX_ATTEMPTS: u32 = 5;

/// What an order comes to: reads the settings and looks up the image.
pub trait Reader: Clone + Send + 'static {
    /// Never pulls an image, and never waits for a container.
    fn read(&self, order: Order) -> impl Future<Output = Result<Recipe>> + Send;
}

/// Serves `client` until its socket ends, or `until` comes true; then everything is ended. `say` gets lines
/// for the operator.
pub async fn keep<R: Reader>(
    client: OwnedFd,
    reader: R,
    limits: Limits,
    say: impl Fn(&str),
    until: impl Future<Output = ()>,
) -> Result<()> {
    let client = watch::watch(client).or_fail(Kind::Host, || "cannot serve DAG files")?;
    let (news, mut heard) = unbounded_channel();
    let (given_up, mut gone) = unbounded_channel();
    let mut keeper = Keeper {
        reader,
        say,
        pool: Pool::new(limits),
        containers: BTreeMap::new(),
        jobs: BTreeMap::new(),
        last: 0,
        reading: JoinSet::new(),
        news,
        given_up,
    };
    tokio::pin!(until);
    loop {
        let next = keeper.next();
        tokio::select! {
            packet = packet::receive(&client) => match packet {
                Ok(Some(packet)) => keeper.take(packet),
                // A client whose socket breaks is as good as one that has gone.
                Ok(None) | Err(_) => break,
            },
            Some((number, news)) = heard.recv() => keeper.hear(number, news),
            Some(job) = gone.recv() => keeper.give_up(job),
            Some(Ok((job, recipe))) = keeper.reading.join_next() => keeper.seat_first(job, recipe),
            () = at(next) => {}
            () = &mut until => break,
        }
        keeper.look_at_the_clock();
    }
    keeper.close(&mut heard).await;
    Ok(())
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

struct Keeper<R, S> {
    reader: R,
    say: S,
    pool: Pool,
    containers: BTreeMap<Number, Container>,
    jobs: BTreeMap<JobNumber, Job>,
    last: JobNumber,
    reading: JoinSet<(JobNumber, Result<Recipe>)>,
    news: UnboundedSender<(Number, News)>,
    given_up: UnboundedSender<JobNumber>,
}

struct Container {
    /// None when it was told to end.
    handle: Option<Handle>,
    ready: bool,
    /// Why its program will never be.
    unfit: Option<String>,
    /// Whose file's settings it was started with.
    starter: JobNumber,
}

struct Job {
    order: Order,
    control: Control,
    descriptors: Vec<OwnedFd>,
    recipe: Option<Recipe>,
    attempts: u32,
    place: Place,
}

/// Where a job is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Its settings are being read.
    Read,
    /// There are as many containers as there may be.
    Waiting,
    /// Its container is not ready yet.
    Starting(Number),
    /// Its program has it, at most until then.
    Sent {
        number: Number,
        until: Option<Instant>,
    },
    /// Its program was told to kill it, and its container dies then.
    Dying {
        number: Number,
        until: Instant,
        why: Killed,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    /// Nobody waits for it any more.
    GivenUp,
    /// Its time is up.
    Late,
}

impl Place {
    fn container(self) -> Option<Number> {
        match self {
            Self::Read | Self::Waiting => None,
            Self::Starting(number) | Self::Sent { number, .. } | Self::Dying { number, .. } => {
                Some(number)
            }
        }
    }

    /// When something has to be done about it.
    fn until(self) -> Option<Instant> {
        match self {
            Self::Sent { until, .. } => until,
            Self::Dying { until, .. } => Some(until),
            Self::Read | Self::Waiting | Self::Starting(_) => None,
        }
    }
}

impl<R: Reader, S: Fn(&str)> Keeper<R, S> {
    /// When to look at the clock, if nothing happens before.
    fn next(&self) -> Option<Instant> {
        let jobs = self.jobs.values().filter_map(|job| job.place.until());
        jobs.chain(self.pool.next()).min()
    }

    /// A packet of the client's.
    fn take(&mut self, packet: Packet) {
        let mut descriptors = packet.descriptors.into_iter();
        let Some(control) = descriptors.next() else {
            (self.say)("a packet without a control socket was ignored");
            return;
        };
        self.last += 1;
        let id = self.last;
        let control = match Control::new(id, control, self.given_up.clone()) {
            Ok(control) => control,
            Err(why) => {
                (self.say)(&format!(
                    "a packet with no control socket was ignored: {why}"
                ));
                return;
            }
        };
        let refused =
            |why: &str| End::failed(format!("airtight was not asked as it can be: {why}"));
        let order = match (packet.flaw, Order::read(&packet.bytes)) {
            (Some(flaw), _) => return control.answer(&refused(flaw)),
            (None, Err(why)) => return control.answer(&refused(&why.to_string())),
            (None, Ok(order)) => order,
        };
        if message::job(id, &order.job).len() > MAX_LENGTH {
            return control.answer(&refused("its job is longer than 128 KiB"));
        }
        if descriptors.len() > MAX_DESCRIPTORS {
            return control.answer(&refused("it has more than 16 descriptors"));
        }
        let job = Job {
            order,
            control,
            descriptors: descriptors.collect(),
            recipe: None,
            attempts: 0,
            place: Place::Read,
        };
        self.jobs.insert(id, job);
        self.read(id);
    }

    /// Has the settings of a job read.
    fn read(&mut self, id: JobNumber) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.place = Place::Read;
        let (reader, order) = (self.reader.clone(), job.order.clone());
        self.reading
            .spawn(async move { (id, reader.read(order).await) });
    }

    /// They are read.
    fn seat_first(&mut self, id: JobNumber, recipe: Result<Recipe>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        match recipe {
            Ok(recipe) => {
                job.recipe = Some(recipe);
                self.seat(id);
            }
            Err(failure) => self.answer(id, &failed(&failure)),
        }
    }

    /// Finds a container for it, or starts one.
    fn seat(&mut self, id: JobNumber) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(recipe) = &job.recipe else {
            return;
        };
        let wish = Wish {
            key: recipe.key,
            file: &job.order.file,
            sharing: recipe.sharing,
        };
        match self.pool.seat(wish, Instant::now()) {
            Seat::Wait => job.place = Place::Waiting,
            Seat::In(number) => {
                job.place = Place::Starting(number);
                if self.containers.get(&number).is_some_and(|own| own.ready) {
                    self.send(id);
                }
            }
            Seat::New(number) => match container::start(number, recipe, self.news.clone()) {
                Ok(handle) => {
                    job.place = Place::Starting(number);
                    let container = Container {
                        handle: Some(handle),
                        ready: false,
                        unfit: None,
                        starter: id,
                    };
                    self.containers.insert(number, container);
                }
                Err(failure) => {
                    self.pool.gone(number);
                    self.answer(id, &failed(&failure));
                }
            },
        }
    }

    /// Hands a job to its program, which is ready.
    fn send(&mut self, id: JobNumber) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Place::Starting(number) = job.place else {
            return;
        };
        let descriptors = std::mem::take(&mut job.descriptors);
        let until = job
            .order
            .timeout
            .and_then(|limit| Instant::now().checked_add(limit));
        job.place = Place::Sent { number, until };
        let packet = message::job(id, &job.order.job);
        if let Some(handle) = self.handle(number) {
            handle.send(packet, descriptors);
        }
    }

    fn handle(&self, number: Number) -> Option<&Handle> {
        self.containers.get(&number)?.handle.as_ref()
    }

    fn hear(&mut self, number: Number, news: News) {
        match news {
            News::Line(line) => (self.say)(&line),
            News::Said(Said::Ready) => self.ready(number),
            News::Said(Said::Unfit(why)) => {
                if let Some(container) = self.containers.get_mut(&number) {
                    container.unfit = Some(why);
                    container.handle = None;
                }
            }
            News::Said(Said::Ended { id, end }) => self.ended(number, id, end),
            News::Dead(death) => self.dead(number, &death),
        }
    }

    fn ready(&mut self, number: Number) {
        match self.containers.get_mut(&number) {
            Some(container) if !container.ready => container.ready = true,
            // It says so twice.
            _ => return self.kill(number),
        }
        for id in self.jobs_in(number) {
            self.send(id);
        }
    }

    /// The program says that a job's process is gone.
    fn ended(&mut self, number: Number, id: JobNumber, end: End) {
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

    fn kill(&self, number: Number) {
        if let Some(handle) = self.handle(number) {
            handle.kill();
        }
    }

    fn jobs_in(&self, number: Number) -> Vec<JobNumber> {
        let within = |(_, job): &(&JobNumber, &Job)| job.place.container() == Some(number);
        self.jobs.iter().filter(within).map(|(id, _)| *id).collect()
    }

    /// A container is gone, and with it all that was in it.
    fn dead(&mut self, number: Number, death: &Death) {
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
                _ => End::failed(in_the_middle(jobs.len(), death)),
            };
            self.answer(*id, &end);
        }
        self.seat_waiting();
    }

    fn seat_waiting(&mut self) {
        let waiting = |(_, job): &(&JobNumber, &Job)| matches!(job.place, Place::Waiting);
        let waiting: Vec<_> = self
            .jobs
            .iter()
            .filter(waiting)
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.seat(id);
        }
    }

    /// Nobody waits for this job any more.
    fn give_up(&mut self, id: JobNumber) {
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
    fn look_at_the_clock(&mut self) {
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
        for number in self.pool.endings(now) {
            if let Some(container) = self.containers.get_mut(&number) {
                container.handle = None;
            }
        }
    }

    fn answer(&mut self, id: JobNumber, end: &End) {
        if let Some(job) = self.jobs.remove(&id) {
            job.control.answer(end);
        }
    }

    /// Ends everything, and waits for it.
    async fn close(mut self, heard: &mut UnboundedReceiver<(Number, News)>) {
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

fn failed(failure: &Failure) -> End {
    End::Failed {
        failed: failure.to_string(),
        hint: failure.hints().join("; "),
    }
}

/// Which of the files did it, nobody can say.
fn in_the_middle(jobs: usize, death: &Death) -> String {
    let others = match jobs {
        0 | 1 => String::new(),
        2 => " and one other".to_owned(),
        more => format!(" and {} others", more - 1),
    };
    format!(
        "the container that was parsing this file{others} ended: {}",
        death.why
    )
}
