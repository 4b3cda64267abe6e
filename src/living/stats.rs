//! What living runs use at this moment: from their cgroups and network namespaces, without containerd.
//!
//! In: runs, and figures of a moment ago. Out: figures, `None` where the kernel does not say. Nothing here
//! prints or waits.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;
use tokio::time::Instant;

use super::Living;
use crate::cgroup::{Current, Group};
use crate::failure::Result;
use crate::id::ContainerId;
use crate::run::state::{Found, State};

/// What one run uses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Which run.
    pub run: ContainerId,
    /// Of one processor, since the look before: 200 where two are busy.
    pub cpu_percent: Option<f64>,
    /// In bytes, without page cache that nobody uses.
    pub memory: Option<u64>,
    /// The run's own, or what the host has.
    pub memory_limit: Option<u64>,
    /// Of the limit.
    pub memory_percent: Option<f64>,
    /// Bytes, all devices but the loopback; unknown where it has no network of its own.
    pub network_received: Option<u64>,
    /// The same.
    pub network_sent: Option<u64>,
    /// Bytes, all devices.
    pub block_read: Option<u64>,
    /// The same.
    pub block_written: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// The looks of a moment ago.
#[derive(Debug, Default)]
pub struct Watch(HashMap<ContainerId, (Instant, Current)>);

/// Every run whose owner lives, and those that go on without one, sorted by name.
pub fn living(state: &State) -> Result<Vec<Living>> {
    let mut all = Vec::new();
    let mut ids = state.ids()?;
    ids.sort();
    for id in ids {
        let found = state.find(&id)?;
        let Some(record) = state.record(&id)? else {
            continue;
        };
        let lives = match found {
            Found::Held => true,
            Found::Dead(_) => record.group()?.is_some_and(|group| !group.is_empty()),
            Found::Absent => false,
        };
        if lives {
            let dir = state.directory(&id);
            all.push(Living { id, record, dir });
        }
    }
    Ok(all)
}

impl Watch {
    /// Looks at `runs`; those that have no processes yet, or no more, have no figures.
    pub fn look(&mut self, runs: &[Living]) -> Vec<Figures> {
        let host = host_memory();
        let mut seen = HashMap::new();
        let mut all = Vec::new();
        for run in runs {
            let group = run.record.group().ok().flatten();
            let Some(group) = group.filter(|group| !group.is_empty()) else {
                continue;
            };
            let now = (Instant::now(), group.current());
            all.push(figures(run, &group, self.0.get(&run.id), now, host));
            seen.insert(run.id.clone(), now);
        }
        self.0 = seen;
        all
    }
}

fn figures(
    run: &Living,
    group: &Group,
    before: Option<&(Instant, Current)>,
    (at, now): (Instant, Current),
    host: Option<u64>,
) -> Figures {
    let memory_limit = now.memory_limit.or(host);
    let (network_received, network_sent) = network(group).unzip();
    Figures {
        run: run.id.clone(),
        cpu_percent: before.and_then(|(then, before)| {
            let busy = now.cpu_time?.saturating_sub(before.cpu_time?);
            percent(busy.as_secs_f64(), (at - *then).as_secs_f64())
        }),
        memory: now.memory,
        memory_limit,
        memory_percent: now
            .memory
            .zip(memory_limit)
            .and_then(|(memory, limit)| percent(memory as f64, limit as f64)),
        network_received,
        network_sent,
        block_read: now.block_read,
        block_written: now.block_written,
        pids: now.pids,
    }
}

fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole * 10_000.0).round() / 100.0)
}

/// proc_meminfo(5), in bytes.
fn host_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Received and sent bytes of the network namespace that some process of the group is in, unless it is ours.
fn network(group: &Group) -> Option<(u64, u64)> {
    let pid = group.pids().ok()?.into_iter().next()?;
    let process = Path::new("/proc").join(pid.to_string());
    let namespace = |process: &Path| {
        let found = fs::metadata(process.join("ns/net")).ok()?;
        Some((found.dev(), found.ino()))
    };
    if namespace(&process)? == namespace(Path::new("/proc/self"))? {
        return None;
    }
    Some(devices(&fs::read_to_string(process.join("net/dev")).ok()?))
}

/// The sums of proc_pid_net_dev(5): behind `name:` received bytes come first and sent bytes ninth.
fn devices(text: &str) -> (u64, u64) {
    let devices = text.lines().filter_map(|line| line.split_once(':'));
    let others = devices.filter(|(name, _)| name.trim() != "lo");
    others.fold((0, 0), |(received, sent), (_, counts)| {
        let count = |at| {
            let word: Option<&str> = counts.split_whitespace().nth(at);
            word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
        };
        (
            received.saturating_add(count(0)),
            sent.saturating_add(count(8)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_does_not_count() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n\
            lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n\
            eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n\
            eth1:5 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0\n";
        assert_eq!(devices(text), (105, 23));
    }

    #[test]
    fn two_busy_processors_are_200_percent() {
        assert_eq!(percent(2.0, 1.0), Some(200.0));
        assert_eq!(percent(1.0, 3.0), Some(33.33));
        assert_eq!(percent(1.0, 0.0), None);
    }

    #[test]
    fn this_host_has_memory() {
        assert!(host_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
