//! `--device`, and what the device cgroup allows.
//!
//! The device is 1:11, the kernel's log, which every kernel has and no container is given. It is only
//! opened, for writing wherever that is to work: for reading the kernel may want CAP_SYSLOG.

use std::path::PathBuf;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::support::Host;

/// A directory with nodes of the host: `log` and `sub/log`.
fn nodes(host: &Host) -> PathBuf {
    let dir = host.path("nodes");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    for name in ["log", "sub/log"] {
        mknod(
            &dir.join(name),
            SFlag::S_IFCHR,
            Mode::from_bits_truncate(0o640),
            makedev(1, 11),
        )
        .unwrap();
    }
    dir
}

const OPEN: &str = "
    look() { stat -c '%n %F %t:%T %a %u:%g' $1; }
    write() { (: >>$1) 2>/tmp/why && echo written || sed 's/.*: //' /tmp/why; }
    read() { (: <$1) 2>/tmp/why && echo read || sed 's/.*: //' /tmp/why; }
";

#[test]
fn a_device_has_its_name_its_mode_and_the_access_asked_for() {
    let host = Host::new();
    let log = nodes(&host).join("log");
    let open = |option: &str, script: &str| {
        let option = format!("{}{option}", log.display());
        host.sh(&["--device", &option], &format!("{OPEN}{script}"))
    };
    assert_eq!(
        open(
            ":/dev/deep/mine:w",
            "look /dev/deep/mine; write /dev/deep/mine; read /dev/deep/mine"
        ),
        "/dev/deep/mine character special file 1:b 640 0:0\nwritten\nOperation not permitted\n"
    );
    assert_eq!(
        open(":/dev/mine:r", "write /dev/mine"),
        "Operation not permitted\n"
    );
    assert_eq!(open(":/dev/mine", "write /dev/mine"), "written\n");
    let same = log.display();
    assert_eq!(
        open(":w", &format!("write {same}; read {same}")),
        "written\nOperation not permitted\n"
    );
}

#[test]
fn every_device_of_a_directory_is_given() {
    let host = Host::new();
    let option = format!("{}:/dev/all", nodes(&host).display());
    let script = format!("{OPEN} write /dev/all/log; write /dev/all/sub/log");
    assert_eq!(
        host.sh(&["--device", &option], &script),
        "written\nwritten\n"
    );
}

#[test]
fn a_node_made_inside_opens_nothing_unless_privileged() {
    let host = Host::new();
    let script = format!(
        "{OPEN} mknod /tmp/log c 1 11; mknod /tmp/disk b 7 0; write /tmp/log; read /tmp/disk"
    );
    let denied = "Operation not permitted\nOperation not permitted\n";
    assert_eq!(host.sh(&[], &script), denied);
    assert_eq!(host.sh(&["--cap-add", "ALL"], &script), denied);
    let script = format!("{OPEN} mknod /tmp/log c 1 11; write /tmp/log");
    assert_eq!(host.sh(&["--privileged"], &script), "written\n");
    let script = "mknod /tmp/log c 1 3 2>&1; [ ! -e /tmp/log ]";
    assert_eq!(
        host.sh(&["--cap-drop", "MKNOD"], script),
        "mknod: /tmp/log: Operation not permitted\n"
    );
}

#[test]
fn a_device_asked_for_twice_is_there_once() {
    let host = Host::new();
    let script = format!("{OPEN} write /dev/null");
    let flags = [
        "--privileged",
        "--device",
        "/dev/null",
        "--device",
        "/dev/null:/dev/also:r",
    ];
    assert_eq!(host.sh(&flags, &script), "written\n");
    assert_eq!(
        host.sh(
            &["--device", "/dev/null:/dev/zero"],
            "head -c1 /dev/zero | wc -c"
        ),
        "0\n"
    );
    host.run(&[
        "--device",
        "/dev/null",
        "--device",
        "/dev/zero:/dev/null",
        "busybox:test",
        "true",
    ])
    .refused(&["--device", "/dev/null"]);
}

#[test]
fn what_is_no_device_is_refused() {
    let host = Host::new();
    for (device, words) in [
        ("/etc/passwd", "not a device node"),
        ("/nonexistent", "/nonexistent"),
        ("/dev/null:/dev/x:rwx", "r, w and m"),
        ("relative", "absolute"),
        ("/dev/null:x:y:z", "--device"),
    ] {
        host.run(&["--device", device, "busybox:test", "true"])
            .refused(&[words]);
    }
}
