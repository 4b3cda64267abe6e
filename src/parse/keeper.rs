//! The keeper: takes files from a client, finds or starts a container for each, and tells how each ended.
//!
//! In: a client's socket, a [`Reader`] that turns an order into a recipe. Out: exactly one packet on each
//! job's control socket. A job ends when its control socket does, and all of them when the client's does.
//! It never waits for one file, container or program while others have something to say, and nothing that
//! any of them sends makes it fail.

mod ends;
mod job;
mod seats;

use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use self::job::{Job, Place};
use super::container::{Handle, News};
use super::control::{Control, JobNumber};
use super::message::{self, End, Order, Said};
use super::pool::{Limits, Number, Pool};
use super::recipe::Recipe;
use crate::failure::{Context, Kind, Result};
use crate::leash::watch;
use crate::packet::{self, MAX_LENGTH, Packet};

/// The most descriptors that a program takes with a job; with more it would leave, and all others with it.
const MAX_DESCRIPTORS: usize = 16;

/// What an order comes to: reads the settings, looks up the image and has it unpacked.
pub trait Reader: Clone + Send + 'static {
    /// Never pulls an image, and never waits for a container.
    fn read(&self, order: Order) -> impl Future<Output = Result<Recipe>> + Send;

    /// What it remembers is no longer true.
    fn forget(&self);
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
        limits,
        pool: Pool::new(limits),
        containers: BTreeMap::new(),
        jobs: BTreeMap::new(),
        last: 0,
        reading: JoinSet::new(),
        news,
        given_up,
    };
    tokio::pin!(until);
    let heard_all = loop {
        let next = keeper.next();
        tokio::select! {
            packet = packet::receive(&client) => match packet {
                Ok(Some(packet)) => keeper.take(packet),
                Ok(None) => break Ok(()),
                Err(why) => break Err(why).or_fail(Kind::Usage, || "cannot hear what is to be parsed"),
            },
            Some((number, news)) = heard.recv() => keeper.hear(number, news),
            Some(job) = gone.recv() => keeper.give_up(job),
            Some(Ok((job, recipe))) = keeper.reading.join_next() => keeper.seat_first(job, recipe),
            () = at(next) => {}
            () = &mut until => break Ok(()),
        }
        keeper.look_at_the_clock();
    };
    keeper.close(&mut heard).await;
    heard_all
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
    limits: Limits,
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
    /// When it has to be, or dies.
    until: Instant,
    /// Why its program will never be.
    unfit: Option<String>,
    /// Whose file's settings it was started with.
    starter: JobNumber,
}

impl Container {
    fn is_starting(&self) -> bool {
        !self.ready && self.unfit.is_none() && self.handle.is_some()
    }
}

impl<R: Reader, S: Fn(&str)> Keeper<R, S> {
    /// When to look at the clock, if nothing happens before.
    fn next(&self) -> Option<Instant> {
        let jobs = self.jobs.values().filter_map(|job| job.place.until());
        let starting = self.containers.values().filter(|own| own.is_starting());
        let starting = starting.map(|own| own.until);
        jobs.chain(starting).chain(self.pool.next()).min()
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

    fn handle(&self, number: Number) -> Option<&Handle> {
        self.containers.get(&number)?.handle.as_ref()
    }

    fn hear(&mut self, number: Number, news: News) {
        match news {
            News::Line(line) => (self.say)(&line),
            News::Said(Said::Ready) => self.ready(number),
            News::Said(Said::Unfit(why)) => self.unfit(number, why),
            News::Said(Said::Ended { id, end }) => self.ended(number, id, end),
            News::Leaving => self.pool.retire(number),
            News::Dead { death, unsent } => self.dead(number, &death, unsent),
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

    /// The program says that it never will be.
    fn unfit(&mut self, number: Number, why: String) {
        match self.containers.get_mut(&number) {
            Some(container) if !container.ready => {
                container.unfit = Some(why);
                container.handle = None;
                self.pool.retire(number);
            }
            // It was.
            _ => self.kill(number),
        }
    }

    fn kill(&mut self, number: Number) {
        self.pool.retire(number);
        if let Some(handle) = self.handle(number) {
            handle.kill();
        }
    }

    fn jobs_in(&self, number: Number) -> Vec<JobNumber> {
        let within = |(_, job): &(&JobNumber, &Job)| job.place.container() == Some(number);
        self.jobs.iter().filter(within).map(|(id, _)| *id).collect()
    }
}
