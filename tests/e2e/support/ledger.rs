//! Everything a run can leave behind, in one comparable list.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Host, processes};

/// One line for each thing.
#[derive(Debug, PartialEq, Eq)]
pub struct Ledger(BTreeSet<String>);

impl Ledger {
    /// What there is in this test's part of the machine.
    pub fn of(host: &Host) -> Self {
        let mut lines = BTreeSet::new();
        let mut add = |what: &str, things: Vec<String>| {
            lines.extend(things.into_iter().map(|thing| format!("{what} {thing}")));
        };
        for (what, args) in [
            ("container", &["containers", "ls", "-q"][..]),
            ("task", &["tasks", "ls", "-q"]),
            ("snapshot", &["snapshots", "ls"]),
            ("lease", &["leases", "ls", "-q"]),
            ("ingest", &["content", "active"]),
            ("image", &["images", "ls", "-q"]),
        ] {
            add(what, rows(&host.ctr(args)));
        }
        add(
            "cgroup",
            cgroups(Path::new("/sys/fs/cgroup"), &host.subpath()),
        );
        add("run directory", directories(&host.state()));
        add("volume", directories(&host.data().join("volumes")));
        add("kept run", directories(&host.data().join("runs")));
        // All containerds of a host share it; the namespace is this test's own.
        let runtime = Path::new("/run/containerd/runc").join(host.namespace());
        add("runtime's directory", directories(&runtime));
        add("mount", mounts(host));
        add(
            "process",
            processes::below(&host.subpath())
                .iter()
                .map(i32::to_string)
                .collect(),
        );
        Self(lines)
    }
}

/// Rows without their headings.
fn rows(output: &str) -> Vec<String> {
    let heading = |line: &&str| {
        !line.starts_with("KEY") && !line.starts_with("REF") && !line.starts_with("ID")
    };
    output
        .lines()
        .filter(heading)
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn cgroups(mount: &Path, subpath: &str) -> Vec<String> {
    let controllers = fs::read_dir(mount)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let roots = controllers
        .filter(|path| path.is_dir())
        .chain([mount.to_owned()]);
    let mut found = Vec::new();
    for root in roots
        .map(|root| root.join(subpath))
        .filter(|root| root.exists())
    {
        found.extend(directories(&root));
        found.push(root.display().to_string());
    }
    found
}

fn directories(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let paths = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    paths.map(|path| path.display().to_string()).collect()
}

/// Mounts below our state, and those that a shim makes for a container of this namespace.
fn mounts(host: &Host) -> Vec<String> {
    let state = host.path("").display().to_string();
    let shim = format!("/io.containerd.runtime.v2.task/{}/", host.namespace());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| point.starts_with(&state) || point.contains(&shim))
        .map(str::to_owned)
        .collect()
}
