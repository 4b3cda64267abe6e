//! Which cgroup hierarchies are mounted below the setting `cgroup_mount_path`.
//!
//! The mount path goes in, the list of hierarchies comes out. Only file system types are asked for
//! (statfs(2)), so nothing depends on /proc/self/mountinfo and its length. Changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use serde::Serialize;

use crate::failure::{Context, Failure, Kind, Result};

/// How the hierarchies of this host are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// cgroup v2 alone.
    Unified,
    /// v1 controllers, and a v2 hierarchy beside them.
    Hybrid,
    /// v1 alone.
    Legacy,
}

/// What is mounted on a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// A cgroup v1 hierarchy.
    Cgroup1,
    /// The cgroup v2 hierarchy.
    Cgroup2,
    /// Anything else.
    Other,
}

impl FileSystem {
    /// Asks the kernel.
    pub fn of(directory: &Path) -> io::Result<Self> {
        Ok(match statfs(directory)?.filesystem_type() {
            CGROUP_SUPER_MAGIC => Self::Cgroup1,
            CGROUP2_SUPER_MAGIC => Self::Cgroup2,
            _ => Self::Other,
        })
    }
}

/// The version of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One or a few controllers, named by the directory.
    V1,
    /// The unified hierarchy.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    root: PathBuf,
    version: Version,
    controllers: Vec<String>,
}

impl Hierarchy {
    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// v1 or v2.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The v1 controllers in it, by the names in its directory's name; `systemd` for `name=systemd`.
    pub fn controllers(&self) -> &[String] {
        &self.controllers
    }
}

/// All hierarchies of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    layout: Layout,
    all: Vec<Hierarchy>,
}

impl Hierarchies {
    /// Looks below `mount`.
    pub fn detect(mount: &Path) -> Result<Self> {
        Self::detect_with(mount, FileSystem::of)
    }

    /// [`Hierarchies::detect`] with another way to learn a directory's file system.
    pub fn detect_with(
        mount: &Path,
        file_system: impl Fn(&Path) -> io::Result<FileSystem>,
    ) -> Result<Self> {
        let refused = || format!("cannot use cgroup_mount_path {}", mount.display());
        match file_system(mount).or_fail(Kind::Host, refused)? {
            FileSystem::Cgroup2 => Ok(Self {
                layout: Layout::Unified,
                all: vec![unified(mount.to_owned())],
            }),
            FileSystem::Cgroup1 => Err(Failure::host(refused())
                .because("it is a single cgroup v1 controller")
                .hint("give the directory above it, in which all controllers are mounted")),
            FileSystem::Other => {
                let all = below(mount, file_system).or_fail(Kind::Host, refused)?;
                let layout = layout(&all).ok_or_else(|| {
                    Failure::host(refused())
                        .because("no cgroup hierarchy is mounted on it, nor on a directory in it")
                        .hint("cgroups are usually mounted on /sys/fs/cgroup")
                })?;
                Ok(Self { layout, all })
            }
        }
    }

    /// How they are arranged.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Each of them, v2 last.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.all.iter()
    }

    /// The v1 hierarchy that has `controller`.
    pub fn v1(&self, controller: &str) -> Option<&Hierarchy> {
        self.all
            .iter()
            .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }

    /// The v2 hierarchy.
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.all
            .iter()
            .find(|hierarchy| hierarchy.version == Version::V2)
    }

    /// The names of all controllers that can be used, v2's as the kernel lists them.
    pub fn controllers(&self) -> BTreeSet<String> {
        let v1 = self.all.iter().flat_map(|h| h.controllers.iter().cloned());
        let v2 = self.v2().map(|h| h.root.join("cgroup.controllers"));
        let v2 = v2.and_then(|file| fs::read_to_string(file).ok());
        let v2 = v2.unwrap_or_default();
        v1.chain(v2.split_whitespace().map(str::to_owned)).collect()
    }

    /// The same host without its v2 mount.
    #[cfg(test)]
    pub(super) fn v1_only(&self) -> Self {
        let v1 = self.iter().filter(|h| h.version == Version::V1);
        Self {
            layout: Layout::Legacy,
            all: v1.cloned().collect(),
        }
    }
}

/// `None` when there is nothing.
fn layout(all: &[Hierarchy]) -> Option<Layout> {
    let any = |version| all.iter().any(|h| h.version == version);
    match (any(Version::V1), any(Version::V2)) {
        (true, true) => Some(Layout::Hybrid),
        (true, false) => Some(Layout::Legacy),
        (false, true) => Some(Layout::Unified),
        (false, false) => None,
    }
}

fn unified(root: PathBuf) -> Hierarchy {
    Hierarchy {
        root,
        version: Version::V2,
        controllers: Vec::new(),
    }
}

/// The hierarchies mounted on directories in `mount`. A controller mounted together with another has
/// a directory and symbolic links to it (`cpu` to `cpu,cpuacct`): the directory counts, once.
fn below(
    mount: &Path,
    file_system: impl Fn(&Path) -> io::Result<FileSystem>,
) -> io::Result<Vec<Hierarchy>> {
    let mut entries = fs::read_dir(mount)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_type()?.is_symlink(), entry.file_name()))
        })
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut seen = BTreeSet::new();
    let (mut all, mut v2) = (Vec::new(), None);
    for (_, name) in entries {
        let root = mount.join(&name);
        let Ok(metadata) = fs::metadata(&root) else {
            continue;
        };
        if !metadata.is_dir() || !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        match file_system(&root) {
            Ok(FileSystem::Cgroup1) => all.push(Hierarchy {
                root,
                version: Version::V1,
                controllers: name
                    .to_string_lossy()
                    .split(',')
                    .map(str::to_owned)
                    .collect(),
            }),
            Ok(FileSystem::Cgroup2) => v2 = Some(unified(root)),
            Ok(FileSystem::Other) | Err(_) => {}
        }
    }
    all.extend(v2);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, REAL};
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(hierarchies: &Hierarchies) -> Vec<String> {
        let name = |h: &Hierarchy| h.root().file_name().unwrap().to_string_lossy().into_owned();
        hierarchies.iter().map(name).collect()
    }

    #[test]
    fn a_cgroup2_mount_is_unified() {
        let fixture = Fixture::unified();
        let found = fixture.hierarchies();
        assert_eq!(found.layout(), Layout::Unified);
        assert_eq!(found.v2().unwrap().root(), fixture.mount());
    }

    #[test]
    fn v1_controllers_beside_a_cgroup2_mount_are_hybrid_and_v2_is_last() {
        let found = Fixture::hybrid().hierarchies();
        assert_eq!(found.layout(), Layout::Hybrid);
        assert_eq!(names(&found).last().unwrap(), "unified");
        assert!(found.v1("memory").is_some());
    }

    #[test]
    fn v1_controllers_alone_are_legacy() {
        assert_eq!(Fixture::legacy().hierarchies().layout(), Layout::Legacy);
    }

    #[test]
    fn a_controller_that_is_a_link_to_a_shared_directory_counts_once() {
        let fixture = Fixture::legacy();
        fs::create_dir(fixture.mount().join("net_cls,net_prio")).unwrap();
        symlink("net_cls,net_prio", fixture.mount().join("net_cls")).unwrap();
        symlink("net_cls,net_prio", fixture.mount().join("net_prio")).unwrap();
        let found = fixture.hierarchies();
        assert!(!names(&found).contains(&"net_cls".to_owned()));
        assert_eq!(found.v1("net_cls"), found.v1("net_prio"));
        assert!(
            found
                .v1("net_cls")
                .unwrap()
                .root()
                .ends_with("net_cls,net_prio")
        );
    }

    #[test]
    fn a_path_without_cgroups_is_an_error_that_names_the_setting() {
        let empty = tempfile::tempdir().unwrap();
        let why = Hierarchies::detect(empty.path()).unwrap_err();
        assert!(why.to_string().contains("cgroup_mount_path"), "{why}");
        let why = Hierarchies::detect(Path::new("/nowhere")).unwrap_err();
        assert!(why.to_string().contains("No such file"), "{why}");
    }

    #[test]
    fn a_single_v1_controller_is_refused() {
        let probe = |_: &Path| Ok(FileSystem::Cgroup1);
        let why = Hierarchies::detect_with(Path::new("/x/memory"), probe).unwrap_err();
        assert!(why.hints()[0].contains("above"));
    }

    #[test]
    fn the_hierarchies_of_this_host_are_found() {
        let found = Hierarchies::detect(Path::new(REAL)).unwrap();
        assert!(found.controllers().contains("memory"));
        assert!(found.iter().all(|h| h.root().join("cgroup.procs").exists()));
    }
}
