//! From an order to a program that has it: its settings are read, a container is found or started, and the
//! job is sent when that is ready.

use std::time::Instant;

use super::job::{Job, Place};
use super::{Container, Keeper, Reader};
use crate::failure::{Failure, Result};
use crate::parse::container::{self, Outgoing};
use crate::parse::control::JobNumber;
use crate::parse::message::{self, End};
use crate::parse::pool::{Seat, Wish};
use crate::parse::recipe::Recipe;

impl<R: Reader, S: Fn(&str)> Keeper<R, S> {
    /// Has the settings of a job read.
    pub(super) fn read(&mut self, id: JobNumber) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.place = Place::Read;
        let (reader, order) = (self.reader.clone(), job.order.clone());
        self.reading
            .spawn(async move { (id, reader.read(order).await) });
    }

    /// They are read.
    pub(super) fn seat_first(&mut self, id: JobNumber, recipe: Result<Recipe>) {
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
    pub(super) fn seat(&mut self, id: JobNumber) {
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
                        until: Instant::now() + self.limits.start,
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
    pub(super) fn send(&mut self, id: JobNumber) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Place::Starting(number) = job.place else {
            return;
        };
        let packet = Outgoing {
            job: Some(id),
            bytes: message::job(id, &job.order.job),
            descriptors: std::mem::take(&mut job.descriptors),
        };
        let until = job
            .order
            .timeout
            .and_then(|limit| Instant::now().checked_add(limit));
        job.place = Place::Sent { number, until };
        let sent = match self.handle(number) {
            Some(handle) => handle.send(packet),
            None => Err(packet),
        };
        let Err(back) = sent else {
            return;
        };
        // It died a moment ago.
        if let Some(job) = self.jobs.get_mut(&id) {
            job.descriptors = back.descriptors;
        }
        self.pool.leave(number, Instant::now());
        self.pool.retire(number);
        self.read(id);
    }

    /// Those for whom there was no room.
    pub(super) fn seat_waiting(&mut self) {
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
}

fn failed(failure: &Failure) -> End {
    End::Failed {
        failed: failure.to_string(),
        hint: failure.hints().join("; "),
    }
}
