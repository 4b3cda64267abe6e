//! The payload as a process: limits, working directory, descriptors, PID 1.

use super::support::{Host, this_host};

/// Every limit of setrlimit(2) as Docker leaves it, when containerd runs under systemd's defaults:
/// name, soft, hard. (nofile is Docker's since version 29: 1024, and systemd's hard limit.)
const LIMITS: [(&str, &str, &str); 16] = [
    ("Max cpu time", "unlimited", "unlimited"),
    ("Max file size", "unlimited", "unlimited"),
    ("Max data size", "unlimited", "unlimited"),
    ("Max stack size", "8388608", "unlimited"),
    ("Max core file size", "unlimited", "unlimited"),
    ("Max resident set", "unlimited", "unlimited"),
    ("Max processes", "unlimited", "unlimited"),
    ("Max open files", "1024", "524288"),
    ("Max locked memory", "8388608", "8388608"),
    ("Max address space", "unlimited", "unlimited"),
    ("Max file locks", "unlimited", "unlimited"),
    ("Max pending signals", "unlimited", "unlimited"),
    ("Max msgqueue size", "819200", "819200"),
    ("Max nice priority", "0", "0"),
    ("Max realtime priority", "0", "0"),
    ("Max realtime timeout", "unlimited", "unlimited"),
];

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(u64::MAX)
}

/// A host that may not raise limits gives what it has.
fn possible() -> Vec<(String, String, String)> {
    let host = this_host::limits(&this_host::read("/proc/self/limits"));
    let lower = |wanted: &str, highest: &str| {
        let wins = !this_host::can_raise_limits() && number(highest) < number(wanted);
        if wins { highest } else { wanted }.to_owned()
    };
    LIMITS
        .iter()
        .zip(host)
        .map(|((name, soft, hard), (same, _, highest))| {
            assert_eq!(*name, same);
            (
                (*name).to_owned(),
                lower(soft, &highest),
                lower(hard, &highest),
            )
        })
        .collect()
}

#[test]
fn every_resource_limit_is_set_and_none_inherited() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let limits = host.sh(&[init], "cat /proc/self/limits");
        assert_eq!(this_host::limits(&limits), possible(), "{init}");
    }
}

#[test]
fn ulimits_take_the_place_of_the_defaults() {
    let host = Host::new();
    let flags = [
        "--ulimit",
        "nofile=100:200",
        "--ulimit",
        "core=0",
        "--ulimit",
        "nproc=64",
    ];
    let limits = this_host::limits(&host.sh(&flags, "cat /proc/self/limits"));
    let expected = possible()
        .into_iter()
        .map(|(name, soft, hard)| match name.as_str() {
            "Max open files" => (name, "100".into(), "200".into()),
            "Max core file size" => (name, "0".into(), "0".into()),
            "Max processes" => (name, "64".into(), "64".into()),
            _ => (name, soft, hard),
        });
    assert_eq!(limits, expected.collect::<Vec<_>>());
    for bad in ["nofile=2:1", "nofile=x", "bogus=1", "nofile"] {
        host.run(&["--ulimit", bad, "busybox:test", "true"])
            .refused(&["--ulimit", bad]);
    }
}

#[test]
fn the_oom_score_and_the_umask_are_set_and_not_inherited() {
    let host = Host::new();
    let script = "cat /proc/self/oom_score_adj; umask";
    let output = host.after(
        "umask 0077; echo 300 >/proc/$$/oom_score_adj",
        &["run", "busybox:test", "sh", "-c", script],
    );
    assert_eq!(output.ok(), "0\n0022\n");
    assert_eq!(host.sh(&["--oom-score-adj", "500"], script), "500\n0022\n");
    host.run(&["--oom-score-adj", "1001", "busybox:test", "true"])
        .refused(&["--oom-score-adj", "1000"]);
}

#[test]
fn the_payload_has_three_descriptors_whatever_airtight_was_started_with() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let output = host.after(
            "exec 3</etc/passwd 7</etc 9>/dev/null",
            &["run", init, "busybox:test", "sh", "-c", "ls /proc/$$/fd; :"],
        );
        assert_eq!(output.ok(), "0\n1\n2\n", "{init}");
    }
}

#[test]
fn pid_1_is_the_init_or_the_payload_itself() {
    let host = Host::new();
    let script = "cat /proc/1/comm; [ $$ = 1 ] && echo first";
    assert_eq!(
        host.run(&["busybox:test", "sh", "-c", script]).stdout,
        "airtight-init\n"
    );
    assert_eq!(host.sh(&["--no-init"], script), "sh\nfirst\n");
}

#[test]
fn the_working_directory_is_made_when_it_is_missing() {
    let host = Host::new();
    assert_eq!(host.sh(&[], "pwd"), "/\n");
    let script = "pwd; stat -c '%u:%g %a' .";
    assert_eq!(host.sh(&["-w", "/a/b c"], script), "/a/b c\n0:0 755\n");
    assert_eq!(host.sh(&["-w", "/tmp", "-u", "1000"], "pwd"), "/tmp\n");
}

#[test]
fn a_working_directory_that_leads_out_is_refused() {
    let host = Host::with(&["busybox", "odd-workdir"]);
    for dir in [
        "/proc/self/fd/7",
        "/proc/self/fd/7/../..",
        "/dev/fd/7",
        "relative",
        "/a/../b",
        "",
    ] {
        host.run(&["-w", dir, "busybox:test", "true"])
            .refused(&["--workdir"]);
    }
    host.run(&["odd-workdir:test", "true"])
        .refused(&["WORKDIR", "/proc/self/fd/7", "odd-workdir"]);
    assert_eq!(
        host.run(&["-w", "/", "odd-workdir:test", "pwd"]).ok(),
        "/\n"
    );
}
