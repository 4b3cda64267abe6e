//! What a group's processes used, from the files in which the kernel counts. A file that is missing
//! or of another form yields `None`, never 0. To be read before the runtime removes the group.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::Group;
use super::tree;

/// Figures of one group with all groups nested in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The most memory held at once, page cache included, in bytes.
    pub memory_peak: Option<u64>,
    /// User and system time.
    pub cpu_time: Option<Duration>,
    /// The most processes and threads at once.
    pub pids_peak: Option<u64>,
    /// How many processes were killed for memory.
    pub oom_kills: Option<u64>,
}

impl Group {
    /// Reads the figures. On a hybrid host v1 is asked first, since that is where the limits are.
    /// (Files: cgroup-v1/memory.rst and cpuacct.rst; cgroup-v2.rst.)
    pub fn usage(&self) -> Usage {
        let v1 = |controller, read: fn(&Path) -> Option<u64>| read(&self.v1(controller)?);
        let v2 = |read: fn(&Path) -> Option<u64>| read(&self.v2()?);
        let cpu_v1 = v1("cpuacct", |d| number(d, "cpuacct.usage")).map(Duration::from_nanos);
        let cpu_v2 = || v2(|d| field(d, "cpu.stat", "usage_usec")).map(Duration::from_micros);
        Usage {
            memory_peak: v1("memory", |d| number(d, "memory.max_usage_in_bytes"))
                .or_else(|| v2(|d| number(d, "memory.peak"))),
            cpu_time: cpu_v1.or_else(cpu_v2),
            pids_peak: v1("pids", |d| number(d, "pids.peak"))
                .or_else(|| v2(|d| number(d, "pids.peak"))),
            oom_kills: v1("memory", oom_kills_v1)
                .or_else(|| v2(|d| field(d, "memory.events", "oom_kill"))),
        }
    }
}

/// v1 counts each group's own kills only, so those nested in it are added.
fn oom_kills_v1(directory: &Path) -> Option<u64> {
    let own = field(directory, "memory.oom_control", "oom_kill")?;
    let nested = tree::directories(directory).unwrap_or_default();
    let nested = nested
        .iter()
        .filter(|nested| *nested != directory)
        .filter_map(|nested| field(nested, "memory.oom_control", "oom_kill"));
    Some(nested.fold(own, u64::saturating_add))
}

/// A file that holds one number.
pub(super) fn number(directory: &Path, file: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join(file)).ok()?;
    text.trim().parse().ok()
}

/// The number after `key` in a file of `key number` lines.
pub(super) fn field(directory: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join(file)).ok()?;
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, Payload, Real};
    use super::*;

    fn write(directory: &Path, file: &str, text: &str) {
        fs::write(directory.join(file), text).unwrap();
    }

    #[test]
    fn a_missing_file_is_unknown_and_not_zero() {
        for fixture in [Fixture::unified(), Fixture::legacy(), Fixture::hybrid()] {
            let group = fixture.group("docker", "a");
            assert_eq!(group.usage(), Usage::default());
        }
    }

    #[test]
    fn v2_figures_are_read_from_one_directory() {
        let fixture = Fixture::unified();
        let group = fixture.group("docker", "a");
        let directory = group.v2().unwrap();
        write(&directory, "memory.peak", "4096\n");
        write(&directory, "cpu.stat", "usage_usec 1500\nuser_usec 1\n");
        write(&directory, "pids.peak", "3\n");
        write(
            &directory,
            "memory.events",
            "oom 2\noom_kill 1\noom_group_kill 9\n",
        );
        let expected = Usage {
            memory_peak: Some(4096),
            cpu_time: Some(Duration::from_micros(1500)),
            pids_peak: Some(3),
            oom_kills: Some(1),
        };
        assert_eq!(group.usage(), expected);
    }

    #[test]
    fn v1_figures_are_read_from_each_controller_and_nested_kills_are_added() {
        let fixture = Fixture::legacy();
        let group = fixture.group("docker", "a");
        let memory = group.v1("memory").unwrap();
        let oom = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
        write(&memory, "memory.max_usage_in_bytes", "8192\n");
        write(&memory, "memory.oom_control", oom);
        fs::create_dir(memory.join("nested")).unwrap();
        write(&memory.join("nested"), "memory.oom_control", oom);
        write(&group.v1("cpuacct").unwrap(), "cpuacct.usage", "2000\n");
        let usage = group.usage();
        assert_eq!(usage.memory_peak, Some(8192));
        assert_eq!(usage.cpu_time, Some(Duration::from_nanos(2000)));
        assert_eq!(usage.oom_kills, Some(2));
        assert_eq!(usage.pids_peak, None);
    }

    #[test]
    fn a_hybrid_host_is_asked_in_v1_first_and_in_v2_for_the_rest() {
        let fixture = Fixture::hybrid();
        let group = fixture.group("docker", "a");
        write(
            &group.v1("memory").unwrap(),
            "memory.max_usage_in_bytes",
            "1",
        );
        write(&group.v2().unwrap(), "memory.peak", "2");
        write(&group.v2().unwrap(), "cpu.stat", "usage_usec 3");
        let usage = group.usage();
        assert_eq!(usage.memory_peak, Some(1));
        assert_eq!(usage.cpu_time, Some(Duration::from_micros(3)));
    }

    #[test]
    fn a_real_group_counts_what_ran_in_it() {
        let place = Real::new();
        let group = place.create("usage");
        let mut payload = Payload::start(&group, "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done");
        payload.0.wait().unwrap();
        let usage = group.usage();
        assert!(usage.cpu_time.is_some_and(|time| !time.is_zero()));
        assert!(usage.memory_peak.is_some_and(|bytes| bytes > 0));
        assert_eq!(usage.oom_kills, Some(0));
        group.remove(&place.parents()).unwrap();
    }
}
