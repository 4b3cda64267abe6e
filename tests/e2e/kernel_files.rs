//! `/proc`, `/sys`, `/dev` and `/dev/shm` as Docker shows them.

use super::support::{Host, this_host};

/// Docker's masked paths; those of them that this kernel has appear empty.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Whether each of `paths` can be opened for writing; opening to append writes nothing.
fn writable(host: &Host, flags: &[&str], paths: &[&str]) -> String {
    let script = "for path; do
        if (: >>$path) 2>/tmp/why; then echo $path writable; else sed 's/.*: //' /tmp/why; fi
    done";
    let command = ["busybox:test", "sh", "-c", script, "sh"];
    host.run(&[flags, &command, paths].concat()).ok()
}

/// File system type, source and options of what is mounted at `target`, as mountinfo shows them.
fn mount_at(host: &Host, flags: &[&str], target: &str) -> String {
    let script = "while read -r id parent dev root target options rest; do
            [ $target != $0 ] || echo \"$options ${rest#*- }\"
        done </proc/self/mountinfo";
    let command = ["busybox:test", "sh", "-c", script, target];
    host.run(&[flags, &command].concat()).ok()
}

#[test]
fn masked_paths_are_empty_unless_privileged() {
    let host = Host::new();
    let script = "for path; do
        if [ -d $path ]; then echo $path $(ls -A $path | wc -l); else echo $path $(wc -c <$path); fi
        grep -qF \" $path \" /proc/self/mountinfo || echo $path is not covered
    done";
    let there = this_host::existing(&MASKED);
    assert!(!there.is_empty(), "this kernel has none of {MASKED:?}");
    let expected: String = there.iter().map(|path| format!("{path} 0\n")).collect();
    let command = ["busybox:test", "sh", "-c", script, "sh"];
    assert_eq!(host.run(&[&command[..], &there].concat()).ok(), expected);

    let uncovered = "for path; do ! grep -F \" $path \" /proc/self/mountinfo; done";
    let command = ["--privileged", "busybox:test", "sh", "-c", uncovered, "sh"];
    assert_eq!(host.run(&[&command[..], &there].concat()).ok(), "");
}

#[test]
fn kernel_parameters_and_cgroups_are_read_only_unless_privileged() {
    let host = Host::new();
    let paths = [
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/sys/kernel/mm/lru_gen/enabled",
        "/sys/fs/cgroup/memory/tasks",
    ];
    let paths = this_host::existing(&paths);
    assert!(paths.len() >= 2, "this kernel has only {paths:?}");
    let all = |answer: &dyn Fn(&str) -> String| paths.iter().map(|path| answer(path)).collect();
    let refused: String = all(&|_| "Read-only file system\n".to_owned());
    let allowed: String = all(&|path| format!("{path} writable\n"));
    assert_eq!(writable(&host, &[], &paths), refused);
    assert_eq!(writable(&host, &["--cap-add", "ALL"], &paths), refused);
    assert_eq!(writable(&host, &["--privileged"], &paths), allowed);
}

#[test]
fn each_file_system_of_the_kernel_has_docker_s_options() {
    let host = Host::new();
    let added = this_host::option_of_every_tmpfs();
    for (target, expected) in [
        ("/proc", "rw,nosuid,nodev,noexec,relatime proc proc rw"),
        ("/dev", "rw,nosuid tmpfs tmpfs rw,size=65536k,mode=755"),
        (
            "/dev/pts",
            "rw,nosuid,noexec,relatime devpts devpts rw,gid=5,mode=620,ptmxmode=666",
        ),
        (
            "/dev/mqueue",
            "rw,nosuid,nodev,noexec,relatime mqueue mqueue rw",
        ),
        (
            "/dev/shm",
            "rw,nosuid,nodev,noexec,relatime tmpfs shm rw,size=65536k",
        ),
    ] {
        let is_tmpfs = expected.contains(" tmpfs ");
        let expected = format!("{expected}{}\n", if is_tmpfs { added } else { "" });
        assert_eq!(mount_at(&host, &[], target), expected, "{target}");
    }
    // The mount is read-only; runc makes the file system behind it so too, crun does not.
    let sys = mount_at(&host, &[], "/sys");
    let expected = "ro,nosuid,nodev,noexec,relatime sysfs sysfs ";
    assert!(sys.starts_with(expected), "{sys}");
}

/// Names, links, numbers, modes and owners of everything in `/dev`.
const DEV: &str = "cd /dev; for name in *; do
    if [ -L $name ]; then echo $name $(readlink $name); else stat -c '%n %F %t:%T %a %u:%g' $name; fi
done";

fn docker_s_dev() -> String {
    // runc links /dev/core where the kernel has a /proc/kcore.
    let core = if this_host::existing(&["/proc/kcore"]).is_empty() {
        ""
    } else {
        "core /proc/kcore\n"
    };
    let node = |name, numbers| format!("{name} character special file {numbers} 666 0:0\n");
    [
        core.to_owned(),
        "fd /proc/self/fd\n".into(),
        node("full", "1:7"),
        "mqueue directory 0:0 1777 0:0\n".into(),
        node("null", "1:3"),
        "ptmx pts/ptmx\n".into(),
        "pts directory 0:0 755 0:0\n".into(),
        node("random", "1:8"),
        "shm directory 0:0 1777 0:0\n".into(),
        "stderr /proc/self/fd/2\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\n".into(),
        node("tty", "5:0"),
        node("urandom", "1:9"),
        node("zero", "1:5"),
    ]
    .concat()
}

#[test]
fn dev_has_exactly_docker_s_nodes_and_links() {
    let host = Host::new();
    assert_eq!(host.sh(&[], DEV), docker_s_dev());
    let none = host.sh(&["--ipc", "none"], DEV);
    assert_eq!(
        none,
        docker_s_dev().replace("shm directory 0:0 1777 0:0\n", "")
    );
}

#[test]
fn a_privileged_payload_has_the_host_s_devices() {
    let host = Host::new();
    let names = "for path in /dev/*; do [ ! -c $path ] && [ ! -b $path ] || echo $path; done";
    let inside = host.sh(&["--privileged"], names);
    let outside = std::process::Command::new("sh")
        .args(["-c", names])
        .output()
        .unwrap();
    let outside = String::from_utf8(outside.stdout).unwrap();
    for path in outside
        .lines()
        .filter(|path| !matches!(*path, "/dev/console" | "/dev/ptmx"))
    {
        assert!(inside.lines().any(|line| line == path), "{path} is missing");
    }
}

#[test]
fn shared_memory_is_as_large_as_asked_and_may_be_absent() {
    let host = Host::new();
    let size = |flags: &[&str]| host.sh(flags, "df -k /dev/shm | awk 'END { print $2 }'");
    assert_eq!(size(&["--shm-size", "1m"]), "1024\n");
    assert_eq!(size(&["--shm-size", "0"]), "65536\n");
    assert_eq!(
        host.sh(&["--ipc", "none"], "[ -e /dev/shm ] || echo none"),
        "none\n"
    );
    for mode in ["none", "host"] {
        host.run(&["--ipc", mode, "--shm-size", "1m", "busybox:test", "true"])
            .refused(&["--shm-size", &format!("--ipc {mode}")]);
    }
}

#[test]
fn with_ipc_host_shared_memory_and_queues_are_the_host_s() {
    let host = Host::new();
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    let path = file.path().to_str().unwrap();
    let script = format!("[ -e {path} ] && echo seen; readlink /proc/self/ns/ipc");
    let namespace = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    let expected = format!("seen\n{}\n", namespace.display());
    assert_eq!(host.sh(&["--ipc", "host"], &script), expected);
    assert_ne!(
        host.sh(&[], "readlink /proc/self/ns/ipc"),
        format!("{}\n", namespace.display())
    );
}
