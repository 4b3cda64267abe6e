//! What a group's processes use at this moment, from the files in which the kernel counts. A file that is
//! missing or of another form yields `None`, never 0.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Group;
use super::usage::{field, number};

/// Figures of one group with all groups nested in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Current {
    /// User and system time so far.
    pub cpu_time: Option<Duration>,
    /// Memory that cannot simply be given back, in bytes: without the page cache that nobody uses, as docker
    /// counts it.
    pub memory: Option<u64>,
    /// The most it may hold; `None` where there is no limit.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes read from block devices so far.
    pub block_read: Option<u64>,
    /// Bytes written to block devices so far.
    pub block_written: Option<u64>,
}

/// v1 says a limit that cannot be reached where there is none (cgroup-v1/memory.rst).
const NO_LIMIT: u64 = 1 << 62;

impl Group {
    /// Reads the figures. On a hybrid host v1 is asked first, since that is where the limits are.
    /// (Files: cgroup-v1/memory.rst, blkio-controller.rst and pids.rst; cgroup-v2.rst.)
    pub fn current(&self) -> Current {
        let v1 = |controller, read: fn(&Path) -> Option<u64>| read(&self.v1(controller)?);
        let v2 = |read: fn(&Path) -> Option<u64>| read(&self.v2()?);
        let limit = v1("memory", |d| number(d, "memory.limit_in_bytes"))
            .or_else(|| v2(|d| number(d, "memory.max")));
        Current {
            cpu_time: self.usage().cpu_time,
            memory: v1("memory", memory_v1).or_else(|| v2(memory_v2)),
            memory_limit: limit.filter(|limit| *limit < NO_LIMIT),
            pids: v1("pids", |d| number(d, "pids.current"))
                .or_else(|| v2(|d| number(d, "pids.current"))),
            block_read: v1("blkio", |d| block_v1(d, "Read"))
                .or_else(|| v2(|d| block_v2(d, "rbytes="))),
            block_written: v1("blkio", |d| block_v1(d, "Write"))
                .or_else(|| v2(|d| block_v2(d, "wbytes="))),
        }
    }
}

fn memory_v1(directory: &Path) -> Option<u64> {
    let all = number(directory, "memory.usage_in_bytes")?;
    let unused = field(directory, "memory.stat", "total_inactive_file");
    Some(all.saturating_sub(unused.unwrap_or_default()))
}

fn memory_v2(directory: &Path) -> Option<u64> {
    let all = number(directory, "memory.current")?;
    let unused = field(directory, "memory.stat", "inactive_file");
    Some(all.saturating_sub(unused.unwrap_or_default()))
}

/// Lines of `8:0 Read 4096`, one for each device and direction.
fn block_v1(directory: &Path, direction: &str) -> Option<u64> {
    let file = directory.join("blkio.throttle.io_service_bytes_recursive");
    let text = fs::read_to_string(file).ok()?;
    let counts = text.lines().filter_map(|line| {
        let (_device, rest) = line.split_once(' ')?;
        rest.strip_prefix(direction)?.trim().parse::<u64>().ok()
    });
    Some(counts.fold(0, u64::saturating_add))
}

/// Lines of `8:0 rbytes=4096 wbytes=0 …`, one for each device.
fn block_v2(directory: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join("io.stat")).ok()?;
    let words = text.split_whitespace();
    let counts = words.filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
    Some(counts.fold(0, u64::saturating_add))
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
            assert_eq!(fixture.group("docker", "a").current(), Current::default());
        }
    }

    #[test]
    fn v2_figures_are_read_from_one_directory() {
        let fixture = Fixture::unified();
        let group = fixture.group("docker", "a");
        let directory = group.v2().unwrap();
        write(&directory, "memory.current", "4096\n");
        write(&directory, "memory.stat", "anon 1\ninactive_file 96\n");
        write(&directory, "memory.max", "max\n");
        write(&directory, "pids.current", "3\n");
        let io = "8:0 rbytes=10 wbytes=1 rios=1\n8:16 rbytes=5 wbytes=2\n";
        write(&directory, "io.stat", io);
        let expected = Current {
            memory: Some(4000),
            pids: Some(3),
            block_read: Some(15),
            block_written: Some(3),
            ..Current::default()
        };
        assert_eq!(group.current(), expected);
        write(&directory, "memory.max", "8192\n");
        assert_eq!(group.current().memory_limit, Some(8192));
    }

    #[test]
    fn v1_figures_are_read_from_each_controller() {
        let fixture = Fixture::legacy();
        let group = fixture.group("docker", "a");
        let memory = group.v1("memory").unwrap();
        write(&memory, "memory.usage_in_bytes", "4096\n");
        write(&memory, "memory.stat", "cache 1\ntotal_inactive_file 96\n");
        write(&memory, "memory.limit_in_bytes", "9223372036854771712\n");
        let found = group.current();
        assert_eq!((found.memory, found.memory_limit), (Some(4000), None));
    }

    #[test]
    fn a_real_group_has_figures() {
        let place = Real::new();
        let group = place.create("current");
        let _payload = Payload::start(&group, "sleep 1000");
        let found = group.current();
        assert!(found.memory.is_some() && found.cpu_time.is_some());
        assert!(found.pids.is_some_and(|pids| pids > 0));
        group.kill(Duration::from_secs(30)).unwrap();
        group.remove(&place.parents()).unwrap();
    }
}
