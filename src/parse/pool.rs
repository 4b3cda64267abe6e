//! Which container a file goes to, and which containers have had their time: plain data, without a clock
//! or a container of its own.
//!
//! In: what is asked, what happened, and when. Out: a place for a file, and the containers to be ended. It
//! must never give a file a container with another key than the file's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::image::digest::Digest;

/// A container, for as long as we live.
pub type Number = u64;

/// When a container has had its time, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many containers live at once.
    pub most: usize,
    /// How long one may take to start, from an unpacked image to a program that is ready.
    pub start: Duration,
    /// How long one without work lives.
    pub idle: Duration,
    /// How many files one parses.
    pub files: u32,
    /// How old one becomes before it takes no more files.
    pub age: Duration,
}

/// A container with Airflow imported takes some 150 MiB.
pub const MOST: usize = 8;

/// Airflow parses each file again after 30 s (`min_file_process_interval`), a large folder takes minutes; and
/// an image that somebody tries out is not worth its memory for longer.
pub const IDLE: Duration = Duration::from_secs(300);

/// An import of Airflow takes 1.5 s, and on a slow and busy disk twenty times as long. One that hangs must
/// not keep its files from another container for ever.
pub const START: Duration = Duration::from_secs(60);

impl Default for Limits {
    fn default() -> Self {
        Self {
            most: MOST,
            start: START,
            idle: IDLE,
            // What files leave in the container, in /tmp and in the kernel's accounts, does not pile up
            // for ever; and one start in a thousand costs nothing.
            files: 1000,
            // What a container was started with and nobody looks at again, such as the host's
            // resolv.conf, is not older than this.
            age: Duration::from_secs(3600),
        }
    }
}

/// What a file needs.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What containers it may share.
    pub key: Digest,
    /// Which file it is.
    pub file: &'a Path,
    /// Whether it shares none.
    pub sharing: Sharing,
}

/// Whether a container is for one file alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// With all files of the same key.
    Warm,
    /// With none.
    Cold,
}

/// Where a file is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// In this container.
    In(Number),
    /// In a new one, which has this number.
    New(Number),
    /// Nowhere yet: there are as many containers as there may be. Ask again when one is gone.
    Wait,
}

/// All living containers.
#[derive(Debug)]
pub struct Pool {
    limits: Limits,
    members: BTreeMap<Number, Member>,
    last: Number,
}

#[derive(Debug)]
struct Member {
    key: Digest,
    sharing: Sharing,
    /// Those that had their last seat here.
    files: BTreeSet<PathBuf>,
    taken: u32,
    busy: u32,
    born: Instant,
    idle_since: Instant,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It takes files.
    Open,
    /// It takes no more, and ends with its last.
    Retired,
    /// It was told to end.
    Ending,
}

impl Member {
    fn is_idle(&self) -> bool {
        self.standing == Standing::Open && self.busy == 0
    }
}

impl Pool {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            members: BTreeMap::new(),
            last: 0,
        }
    }

    /// A seat for a file; that the file is there counts from now on.
    pub fn seat(&mut self, wish: Wish<'_>, now: Instant) -> Seat {
        self.retire_old(now);
        self.forget(wish);
        let takes = |member: &Member| {
            member.standing == Standing::Open
                && member.sharing == Sharing::Warm
                && member.key == wish.key
        };
        if wish.sharing == Sharing::Warm
            && let Some((number, member)) = self.members.iter_mut().find(|(_, own)| takes(own))
        {
            member.take(wish.file, &self.limits);
            return Seat::In(*number);
        }
        if self.members.len() >= self.limits.most {
            self.make_room();
            return Seat::Wait;
        }
        self.last += 1;
        let mut member = Member {
            key: wish.key,
            sharing: wish.sharing,
            files: BTreeSet::new(),
            taken: 0,
            busy: 0,
            born: now,
            idle_since: now,
            standing: Standing::Open,
        };
        member.take(wish.file, &self.limits);
        self.members.insert(self.last, member);
        Seat::New(self.last)
    }

    /// A file that had a seat is done.
    pub fn leave(&mut self, number: Number, now: Instant) {
        if let Some(member) = self.members.get_mut(&number) {
            member.busy = member.busy.saturating_sub(1);
            member.idle_since = now;
        }
    }

    /// A container takes no more files.
    pub fn retire(&mut self, number: Number) {
        if let Some(member) = self.members.get_mut(&number) {
            member.retire();
        }
    }

    /// A container is gone.
    pub fn gone(&mut self, number: Number) {
        self.members.remove(&number);
    }

    /// The containers that are to end now; each is named once.
    pub fn endings(&mut self, now: Instant) -> Vec<Number> {
        self.retire_old(now);
        let mut ending = Vec::new();
        for (number, member) in &mut self.members {
            if member.standing == Standing::Retired && member.busy == 0 {
                member.standing = Standing::Ending;
                ending.push(*number);
            }
        }
        ending
    }

    /// When to ask for endings again, if nothing happens before.
    pub fn next(&self) -> Option<Instant> {
        let idle = self.members.values().filter(|member| member.is_idle());
        idle.map(|member| self.end_of(member)).min()
    }

    /// When an idle container has had its time.
    fn end_of(&self, member: &Member) -> Instant {
        (member.idle_since + self.limits.idle).min(member.born + self.limits.age)
    }

    fn retire_old(&mut self, now: Instant) {
        let limits = self.limits;
        for member in self.members.values_mut() {
            let old = now >= member.born + limits.age;
            let idle = member.busy == 0 && now >= member.idle_since + limits.idle;
            if old || idle {
                member.retire();
            }
        }
    }

    /// A container that a file has left for another key, and that was its last file, is of no more use:
    /// its image or its settings have changed.
    fn forget(&mut self, wish: Wish<'_>) {
        for member in self.members.values_mut() {
            let other = member.key != wish.key || wish.sharing != member.sharing;
            if other && member.files.remove(wish.file) && member.files.is_empty() {
                member.retire();
            }
        }
    }

    /// The one idle longest goes; where all are at work, the oldest takes no more files. One at a time.
    fn make_room(&mut self) {
        let on_its_way = |member: &Member| member.standing != Standing::Open;
        if self.members.values().any(on_its_way) {
            return;
        }
        let members = self.members.values_mut();
        let leaver = members.min_by_key(|member| match member.busy {
            0 => (0, member.idle_since),
            _ => (1, member.born),
        });
        if let Some(member) = leaver {
            member.retire();
        }
    }
}

impl Member {
    fn take(&mut self, file: &Path, limits: &Limits) {
        self.files.insert(file.to_owned());
        self.taken += 1;
        self.busy += 1;
        if self.taken >= limits.files || self.sharing == Sharing::Cold {
            self.retire();
        }
    }

    fn retire(&mut self) {
        if self.standing == Standing::Open {
            self.standing = Standing::Retired;
        }
    }
}

#[cfg(test)]
mod tests;
