//! One container's directories in all hierarchies: making them, finding them again, removing them.
//!
//! They are made before the runtime gets to it (runc and crun take an empty group that exists), so
//! that from then on no other run can remove a parent. Enabling v2's controllers in the parents is
//! left to the runtime, which does so for existing directories too (runc, `fs2/create.go`); so are
//! the directories of systemd's form, which are systemd's.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::controls::{Freezer, inherit_cpuset};
use super::mark;
use super::parents::{Parents, make_directory};
use super::tree::{self, Inhabitants};
use super::{Hierarchies, Subpath};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;

/// From the death of the last process until its group can be removed; longer means that one hangs.
const REMOVAL: Duration = Duration::from_secs(2);

/// Whose the directories are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Us,
    Systemd,
}

/// A container's cgroup.
#[derive(Debug, Clone)]
pub struct Group {
    hierarchies: Hierarchies,
    /// Below the root of each hierarchy.
    below: PathBuf,
    maker: Maker,
}

impl Group {
    /// The group of container `id`, whether it exists or not.
    pub fn at(hierarchies: &Hierarchies, subpath: &Subpath, id: &ContainerId) -> Self {
        Self {
            hierarchies: hierarchies.clone(),
            below: subpath.directory(id),
            maker: match subpath {
                Subpath::Cgroupfs(_) => Maker::Us,
                Subpath::Systemd { .. } => Maker::Systemd,
            },
        }
    }

    /// The group of container `id`, unless neither it nor the parents it would have exist: then
    /// nothing is left to kill or [remove](Group::remove).
    pub fn find(mount: &Path, subpath: &Subpath, id: &ContainerId) -> Result<Option<Self>> {
        let group = Self::at(&Hierarchies::detect(mount)?, subpath, id);
        let found = group
            .directories()
            .chain(group.parents())
            .any(|d| d.exists());
        Ok(found.then_some(group))
    }

    /// Makes the group and marks it with `owner`; `parents` is the file in which parents that had to be
    /// made are written down.
    ///
    /// A group of that name that is left over is made anew, so that it counts from zero and has no
    /// limits. If somebody lives in it, that is an error: [kill](Group::kill) it first if it is ours.
    pub fn create(
        hierarchies: &Hierarchies,
        subpath: &Subpath,
        id: &ContainerId,
        parents: &Path,
        owner: &str,
    ) -> Result<Self> {
        let group = Self::at(hierarchies, subpath, id);
        group.clear()?;
        if group.maker == Maker::Us {
            let mut list = Parents::lock(parents)?;
            if let Err(why) = group.make(&mut list, owner) {
                // What cannot be undone either is found by the next removal.
                let _ = group.remove_directories();
                let _ = list.remove_empty(&group.parents_innermost_first());
                return Err(why);
            }
        }
        Ok(group)
    }

    /// What its maker marked it with; nothing where there is no group, or systemd made it.
    pub fn mark(&self) -> Option<Vec<u8>> {
        self.directories()
            .find_map(|directory| mark::get(&directory, mark::OWNER))
    }

    /// Removes the group, with groups that the payload made in it, and then each parent that we made
    /// and nobody needs. What does not exist is fine; what is still lived in is an error.
    pub fn remove(&self, parents: &Path) -> Result<()> {
        self.remove_directories()?;
        let above = self.parents_innermost_first();
        match Parents::lock_existing(parents)? {
            Some(mut list) => list.remove_empty(&above),
            // It was lost; what was on it is marked.
            None if above.iter().any(|one| Parents::is_marked(one, parents)) => {
                Parents::lock(parents)?.remove_empty(&above)
            }
            None => Ok(()),
        }
    }

    /// Every process in the group and in those nested in it, as far as they have a pid here.
    pub fn pids(&self) -> Result<Vec<i32>> {
        Ok(self.inhabitants()?.pids.into_iter().collect())
    }

    /// It has a directory, in whichever hierarchy.
    pub fn exists(&self) -> bool {
        self.directories().any(|directory| directory.exists())
    }

    /// Nobody lives in it, as far as can be read.
    pub fn is_empty(&self) -> bool {
        self.inhabitants().is_ok_and(|found| found.is_empty())
    }

    /// Its directory in each hierarchy.
    pub fn directories(&self) -> impl Iterator<Item = PathBuf> {
        self.hierarchies.iter().map(|h| h.root().join(&self.below))
    }

    /// Its path for people: below each controller's mount.
    pub fn shown(&self) -> String {
        format!("/{}", self.below.display())
    }

    /// Its directory in the v1 hierarchy of `controller`.
    pub(super) fn v1(&self, controller: &str) -> Option<PathBuf> {
        Some(self.hierarchies.v1(controller)?.root().join(&self.below))
    }

    /// Its directory in the v2 hierarchy.
    pub(super) fn v2(&self) -> Option<PathBuf> {
        Some(self.hierarchies.v2()?.root().join(&self.below))
    }

    /// The file that tells when the group becomes empty.
    pub(super) fn events(&self) -> Option<PathBuf> {
        Some(self.v2()?.join("cgroup.events"))
    }

    pub(super) fn inhabitants(&self) -> Result<Inhabitants> {
        let mut found = Inhabitants::default();
        for directory in self.directories() {
            tree::inhabitants(&directory, &mut found).or_fail(Kind::Host, || self.unreadable())?;
        }
        Ok(found)
    }

    pub(super) fn unreadable(&self) -> String {
        format!("cannot read who is in cgroup {}", self.shown())
    }

    /// Removes what is left over of a group of this name.
    fn clear(&self) -> Result<()> {
        if !self.exists() {
            return Ok(());
        }
        let found = self.inhabitants()?;
        if found.is_empty() {
            return self.remove_directories();
        }
        let frozen = |h: &super::Hierarchy| {
            Freezer::new(&h.root().join(&self.below), h.version()).is_frozen()
        };
        let state = if self.hierarchies.iter().any(frozen) {
            "frozen processes"
        } else {
            "processes"
        };
        Err(
            Failure::host(format!("cgroup {} is in use", self.shown()))
                .because(format!("{state} are in it: {}", list(&found)))
                .hint("a container of that name is running or was left over: choose another name, or end these processes"),
        )
    }

    fn make(&self, list: &mut Parents, owner: &str) -> Result<()> {
        let parents: Vec<_> = self.parents().collect();
        list.make(&parents)?;
        if let Some(parent) = self.v1("cpuset").as_deref().and_then(Path::parent) {
            inherit_cpuset(parent)?;
        }
        for directory in self.directories() {
            make_directory(&directory).or_fail(Kind::Host, || {
                format!("cannot make cgroup {}", directory.display())
            })?;
            mark::set(&directory, mark::OWNER, owner.as_bytes());
        }
        Ok(())
    }

    /// Removes the group in every hierarchy, and only then says which could not be removed.
    fn remove_directories(&self) -> Result<()> {
        let deadline = Instant::now() + REMOVAL;
        let events = self.events();
        let mut outcome = Ok(());
        for directory in self.directories() {
            if let Err(why) = tree::remove(&directory, events.as_deref(), deadline) {
                let failure =
                    Failure::host(format!("cannot remove cgroup {}", directory.display()));
                outcome = Err(match self.inhabitants() {
                    Ok(found) if tree::is_busy(&why) && !found.is_empty() => {
                        failure.because(format!("processes are in it: {}", list(&found)))
                    }
                    _ => failure.because(why),
                });
            }
        }
        outcome
    }

    /// The directories between each hierarchy's root and the group, outermost first.
    fn parents(&self) -> impl Iterator<Item = PathBuf> {
        let above: Vec<_> = self.below.ancestors().skip(1).collect();
        let above: Vec<_> = above
            .into_iter()
            .rev()
            .filter(|above| !above.as_os_str().is_empty())
            .collect();
        self.hierarchies
            .iter()
            .flat_map(move |h| above.clone().into_iter().map(|above| h.root().join(above)))
    }

    fn parents_innermost_first(&self) -> Vec<PathBuf> {
        let mut parents: Vec<_> = self.parents().collect();
        parents.reverse();
        parents
    }

    /// The same group as if v2 were not mounted.
    #[cfg(test)]
    pub(super) fn v1_only(&self) -> Self {
        Self {
            hierarchies: self.hierarchies.v1_only(),
            ..self.clone()
        }
    }
}

fn list(found: &Inhabitants) -> String {
    const SHOWN: usize = 10;
    let mut pids: Vec<_> = found.pids.iter().take(SHOWN).map(i32::to_string).collect();
    if found.pids.len() > SHOWN {
        pids.push(format!("and {} more", found.pids.len() - SHOWN));
    }
    if found.hidden {
        pids.push("some of another pid namespace".to_owned());
    }
    pids.join(", ")
}

#[cfg(test)]
mod tests;
