//! Limits, as they stand in the cgroup's files below
//! `<mount path>/<controller>/<subpath>/<id>` while the payload runs.

use std::path::{Path, PathBuf};

use super::support::{Host, Output, this_host};

const MOUNT: &str = "/sys/fs/cgroup";

fn is_v2() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// What a limit is called: on v1 with the controller's directory, on v2.
type Names = (&'static str, &'static str);

const MEMORY: Names = ("memory/memory.limit_in_bytes", "memory.max");
const RESERVATION: Names = ("memory/memory.soft_limit_in_bytes", "memory.low");
const CPUSET_CPUS: Names = ("cpuset/cpuset.cpus", "cpuset.cpus");
const CPUSET_MEMS: Names = ("cpuset/cpuset.mems", "cpuset.mems");
const PIDS: Names = ("pids/pids.max", "pids.max");
const SWAP: Names = ("memory/memory.memsw.limit_in_bytes", "memory.swap.max");
const SHARES: Names = ("cpu/cpu.shares", "cpu.weight");

/// The file of a container called `limited`.
fn file(host: &Host, name: Names) -> PathBuf {
    let below = format!("{}/limited", host.subpath());
    match name.0.split_once('/') {
        Some((controller, file)) if !is_v2() => {
            Path::new(MOUNT).join(controller).join(below).join(file)
        }
        _ => Path::new(MOUNT).join(below).join(name.1),
    }
}

/// The files' contents while a payload with `flags` runs.
fn limits<const N: usize>(host: &Host, flags: &[&str], names: [Names; N]) -> [String; N] {
    let flags = [&["--name", "limited"], flags].concat();
    let mut payload = host.start(&flags, "echo ready");
    assert_eq!(payload.line(), "ready");
    let found = names.map(|name| this_host::read(file(host, name)));
    payload.end().ok();
    found
}

fn counts_swap() -> bool {
    is_v2() || Path::new(MOUNT).join(SWAP.0).exists()
}

/// A number that on v1 stands for no limit at all.
fn unlimited(value: &str) -> bool {
    value == "max" || value.parse::<u64>().is_ok_and(|bytes| bytes > 1 << 62)
}

#[test]
fn every_limit_reaches_its_file() {
    let host = Host::new();
    let flags = [
        "-m",
        "64m",
        "--memory-reservation",
        "32m",
        "--cpuset-cpus",
        "0",
        "--cpuset-mems",
        "0",
        "--pids-limit",
        "33",
        "--cpus",
        "0.5",
        "--cpu-shares",
        "1024",
    ];
    let quota = ("cpu/cpu.cfs_quota_us", "cpu.max");
    let names = [
        MEMORY,
        RESERVATION,
        CPUSET_CPUS,
        CPUSET_MEMS,
        PIDS,
        quota,
        SHARES,
    ];
    let quota = if is_v2() { "50000 100000" } else { "50000" };
    // runc's conversion, (1024 - 2) * 9999 / 262142 + 1.
    let shares = if is_v2() { "39" } else { "1024" };
    assert_eq!(
        limits(&host, &flags, names),
        ["67108864", "33554432", "0", "0", "33", quota, shares]
    );
}

#[test]
fn without_limits_the_kernel_s_own_hold() {
    let host = Host::new();
    let [memory, reservation, pids] = limits(&host, &[], [MEMORY, RESERVATION, PIDS]);
    assert!(unlimited(&memory), "{memory}");
    assert!(
        unlimited(&reservation) || reservation == "0",
        "{reservation}"
    );
    assert_eq!(pids, "max");
    let zeros = [
        "-m",
        "0",
        "--cpus",
        "0",
        "--cpu-shares",
        "0",
        "--pids-limit",
        "-1",
        "--blkio-weight",
        "0",
    ];
    let [memory, pids] = limits(&host, &zeros, [MEMORY, PIDS]);
    assert!(unlimited(&memory) && pids == "max", "{memory} {pids}");
}

/// On v2 the file counts swap alone, on v1 memory and swap.
#[test]
fn swap_is_as_much_as_memory_unless_said_otherwise() {
    let host = Host::new();
    if !counts_swap() {
        // Docker warns as well: "Memory limited without swap".
        let output = host.run(&["-m", "64m", "--memory-swap", "96m", "busybox:test", "true"]);
        assert_eq!(output.code, 0);
        assert!(
            output.stderr.contains("--memory-swap has no effect"),
            "{output:?}"
        );
        return;
    }
    let swap = |flags: &[&str]| {
        let [swap] = limits(&host, flags, [SWAP]);
        swap
    };
    let expected =
        |memory_and_swap: u64| (memory_and_swap - if is_v2() { 64 << 20 } else { 0 }).to_string();
    assert_eq!(swap(&["-m", "64m"]), expected(128 << 20));
    assert_eq!(
        swap(&["-m", "64m", "--memory-swap", "0"]),
        expected(128 << 20)
    );
    assert_eq!(
        swap(&["-m", "64m", "--memory-swap", "96m"]),
        expected(96 << 20)
    );
    assert_eq!(
        swap(&["-m", "64m", "--memory-swap", "64m"]),
        expected(64 << 20)
    );
    assert!(unlimited(&swap(&["-m", "64m", "--memory-swap", "-1"])));
}

#[test]
fn limits_that_make_no_sense_are_refused_before_anything_exists() {
    let host = Host::new();
    for (flags, words) in [
        (&["-m", "5m"][..], &["--memory", "6m"][..]),
        (&["-m", "-1"], &["--memory", "negative"]),
        (&["-m", "1e9"], &["--memory", "1e9"]),
        (&["-m", "9999999999999999999"], &["--memory", "larger than"]),
        (
            &["--memory-reservation", "1m"],
            &["--memory-reservation", "6m"],
        ),
        (
            &["-m", "64m", "--memory-reservation", "65m"],
            &["--memory-reservation", "--memory"],
        ),
        (
            &["-m", "64m", "--memory-swap", "63m"],
            &["--memory-swap", "below"],
        ),
        (
            &["--memory-swap", "64m"],
            &["--memory-swap", "needs --memory"],
        ),
        (
            &["-m", "64m", "--memory-swap", "-2"],
            &["--memory-swap", "negative"],
        ),
        (&["--cpus", "100000"], &["--cpus", "must not be above"]),
        (&["--cpus", "-1"], &["--cpus"]),
        (&["--cpus", "0.001"], &["--cpus", "0.01"]),
        (&["--cpus", "nan"], &["--cpus"]),
        (&["--cpuset-cpus", "0,60000"], &["--cpuset-cpus", "60000"]),
        (&["--cpuset-cpus", "1-0"], &["--cpuset-cpus", "list"]),
        (&["--cpuset-cpus", ""], &["--cpuset-cpus", "list"]),
        (&["--cpuset-mems", "60000"], &["--cpuset-mems", "60000"]),
        (&["--cpu-shares", "1"], &["--cpu-shares", "262144"]),
        (&["--cpu-shares", "262145"], &["--cpu-shares", "262144"]),
        (&["--pids-limit", "1"], &["--pids-limit", "at least 2"]),
        (&["--pids-limit", "-2"], &["--pids-limit"]),
        (&["--pids-limit", "1e9"], &["--pids-limit"]),
        (&["--blkio-weight", "9"], &["--blkio-weight", "1000"]),
        (&["--blkio-weight", "1001"], &["--blkio-weight", "1000"]),
    ] {
        host.run(&[flags, &["busybox:test", "true"]].concat())
            .refused(words);
    }
}

/// Docker discards the weight with a warning where the kernel has none.
#[test]
fn block_io_is_weighed_or_the_user_is_told_that_it_is_not() {
    let host = Host::new();
    let script = "cat /sys/fs/cgroup/blkio/blkio*.weight /sys/fs/cgroup/io*.weight 2>/dev/null; :";
    let output = host.run(&["--blkio-weight", "300", "busybox:test", "sh", "-c", script]);
    assert_eq!(output.code, 0, "{output:?}");
    if output.stderr.is_empty() {
        // runc's and crun's conversion, (300 - 10) * 9999 / 990 + 1.
        let weight = if is_v2() { "default 2930\n" } else { "300" };
        assert!(output.stdout.contains(weight), "{output:?}");
    } else {
        let Output { stdout, stderr, .. } = output;
        assert_eq!(stdout, "");
        assert!(stderr.contains("--blkio-weight has no effect"), "{stderr}");
    }
}

#[test]
fn killing_for_memory_can_be_disabled_on_v1_and_is_refused_on_v2() {
    let host = Host::new();
    let flags = ["--oom-kill-disable", "-m", "64m"];
    if is_v2() {
        host.run(&[&flags[..], &["busybox:test", "true"]].concat())
            .refused(&["cgroup v2"]);
        return;
    }
    let [control] = limits(&host, &flags, [("memory/memory.oom_control", "")]);
    assert!(control.starts_with("oom_kill_disable 1\n"), "{control}");
    let output = host.run(&["--oom-kill-disable", "busybox:test", "true"]);
    assert_eq!(output.code, 0);
    assert!(
        output
            .stderr
            .contains("--oom-kill-disable without --memory"),
        "{output:?}"
    );
}
