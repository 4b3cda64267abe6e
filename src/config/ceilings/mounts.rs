//! Mounts that a metadata file names: from which host paths, and to where inside.
//!
//! What is said here holds as things are now, for an early and friendly answer. What a path leads to
//! when it is mounted is another matter, so each such mount carries its [`Fence`] until then
//! (`run/fenced.rs`).

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use super::super::keys::find;
use super::super::layer::{Item, Layer, Origin, Said};
use super::super::values::{
    Mount, MountSource, Propagation, parse_mount, parse_tmpfs, parse_volume,
};
use super::{Ceilings, SECTION};
use crate::failure::{Failure, Result};
use crate::fence::{Fence, Refusal};

/// Which host paths the operator allows.
#[derive(Debug)]
pub(super) enum HostPaths {
    /// All of them: the caller's own affair.
    Any,
    /// Those below the prefixes.
    Below(Fence),
}

impl Default for HostPaths {
    fn default() -> Self {
        Self::Below(Fence::default())
    }
}

impl HostPaths {
    /// Those below `prefixes`.
    pub(super) fn below<'a>(prefixes: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let prefix = |text: &str| {
            let path = PathBuf::from(text);
            let goes_up = path.components().any(|part| part == Component::ParentDir);
            if path.is_absolute() && !goes_up {
                Ok(path)
            } else {
                Err(format!("{text:?} is not an absolute path without '..'"))
            }
        };
        let prefixes: Vec<PathBuf> = prefixes.map(prefix).collect::<Result<_, _>>()?;
        Ok(Self::Below(Fence::below(prefixes)))
    }

    /// The prefixes; nothing where any path will do.
    pub(super) fn prefixes(&self) -> Option<&[PathBuf]> {
        match self {
            Self::Any => None,
            Self::Below(fence) => Some(fence.prefixes()),
        }
    }
}

/// Which mounts are an author's, and where those must lead.
#[derive(Debug, Default)]
pub struct Fences {
    fence: Option<Fence>,
    said: HashSet<(&'static str, Origin)>,
}

impl Fences {
    /// The fence of the mount that `item` names; none where it is the operator's.
    pub fn of(&self, item: &Item) -> Option<&Fence> {
        let said = (item.key.name, item.origin.clone());
        self.fence.as_ref().filter(|_| self.said.contains(&said))
    }
}

/// Where the runtime and the kernel keep what a payload must not get in their way of: a mount there can
/// make a runtime write to, or hide, another file than it means (runc, CVE-2019-19921, CVE-2025-31133).
const OF_THE_RUNTIME: [&str; 3] = ["/proc", "/sys", "/dev"];
/// But for memory that the payload shares with itself.
const SHARED_MEMORY: &str = "/dev/shm";

impl Ceilings {
    /// What the mounts that `author` names must keep to.
    pub fn fences(&self, author: &Layer) -> Fences {
        let HostPaths::Below(fence) = &self.host_paths else {
            return Fences::default();
        };
        let said = author.said().iter().filter_map(|said| match said {
            Said::Value(item) if !self.consents_to(item.key) => {
                Some((item.key.name, item.origin.clone()))
            }
            _ => None,
        });
        Fences {
            fence: Some(fence.clone()),
            said: said.collect(),
        }
    }

    pub(super) fn check_mount(&self, item: &Item) -> Result<()> {
        let mount = parse(item)?;
        if is_of_the_runtime(&mount.target) {
            return Err(item
                .refuse("what is mounted there could get in the runtime's way")
                .hint(self.hint(item.key)));
        }
        let MountSource::Bind { host, .. } = &mount.source else {
            let limited = find("shm_size").is_some_and(|key| self.maximum(key).is_some());
            return match limited && Path::new(&mount.target) == Path::new(SHARED_MEMORY) {
                true => Err(item
                    .refuse("its size would be above any MAX_SHM_SIZE")
                    .hint("shm_size says how large /dev/shm is")),
                false => Ok(()),
            };
        };
        let shared =
            |option: &String| Propagation::named(option).is_some_and(Propagation::reaches_the_host);
        if mount.options.iter().any(shared) {
            return Err(item
                .refuse("shared propagation would change the host's mounts")
                .hint(self.hint(item.key)));
        }
        let HostPaths::Below(fence) = &self.host_paths else {
            return Ok(());
        };
        fence.look(host).map_err(|why| self.refuse_path(item, why))
    }

    fn refuse_path(&self, item: &Item, why: Refusal) -> Failure {
        let hint = match why {
            Refusal::Outside(_) => Some(format!(
                "the operator can add it to ALLOWED_VOLUME_PREFIXES in [{SECTION}] of airflow.cfg"
            )),
            Refusal::Guarded { .. } => Some(self.hint(item.key)),
            Refusal::Trouble(_) => None,
        };
        let failure = item.refuse(why);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn parse(item: &Item) -> Result<Mount> {
    let parse = match item.key.name {
        "mounts" => parse_mount,
        "tmpfs" => parse_tmpfs,
        _ => parse_volume,
    };
    parse(&item.text).map_err(|why| item.refuse(why))
}

fn is_of_the_runtime(target: &str) -> bool {
    let below = |dir: &str| {
        target
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    OF_THE_RUNTIME.into_iter().any(below) && !below(SHARED_MEMORY)
}

#[cfg(test)]
mod tests;
