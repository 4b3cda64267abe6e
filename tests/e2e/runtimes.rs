//! Other runtimes, snapshotters, cgroup mounts and state directories.

use std::fs;
use std::path::Path;

use nix::mount::MsFlags;

use super::support::mounted::Mounted;
use super::support::{Host, Output};

#[test]
fn what_does_not_exist_is_refused_by_name_and_leaves_nothing() {
    let host = Host::new();
    for (flags, words) in [
        (
            &["--runtime", "io.containerd.nosuch.v1"][..],
            "containerd-shim-nosuch-v1",
        ),
        (&["--runtime", "/nonexistent/shim"], "/nonexistent/shim"),
        (&["--runtime", "nosuch"], "io.containerd.runc.v2"),
        (
            &["--runtime-binary", "/nonexistent/runc"],
            "/nonexistent/runc",
        ),
        (
            &["--no-init", "--runtime-binary", "/nonexistent/runc"],
            "/nonexistent/runc",
        ),
        (&["--snapshotter", "nosuch"], "nosuch"),
        (&["--snapshotter", ""], "--snapshotter"),
        (&["--cgroup-mount-path", "/nonexistent"], "/nonexistent"),
        (&["--cgroup-mount-path", "/tmp"], "no cgroup hierarchy"),
        (&["--cgroup-mount-path", "relative"], "absolute"),
    ] {
        host.run(&[flags, &["busybox:test", "true"]].concat())
            .refused(&[words]);
        host.assert_clean();
    }
}

#[test]
fn the_native_snapshotter_works_and_leaves_no_container_s_snapshot() {
    let host = Host::new();
    let run = [
        "--snapshotter",
        "native",
        "-u",
        "app",
        "busybox:test",
        "sh",
        "-c",
        "id -u; touch /tmp/x",
    ];
    assert_eq!(host.run(&run).ok(), "1000\n");
    let keys = host.ctr(&["snapshots", "--snapshotter", "native", "ls"]);
    let kinds: Vec<&str> = keys
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(kinds, ["Committed"], "{keys}");
}

/// crun 1.8 wants every controller in v1 on a hybrid host, and says so.
#[test]
fn crun_runs_the_payload_or_says_why_it_cannot_on_this_host() {
    let host = Host::new();
    let output = host.run(&["--runtime-binary", "crun", "busybox:test", "echo", "hi"]);
    let v2 = Path::new("/sys/fs/cgroup/unified/cgroup.controllers");
    if fs::read_to_string(v2).is_ok_and(|controllers| !controllers.trim().is_empty()) {
        output.refused(&["hybrid mode"]);
    } else {
        assert_eq!(output.ok(), "hi\n");
    }
}

/// Debian mounts /run so, and the init is executed from the state directory.
#[test]
fn the_state_directory_may_be_mounted_noexec() {
    let host = Host::new();
    let flags = MsFlags::MS_NOEXEC | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let place = Mounted::at(host.path("run"), flags, "");
    let mut command = host.command(&["run", "busybox:test", "cat", "/proc/1/comm"]);
    let output = Output::of(command.env("AIRTIGHT_STATE_DIR", place.0.join("airtight")));
    assert_eq!(output.ok(), "airtight-init\n");
}

/// CVE-2024-21626: the link leads to a descriptor that the runtime may have left open.
#[test]
fn a_working_directory_behind_a_link_to_a_descriptor_is_refused() {
    let host = Host::new();
    let dir = host.path("dir");
    fs::create_dir(&dir).unwrap();
    let volume = format!("{}:/d", dir.display());
    for number in 3..10 {
        let link = dir.join(format!("{number}"));
        std::os::unix::fs::symlink(format!("/proc/self/fd/{number}"), link).unwrap();
        let at = format!("/d/{number}");
        let output = host.run(&[
            "-v",
            &volume,
            "-w",
            &at,
            "busybox:test",
            "ls",
            "/proc/self/cwd/",
        ]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (125, ""),
            "{output:?}"
        );
    }
}
