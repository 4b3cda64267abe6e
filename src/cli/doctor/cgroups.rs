//! cgroups: how they are mounted, which controllers there are, how a whole tree is killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::cgroup::{Hierarchies, Layout, Version, own_membership};
use crate::failure::Result;
use crate::kernel::KernelVersion;

/// What limits need, by v2's and v1's names.
const CONTROLLERS: [(&str, &str, &str); 5] = [
    ("cpu", "cpu", "--cpus and --cpu-shares"),
    ("cpuset", "cpuset", "--cpuset-cpus and --cpuset-mems"),
    ("io", "blkio", "--blkio-weight"),
    ("memory", "memory", "--memory and peak memory"),
    ("pids", "pids", "--pids-limit"),
];
/// The first kernel with cgroup.kill (cgroup-v2.rst).
const CGROUP_KILL: KernelVersion = KernelVersion::new(5, 14, 0);
/// The first kernel with favordynmods (cgroup-v2.rst, "Mounting").
const FAVORDYNMODS: KernelVersion = KernelVersion::new(6, 0, 0);

/// The cgroups of this host.
pub struct Cgroups {
    mount: PathBuf,
    hierarchies: Result<Hierarchies>,
    root: PathBuf,
    kernel: Option<KernelVersion>,
}

impl Cgroups {
    /// Looks at what is mounted on `mount`; /proc is below `root`.
    pub fn look(mount: &Path, root: &Path) -> Self {
        let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease"));
        Self {
            mount: mount.to_owned(),
            hierarchies: Hierarchies::detect(mount),
            root: root.to_owned(),
            kernel: release.ok().and_then(|release| release.parse().ok()),
        }
    }

    /// crun 1.8 refuses such a host.
    pub fn crun_refuses(&self) -> bool {
        let Ok(hierarchies) = &self.hierarchies else {
            return false;
        };
        let controllers = hierarchies
            .v2()
            .and_then(|v2| fs::read_to_string(v2.root().join("cgroup.controllers")).ok());
        hierarchies.layout() == Layout::Hybrid
            && controllers.is_some_and(|list| !list.trim().is_empty())
    }

    /// The report.
    pub fn findings(&self) -> Vec<Finding> {
        let hierarchies = match &self.hierarchies {
            Ok(hierarchies) => hierarchies,
            Err(why) => {
                let advice = why.hints().first().map_or("", String::as_str);
                return vec![
                    Finding::missing("cgroups", why.to_string())
                        .required()
                        .advice(advice),
                ];
            }
        };
        vec![
            self.layout(hierarchies),
            controllers(&hierarchies.controllers(), hierarchies.layout()),
            self.tree_kill(hierarchies),
            self.attaching(),
            self.own(),
        ]
    }

    fn layout(&self, hierarchies: &Hierarchies) -> Finding {
        let at = self.mount.display();
        match hierarchies.layout() {
            Layout::Unified => Finding::ok("cgroups", format!("v2 at {at}")),
            Layout::Hybrid => Finding::ok("cgroups", format!("v1 and v2 (hybrid) at {at}"))
                .advice("limits are set in v1; --cgroup-subpath is below each controller"),
            Layout::Legacy => Finding::ok("cgroups", format!("v1 at {at}"))
                .advice("--cgroup-subpath is below each controller"),
        }
    }

    fn tree_kill(&self, hierarchies: &Hierarchies) -> Finding {
        const CHECK: &str = "cgroup kill";
        if hierarchies.v2().is_some() && self.kernel.is_some_and(|kernel| kernel >= CGROUP_KILL) {
            return Finding::ok(CHECK, "cgroup.kill");
        }
        if hierarchies.v1("freezer").is_some() || hierarchies.v2().is_some() {
            return Finding::ok(CHECK, "by freezing").advice(
                "cgroup.kill needs v2 and Linux 5.14; a tree is frozen, killed and thawed",
            );
        }
        Finding::warn(CHECK, "neither cgroup.kill nor a freezer")
            .advice("killing a tree that forks is a race: mount v2 or v1's freezer")
    }

    /// The first process put into a group after a quiet spell waits 8 to 16 ms for an RCU grace
    /// period unless the hierarchy is mounted with favordynmods.
    fn attaching(&self) -> Finding {
        const CHECK: &str = "cgroup attach";
        let mounts = fs::read_to_string(self.root.join("proc/self/mountinfo")).unwrap_or_default();
        let state = favoured(&mounts, &self.mount);
        match (state, &self.kernel) {
            (Favour::All, _) => Finding::ok(CHECK, "favordynmods"),
            (_, Some(kernel)) if *kernel < FAVORDYNMODS => {
                Finding::ok(CHECK, "without favordynmods").advice("this kernel does not have it yet")
            }
            (Favour::Version(Version::V2), _) => Finding::ok(CHECK, "without favordynmods").advice(format!(
                "starts after a quiet spell may gain some 10 ms: mount -o remount,favordynmods {}",
                self.mount.display()
            )),
            _ => Finding::ok(CHECK, "without favordynmods").advice(
                "starts after a quiet spell may gain some 10 ms if the hierarchies are mounted with it",
            ),
        }
    }

    fn own(&self) -> Finding {
        const CHECK: &str = "own cgroup";
        match own_membership(&self.root.join("proc")) {
            Ok(all) => {
                let paths: BTreeSet<_> = all.iter().map(|m| m.path.display().to_string()).collect();
                let paths: Vec<_> = paths.into_iter().collect();
                Finding::ok(CHECK, paths.join(", "))
            }
            Err(why) => Finding::warn(CHECK, why.to_string()),
        }
    }
}

fn controllers(present: &BTreeSet<String>, layout: Layout) -> Finding {
    const CHECK: &str = "controllers";
    let has = |(v2, v1, _): &&(&str, &str, &str)| match layout {
        Layout::Unified => present.contains(*v2),
        Layout::Legacy | Layout::Hybrid => present.contains(*v1) || present.contains(*v2),
    };
    let lacking: Vec<_> = CONTROLLERS.iter().filter(|c| !has(c)).collect();
    let all: Vec<_> = present.iter().map(String::as_str).collect();
    if lacking.is_empty() {
        return Finding::ok(CHECK, all.join(", "));
    }
    let names: Vec<_> = lacking.iter().map(|(name, _, _)| *name).collect();
    let costs: Vec<_> = lacking.iter().map(|(_, _, cost)| *cost).collect();
    Finding::warn(
        CHECK,
        format!("{}; not {}", all.join(", "), names.join(", ")),
    )
    .advice(format!("cannot be had here: {}", costs.join(", ")))
}

/// Which of the hierarchies are mounted with favordynmods.
#[derive(Debug, PartialEq, Eq)]
enum Favour {
    All,
    Version(Version),
    Unknown,
}

/// Reads mountinfo (proc_pid_mountinfo(5)): mount point is field 5, the type and the super block's
/// options are the first and the third after the lone dash.
fn favoured(mountinfo: &str, mount: &Path) -> Favour {
    let mut without = None;
    let mut seen = false;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let point = left.split(' ').nth(4).map(Path::new);
        let mut right = right.split(' ');
        let (kind, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
        let version = match kind {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => continue,
        };
        if !point.is_some_and(|point| point.starts_with(mount)) {
            continue;
        }
        seen = true;
        if !options.split(',').any(|option| option == "favordynmods") && without.is_none() {
            without = Some(version);
        }
    }
    match (seen, without) {
        (false, _) => Favour::Unknown,
        (true, None) => Favour::All,
        (true, Some(version)) => Favour::Version(version),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use proptest::prelude::*;

    fn present(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_missing_controller_says_which_flags_it_costs() {
        let v2 = present(&["cpu", "io", "memory", "pids"]);
        let finding = controllers(&v2, Layout::Unified);
        assert_eq!(finding.state(), State::Warn);
        assert!(finding.cells()[3].contains("--cpuset-cpus"));
    }

    #[test]
    fn blkio_is_the_io_of_v1() {
        let v1 = present(&["blkio", "cpu", "cpuset", "memory", "pids"]);
        assert_eq!(controllers(&v1, Layout::Legacy).state(), State::Ok);
        assert_eq!(controllers(&v1, Layout::Unified).state(), State::Warn);
    }

    #[test]
    fn a_host_without_cgroups_is_fatal_and_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let found = Cgroups::look(directory.path(), Path::new("/")).findings();
        assert!(found.iter().any(Finding::is_fatal));
    }

    #[test]
    fn favordynmods_counts_when_every_hierarchy_has_it() {
        let mount = Path::new("/sys/fs/cgroup");
        let line = |options: &str| {
            format!(
                "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw{options}\n"
            )
        };
        assert_eq!(favoured(&line(",favordynmods"), mount), Favour::All);
        assert_eq!(favoured(&line(""), mount), Favour::Version(Version::V2));
        assert_eq!(favoured("", mount), Favour::Unknown);
    }

    #[test]
    fn this_host_has_cgroups() {
        let cgroups = Cgroups::look(Path::new("/sys/fs/cgroup"), Path::new("/"));
        assert!(!cgroups.findings().iter().any(Finding::is_fatal));
    }

    proptest! {
        #[test]
        fn any_mountinfo_is_read(text in ".*") {
            let _ = favoured(&text, Path::new("/sys/fs/cgroup"));
        }
    }
}
