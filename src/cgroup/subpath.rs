//! Where below the mount path containers' cgroups are made: the setting `docker_cgroup_subpath`.
//!
//! Text in, one of two forms out. A path is for runtimes that write cgroups themselves; systemd's
//! form, `slice:prefix`, is for runtimes that ask systemd (runc, `--systemd-cgroup`). The two never
//! mix: a runtime takes the other form without complaint and makes nonsense of it. No I/O.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::id::ContainerId;

/// The longest name of a directory (limits.h, NAME_MAX).
const NAME_MAX: usize = 255;
/// systemd's slice for an empty one (runc, docs/systemd.md).
const DEFAULT_SLICE: &str = "system.slice";
const SLICE: &str = ".slice";

/// The setting `docker_cgroup_subpath`, understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subpath {
    /// A clean relative path such as `docker` or `airflow/tasks`.
    Cgroupfs(PathBuf),
    /// systemd's form.
    Systemd {
        /// The slice that the container's scope is put in, such as `system.slice`.
        slice: String,
        /// What the scope's name begins with.
        prefix: String,
    },
}

impl Subpath {
    /// What the OCI spec's `cgroupsPath` says for container `id`.
    pub fn cgroups_path(&self, id: &ContainerId) -> PathBuf {
        match self {
            Self::Cgroupfs(below) => Path::new("/").join(below).join(id.as_str()),
            Self::Systemd { slice, prefix } => format!("{slice}:{prefix}:{id}").into(),
        }
    }

    /// Where the container's directory is below each hierarchy.
    pub(super) fn directory(&self, id: &ContainerId) -> PathBuf {
        match self {
            Self::Cgroupfs(below) => below.join(id.as_str()),
            Self::Systemd { slice, prefix } if prefix.is_empty() => {
                expand(slice).join(format!("{id}.scope"))
            }
            Self::Systemd { slice, prefix } => expand(slice).join(format!("{prefix}-{id}.scope")),
        }
    }
}

/// The directory of a slice: `a-b.slice` is inside `a.slice` (systemd.slice(5)).
fn expand(slice: &str) -> PathBuf {
    let name = slice.strip_suffix(SLICE).unwrap_or(slice);
    let dashes = name.match_indices('-').filter_map(|(at, _)| name.get(..at));
    dashes
        .chain([name])
        .map(|part| format!("{part}{SLICE}"))
        .collect()
}

impl FromStr for Subpath {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let parsed = if text.contains(':') {
            systemd(text)
        } else {
            cgroupfs(text)
        };
        parsed.map_err(|why| {
            Failure::usage(format!("invalid docker_cgroup_subpath {text:?}"))
                .because(why)
                .hint("a path below the cgroup mount such as docker or airflow/tasks, or for a runtime with systemd's cgroup driver slice:prefix such as system.slice:airtight")
        })
    }
}

fn cgroupfs(text: &str) -> Result<Subpath, &'static str> {
    let inner = text.trim_start_matches('/');
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Err("it is empty");
    }
    if inner.contains(|c: char| c.is_control()) {
        return Err("it contains a control character");
    }
    for part in inner.split('/') {
        match Path::new(part).components().next() {
            None => return Err("it contains an empty component"),
            Some(Component::Normal(_)) if part.len() <= NAME_MAX => {}
            Some(Component::Normal(_)) => return Err("a component is longer than 255 bytes"),
            Some(_) => return Err("it contains . or .."),
        }
    }
    Ok(Subpath::Cgroupfs(inner.into()))
}

fn systemd(text: &str) -> Result<Subpath, &'static str> {
    if text.contains('/') {
        return Err("it mixes a path with systemd's form slice:prefix");
    }
    let mut parts = text.split(':');
    let (slice, prefix) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if parts.any(|name| !name.is_empty()) {
        return Err("the third part of systemd's form is the container's id: leave it out");
    }
    let slice = if slice.is_empty() {
        DEFAULT_SLICE
    } else {
        slice
    };
    let Some(name) = slice.strip_suffix(SLICE) else {
        return Err("its part before the colon is no slice: it does not end in .slice");
    };
    let misplaced = |name: &str| name.split('-').any(str::is_empty);
    if misplaced(name) || name.len() > NAME_MAX / 2 {
        return Err("its part before the colon is not the name of a slice");
    }
    if ![name, prefix].into_iter().all(is_unit_text) || prefix.len() > NAME_MAX / 2 {
        return Err("systemd's unit names are made of letters, digits and - _ . \\ @");
    }
    Ok(Subpath::Systemd {
        slice: slice.to_owned(),
        prefix: prefix.to_owned(),
    })
}

/// The characters of unit names, but for the colon (systemd.unit(5)).
fn is_unit_text(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.\\@".contains(&b))
}

impl TryFrom<String> for Subpath {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        text.parse()
    }
}

impl From<Subpath> for String {
    fn from(subpath: Subpath) -> Self {
        subpath.to_string()
    }
}

impl fmt::Display for Subpath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cgroupfs(below) => below.display().fmt(f),
            Self::Systemd { slice, prefix } => write!(f, "{slice}:{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> ContainerId {
        "web-1".parse().unwrap()
    }

    fn parse(text: &str) -> Subpath {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<Subpath>().unwrap_err().to_string()
    }

    #[test]
    fn a_path_is_taken_below_the_root_of_the_hierarchy() {
        let subpath = parse("airflow/tasks");
        assert_eq!(
            subpath.cgroups_path(&id()),
            Path::new("/airflow/tasks/web-1")
        );
        assert_eq!(subpath.directory(&id()), Path::new("airflow/tasks/web-1"));
    }

    #[test]
    fn slashes_around_a_path_are_tolerated() {
        assert_eq!(parse("/docker/"), parse("docker"));
    }

    #[test]
    fn a_path_that_is_not_clean_is_refused_with_the_key() {
        for bad in ["", "/", "..", "a/../b", "./a", "a//b", "a/.", "a\nb"] {
            let message = refusal(bad);
            assert!(message.contains("docker_cgroup_subpath"), "{message}");
        }
        assert!(refusal(&"x".repeat(256)).contains("255"));
    }

    #[test]
    fn the_form_slice_prefix_makes_a_scope_in_the_nested_directories_of_its_slice() {
        let subpath = parse("batch-night.slice:airtight");
        assert_eq!(
            subpath.cgroups_path(&id()),
            Path::new("batch-night.slice:airtight:web-1")
        );
        assert_eq!(
            subpath.directory(&id()),
            Path::new("batch.slice/batch-night.slice/airtight-web-1.scope")
        );
    }

    #[test]
    fn an_empty_slice_is_the_system_slice() {
        assert_eq!(parse(":airtight"), parse("system.slice:airtight:"));
        assert_eq!(
            parse(":").directory(&id()),
            Path::new("system.slice/web-1.scope")
        );
    }

    #[test]
    fn the_two_forms_do_not_mix() {
        assert!(refusal("/docker:x").contains("mixes"));
        assert!(refusal("docker:x").contains("no slice"));
        assert!(refusal("a.slice:b:c").contains("leave it out"));
        assert!(refusal("a--b.slice:c").contains("name of a slice"));
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_back_and_stays_below(text in "[a-z./: -]{0,20}|.*") {
            if let Ok(subpath) = text.parse::<Subpath>() {
                prop_assert_eq!(&parse(&subpath.to_string()), &subpath);
                let directory = subpath.directory(&id());
                prop_assert!(directory.components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert!(directory.components().count() >= 2);
            }
        }
    }
}
