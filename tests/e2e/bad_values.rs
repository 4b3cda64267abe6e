//! Values that cannot be: refused by name before anything exists.

use std::fs;

use super::support::{Host, Output};

const IMAGE: &str = "busybox:test";

fn each_is_refused(host: &Host, cases: &[(&[&str], &[&str])]) {
    for (flags, words) in cases {
        host.run(&[flags, &[IMAGE, "true"][..]].concat())
            .refused(words);
    }
}

#[test]
fn limits_that_nothing_can_hold() {
    let host = Host::new();
    each_is_refused(
        &host,
        &[
            (&["-m", "-1"], &["--memory", "negative"]),
            (&["-m", "1e9"], &["--memory", "512m"]),
            (&["-m", "1x"], &["--memory", "unit"]),
            (&["-m", "4m"], &["--memory", "6m"]),
            (&["-m", "99999999999g"], &["--memory", "larger"]),
            (
                &["-m", "10m", "--memory-swap", "9m"],
                &["--memory-swap", "--memory"],
            ),
            (
                &["--memory-swap", "1g"],
                &["--memory-swap", "needs --memory"],
            ),
            (
                &["-m", "10m", "--memory-reservation", "11m"],
                &["--memory-reservation"],
            ),
            (&["--cpus", "-1"], &["--cpus", "0.01"]),
            (&["--cpus", "1e9"], &["--cpus", "of this host"]),
            (&["--cpus", "nan"], &["--cpus"]),
            (&["--cpus", "100000"], &["--cpus", "this host"]),
            (&["--cpu-shares", "1"], &["--cpu-shares", "262144"]),
            (&["--cpuset-cpus", "9999"], &["--cpuset-cpus", "9999"]),
            (&["--cpuset-cpus", "1-0"], &["--cpuset-cpus"]),
            (&["--pids-limit", "1"], &["--pids-limit", "at least 2"]),
            (&["--pids-limit", "1e9"], &["--pids-limit", "whole number"]),
            (&["--pids-limit", "99999999999"], &["--pids-limit"]),
            (&["--blkio-weight", "5"], &["--blkio-weight", "1000"]),
            (&["--shm-size", "-1"], &["--shm-size"]),
            (&["--oom-score-adj", "1001"], &["--oom-score-adj", "1000"]),
            (&["--ulimit", "nofile"], &["--ulimit", "nofile=1024"]),
            (&["--ulimit", "nofiles=1"], &["--ulimit", "nofiles"]),
            (&["--ulimit", "nofile=2:1"], &["--ulimit", "above"]),
            (&["--timeout", "-1"], &["--timeout", "negative"]),
            (&["--timeout", "0"], &["--timeout", "more than nothing"]),
            (&["--timeout", "soon"], &["--timeout"]),
            (&["--stop-timeout", "1e30"], &["--stop-timeout"]),
            (&["--stop-signal", "NONE"], &["--stop-signal", "TERM"]),
        ],
    );
}

#[test]
fn names_and_users() {
    let host = Host::new();
    let long = "x".repeat(77);
    let label = format!("l={}", "x".repeat(4096));
    each_is_refused(
        &host,
        &[
            (&["--name", &long], &["--name", "76"]),
            (&["--name", "ä"], &["--name", "letters and digits"]),
            (&["--name", "../x"], &["--name"]),
            (&["--name", ""], &["--name", "empty"]),
            (&["-l", &label], &["--label", "4096"]),
            (
                &["-l", "containerd.io/restart.status=running"],
                &["--label", "containerd.io/"],
            ),
            (&["-h", "a..b"], &["--hostname"]),
            (&["-h", &long], &["--hostname", "64"]),
            (&["-u", "2147483648"], &["--user", "2147483647"]),
            (&["-u", "4294967296"], &["--user"]),
            (&["-u", "-1"], &["--user"]),
            (&["-u", "0:0:0"], &["--user"]),
            (&["-u", ""], &["--user", "missing"]),
            (&["-u", "nosuch"], &["\"nosuch\"", "/etc/passwd"]),
            (&["-u", "root:nosuch"], &["\"nosuch\"", "/etc/group"]),
            (&["--group-add", "nosuch"], &["\"nosuch\"", "/etc/group"]),
        ],
    );
    host.run(&["Bad:Name"])
        .refused(&["for IMAGE", "upper-case"]);
    host.run(&[""]).refused(&["for IMAGE"]);
    host.run(&[IMAGE, ""]).refused(&["the command is empty"]);
}

#[test]
fn a_message_repeats_only_the_beginning_of_a_long_value() {
    let host = Host::with(&[]);
    let label = format!("l={}", "x".repeat(100_000));
    let output = host.run(&["-l", &label, IMAGE]);
    assert!(output.stderr.len() < 300, "{}", output.stderr);
    output.refused(&["…", "4096"]);
}

#[test]
fn modes_of_docker_s_that_are_not_here_are_named() {
    let host = Host::new();
    each_is_refused(
        &host,
        &[
            (
                &["--network", "bridge"],
                &["--network", "this version", "bridge"],
            ),
            (
                &["--network", "container:x"],
                &["--network", "this version"],
            ),
            (&["--network", "my-net"], &["--network", "none or host"]),
            (&["--ipc", "shareable"], &["--ipc", "this version"]),
            (&["--ipc", "container:x"], &["--ipc", "this version"]),
            (
                &["--ipc", "none", "--shm-size", "1m"],
                &["--shm-size", "--ipc none"],
            ),
            (&["--pid", "container:x"], &["--pid", "this version"]),
            (&["--uts", "container:x"], &["--uts", "private or host"]),
            (&["--uts", "host", "-h", "x"], &["--hostname", "--uts host"]),
            (
                &["--sysctl", "kernel.hostname=x"],
                &["--sysctl kernel.hostname"],
            ),
            (
                &["--sysctl", "net.core.somaxconn=1", "--network=host"],
                &["--sysctl", "--network host"],
            ),
            (&["--cap-add", "SYS_ADMN"], &["--cap-add", "SYS_ADMN"]),
            (
                &["--security-opt", "label=x"],
                &["--security-opt", "SELinux"],
            ),
            (&["--security-opt", "seccomp=/nosuch"], &["/nosuch"]),
            (&["--device", "/dev/nosuch"], &["/dev/nosuch"]),
            (&["--device", "/etc/passwd"], &["not a device"]),
            (&["--pass-fd", "99"], &["99", "not open"]),
            (
                &["--runtime", "runc"],
                &["--runtime", "io.containerd.runc.v2"],
            ),
            (
                &["--snapshotter", "nosuch"],
                &["\"nosuch\"", "--snapshotter"],
            ),
            (&["--cgroup-subpath", "../x"], &["--cgroup-subpath"]),
            (&["--cgroup-mount-path", "/nosuch"], &["/nosuch"]),
        ],
    );
}

#[test]
fn mounts_that_would_hide_or_miss_something() {
    let host = Host::new();
    fs::write(host.path("file"), "").unwrap();
    std::os::unix::fs::symlink("nothing", host.path("dangling")).unwrap();
    let below_file = format!("{}:/x", host.path("file/below").display());
    let dangling = format!("{}:/x", host.path("dangling").display());
    each_is_refused(
        &host,
        &[
            (&["-v", "a:/b"], &["--volume", "absolute"]),
            (&["-v", "/a:b"], &["--volume", "absolute"]),
            (&["-v", "/a:/"], &["--volume", "root directory"]),
            (&["-v", "/a:/proc"], &["--volume", "/proc"]),
            (&["-v", "/a:/b/../c"], &["--volume", "'..'"]),
            (&["-v", "/a:/b:bogus"], &["--volume", "bogus"]),
            (&["-v", "/a:/b:c:d"], &["--volume", "colons", "--mount"]),
            (
                &["-v", "/tmp:/x", "-v", "/etc:/x/"],
                &["--volume", "two mounts"],
            ),
            (&["-v", "/tmp:/x", "--tmpfs", "/x"], &["two mounts", "/x"]),
            (&["-v", &below_file], &["not a directory"]),
            (&["-v", &dangling], &["symbolic link to nothing"]),
            (
                &["--mount", "type=bind,source=/nosuch,target=/x"],
                &["/nosuch"],
            ),
            (&["--mount", "type=npipe,target=/x"], &["--mount", "npipe"]),
            (&["--mount", "target=/x,bogus=1"], &["--mount", "bogus"]),
            (&["--tmpfs", "/x:size=lots"], &["--tmpfs"]),
            (&["-w", "work"], &["--workdir", "absolute"]),
            (&["-w", "/proc/self/fd/7"], &["--workdir", "descriptor"]),
        ],
    );
}

#[test]
fn lines_of_an_env_file_are_named() {
    let host = Host::new();
    let file = host.path("env").display().to_string();
    for (text, words) in [
        (&b"A=1\n=2\n"[..], "line 2: the variable has no name"),
        (b"A B=1\n", "line 1: the name contains white space"),
        (b"A=1\nB=\xff\n", "line 2: not UTF-8"),
        (
            b"A=1\r\nB=a\0b\r\n",
            "line 2: a variable cannot contain a NUL byte",
        ),
        (&[b'#'; (1 << 20) + 1], "1 MiB"),
    ] {
        fs::write(&file, text).unwrap();
        host.run(&["--env-file", &file, IMAGE])
            .refused(&["--env-file", words]);
    }
    host.run(&["--env-file", "/nosuch", IMAGE])
        .refused(&["--env-file", "/nosuch"]);
    host.run(&["--env-file", "/tmp", IMAGE])
        .refused(&["--env-file", "directory"]);
}

#[test]
fn an_env_file_has_docker_s_form() {
    let host = Host::new();
    let file = host.path("env").display().to_string();
    let text = "\u{feff}# comment\r\nA=1\r\n\r\n  B=\"x y\" # z\nFROM_US\nOVERRIDDEN=file\n";
    fs::write(&file, text).unwrap();
    let script = "echo \"$A/$B/$FROM_US/$OVERRIDDEN\"";
    let args = [
        "run",
        "--env-file",
        &file,
        "-e",
        "OVERRIDDEN=flag",
        IMAGE,
        "sh",
        "-c",
        script,
    ];
    let output = Output::of(host.command(&args).env("FROM_US", "ours"));
    assert_eq!(output.ok(), "1/\"x y\" # z/ours/flag\n");
}

#[test]
fn more_than_the_kernel_hands_over_is_refused_before_it_tries() {
    let host = Host::new();
    let file = host.path("env").display().to_string();
    fs::write(&file, format!("A={}\n", "x".repeat(200_000))).unwrap();
    host.run(&["--env-file", &file, IMAGE])
        .refused(&["128 KiB", "--volume"]);
    let line = |n| format!("V{n}={}\n", "x".repeat(100_000));
    let files: Vec<String> = (0..3)
        .flat_map(|part| {
            let path = host.path(&format!("env-{part}"));
            let lines = (0..9).map(|n| line(part * 9 + n));
            fs::write(&path, lines.collect::<String>()).unwrap();
            ["--env-file".to_owned(), path.display().to_string()]
        })
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    host.run(&[&files[..], &[IMAGE]].concat())
        .refused(&["2 MiB"]);
}
