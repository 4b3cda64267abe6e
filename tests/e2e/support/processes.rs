//! Finding processes by the cgroup they are in, and waiting for what they do.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything in a test may take before it counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Between two looks, so that what is waited for gets the processor.
const PAUSE: Duration = Duration::from_millis(2);

/// The processes of this host that are in a cgroup below `subpath`.
pub fn below(subpath: &str) -> Vec<i32> {
    pids().filter(|pid| is_below(*pid, subpath)).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn is_below(pid: i32, subpath: &str) -> bool {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let alive = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|text| !text.is_empty());
    let path = format!("/{subpath}/");
    alive && cgroups.lines().any(|line| line.contains(&path))
}

/// The containerd that was started with this argument.
pub fn find_with_argument(argument: &str) -> Option<i32> {
    let has = |pid: &i32| {
        let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // The script that starts it may name it too, as a part of something longer.
        arguments.split('\0').any(|one| one == argument) && name(*pid) == "containerd"
    };
    pids().find(has)
}

/// The arguments of every process of this host.
pub fn arguments() -> impl Iterator<Item = (i32, String)> {
    pids().map(|pid| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&arguments).into_owned())
    })
}

/// The shims of container `id`.
pub fn shims(namespace: &str, id: &str) -> Vec<i32> {
    let words = format!("\0-namespace\0{namespace}\0-id\0{id}\0");
    let of_it = |(_, arguments): &(i32, String)| {
        arguments.contains("containerd-shim") && arguments.contains(&words)
    };
    arguments().filter(of_it).map(|(pid, _)| pid).collect()
}

/// Whether process `pid` is stopped (proc_pid_stat(5), field 3).
pub fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may have blanks and parentheses.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.starts_with(" T"))
}

/// What process `pid` calls itself.
pub fn name(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// Sends a signal to a process that may be gone.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Waits until `done`, looking again and again; panics when it takes too long.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "waited in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}
