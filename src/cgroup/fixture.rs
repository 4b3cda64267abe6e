//! Trees that look like mounted cgroups, and throw-away groups on this host's real ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::{FileSystem, Group, Hierarchies, Hierarchy, Layout, Subpath};
use crate::id::ContainerId;

/// Where this host's cgroups are.
pub const REAL: &str = "/sys/fs/cgroup";

const V1: [&str; 6] = [
    "cpu,cpuacct",
    "cpuset",
    "freezer",
    "memory",
    "pids",
    "systemd",
];

/// A mount path in a temporary directory.
pub struct Fixture {
    directory: TempDir,
    layout: Layout,
}

impl Fixture {
    pub fn unified() -> Self {
        Self::new(Layout::Unified, &[])
    }

    pub fn hybrid() -> Self {
        Self::new(Layout::Hybrid, &V1)
    }

    pub fn legacy() -> Self {
        Self::new(Layout::Legacy, &V1)
    }

    fn new(layout: Layout, controllers: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().join("cgroup");
        fs::create_dir(&mount).unwrap();
        for controller in controllers {
            fs::create_dir(mount.join(controller)).unwrap();
        }
        if layout == Layout::Hybrid {
            fs::create_dir(mount.join("unified")).unwrap();
        }
        Self { directory, layout }
    }

    pub fn mount(&self) -> PathBuf {
        self.directory.path().join("cgroup")
    }

    pub fn parents(&self) -> PathBuf {
        self.directory.path().join("cgroup-parents")
    }

    pub fn hierarchies(&self) -> Hierarchies {
        Hierarchies::detect_with(&self.mount(), |path| self.file_system(path)).unwrap()
    }

    fn file_system(&self, path: &Path) -> io::Result<FileSystem> {
        Ok(match (self.layout, path == self.mount()) {
            (Layout::Unified, true) => FileSystem::Cgroup2,
            (_, true) => FileSystem::Other,
            (_, false) if path.ends_with("unified") => FileSystem::Cgroup2,
            (_, false) => FileSystem::Cgroup1,
        })
    }

    /// The directories and files there are, below the mount path.
    pub fn listing(&self) -> Vec<PathBuf> {
        let mut all = super::tree::directories(&self.mount()).unwrap();
        all.sort();
        all
    }

    /// A group with its directories, without having been created.
    pub fn group(&self, subpath: &str, name: &str) -> Group {
        let group = Group::at(&self.hierarchies(), &path(subpath), &id(name));
        for directory in group.directories() {
            fs::create_dir_all(directory).unwrap();
        }
        group
    }
}

pub fn path(subpath: &str) -> Subpath {
    subpath.parse().unwrap()
}

pub fn id(name: &str) -> ContainerId {
    name.parse().unwrap()
}

/// A throw-away place on the real hierarchies; what is left there is removed with it.
pub struct Real {
    pub hierarchies: Hierarchies,
    pub subpath: String,
    directory: TempDir,
}

impl Real {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            hierarchies: Hierarchies::detect(Path::new(REAL)).unwrap(),
            subpath: format!("airtight-test-{}-{number}", std::process::id()),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn parents(&self) -> PathBuf {
        self.directory.path().join("cgroup-parents")
    }

    /// Makes a group and, as the runtime would, fills v1's cpuset and enables v2's controllers.
    pub fn create(&self, name: &str) -> Group {
        let group = self.try_create(name).unwrap();
        if let Some(directory) = group.v1("cpuset") {
            super::controls::inherit_cpuset(&directory).unwrap();
        }
        if let Some(above) = group.v2().as_deref().and_then(Path::parent) {
            // A hybrid host's v2 has none of these.
            let _ = fs::write(above.join("cgroup.subtree_control"), "+memory +pids");
        }
        group
    }

    pub fn try_create(&self, name: &str) -> crate::failure::Result<Group> {
        Group::create(
            &self.hierarchies,
            &path(&self.subpath),
            &id(name),
            &self.parents(),
            name,
        )
    }

    /// A group nested in `outer`, as a payload would make one.
    pub fn nested(&self, outer: &Group, name: &str) -> Group {
        let within = format!("{}/", outer.shown());
        let nested = Group::at(&self.hierarchies, &path(&within), &id(name));
        for (directory, above) in nested.directories().zip(outer.directories()) {
            fs::create_dir(&directory).unwrap();
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read(above.join(file)) {
                    let _ = fs::write(directory.join(file), value);
                }
            }
        }
        nested
    }

    /// The top directory of our place in each hierarchy, where there is one.
    pub fn left(&self) -> Vec<PathBuf> {
        let top = |h: &Hierarchy| h.root().join(&self.subpath);
        self.hierarchies
            .iter()
            .map(top)
            .filter(|top| top.exists())
            .collect()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for top in self.left() {
            for directory in super::tree::directories(&top).unwrap().iter().rev() {
                let _ = fs::remove_dir(directory);
            }
        }
    }
}

/// Runs `script` in a shell that has joined `group` first; ends with the value.
pub struct Payload(pub Child);

impl Payload {
    pub fn start(group: &Group, script: &str) -> Self {
        let mut join = String::new();
        for directory in group.directories() {
            join += &format!("echo $$ > {}/cgroup.procs || exit 9; ", directory.display());
        }
        let mut child = Command::new("sh")
            .args(["-c", &format!("{join} echo ready; {script}")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 6];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"ready\n");
        Self(child)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
