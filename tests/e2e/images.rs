//! What of an image applies, and images made by an attacker or by accident.

use std::path::Path;
use std::process::Stdio;

use super::support::{Host, Run};

#[test]
fn images_without_a_shell_a_library_or_etc_run() {
    let host = Host::with(&["scratch", "musl"]);
    for image in ["scratch:test", "musl:test"] {
        for (flags, words) in [
            (&["--init"][..], "uid 0"),
            (&["--no-init"], "pid 1 uid 0"),
            (
                &["-u", "4242", "-w", "/made", "--read-only=false"],
                "uid 4242",
            ),
        ] {
            let output = host.run(&[flags, &[image, "a", "b c"]].concat()).ok();
            assert!(
                output.starts_with("hello from pid ") && output.contains(words),
                "{output}"
            );
            assert!(output.ends_with("\na\nb c\n"), "{output}");
        }
    }
    host.run(&["-u", "app", "scratch:test"])
        .refused(&["app", "no /etc/passwd"]);
    assert_eq!(host.run(&["--entrypoint", "sh", "scratch:test"]).code, 127);
}

#[test]
fn what_the_image_says_applies() {
    let host = Host::with(&["kitchen"]);
    assert_eq!(
        host.run(&["kitchen:test"]).ok(),
        "entry: id\nuid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n"
    );
    let script = "pwd; stat -c %u:%g .; echo \"$KITCHEN|$EMPTY|$SPACES|$EQUALS|$HOME\"";
    assert_eq!(
        host.run(&["kitchen:test", "sh", "-c", script]).ok(),
        format!("entry: sh -c {script}\n/not/there\n0:0\nsink||a b  c|a=b|/home/app\n")
    );
    assert_eq!(
        host.run(&["-u", "0", "-w", "/", "kitchen:test", "pwd"])
            .ok(),
        "entry: pwd\n/\n"
    );
}

#[test]
fn an_entry_point_of_one_s_own_drops_the_image_s_command() {
    let host = Host::with(&["kitchen", "busybox"]);
    assert_eq!(
        host.run(&["--entrypoint", "echo", "kitchen:test"]).ok(),
        "\n"
    );
    assert_eq!(
        host.run(&["--entrypoint", "echo", "kitchen:test", "a", "b"])
            .ok(),
        "a b\n"
    );
    assert_eq!(
        host.run(&["--entrypoint", "", "kitchen:test", "echo", "a"])
            .ok(),
        "a\n"
    );
    host.run(&["--entrypoint", "", "kitchen:test"])
        .refused(&["no command", "kitchen:test"]);
    host.run(&["busybox:test", ""])
        .refused(&["the command is empty"]);
}

/// The image's labels would be obeyed by containerd (containerd.io/restart.loguri starts a program).
#[test]
fn labels_of_the_image_are_not_copied_and_those_asked_for_are_there() {
    let host = Host::with(&["kitchen"]);
    let mut command = host.command(&[
        "run",
        "-i",
        "--name",
        "labelled",
        "-l",
        "team=data",
        "-l",
        "bare",
        "--entrypoint",
        "",
        "kitchen:test",
        "sh",
        "-c",
        "echo ready; cat >/dev/null",
    ]);
    let payload = Run::ready(command.stdin(Stdio::piped()));
    let info: serde_json::Value =
        serde_json::from_str(&host.ctr(&["containers", "info", "labelled"])).unwrap();
    payload.end().ok();
    let labels = info["Labels"].as_object().unwrap();
    let ours: Vec<&str> = labels.keys().map(String::as_str).collect();
    // containerd keeps no label without a value.
    assert_eq!(ours, ["airtight.record", "team"]);
    assert_eq!(labels["team"], "data");
    host.run(&["-l", "containerd.io/restart.status=running", "kitchen:test"])
        .refused(&["--label", "containerd.io/"]);
}

#[test]
fn the_image_s_signal_is_the_stop_signal() {
    let host = Host::with(&["kitchen", "busybox"]);
    for (image, expected) in [("kitchen:test", 2), ("busybox:test", 15)] {
        let output = host
            .airtight(&["run", "--dry-run", "--entrypoint", "", image, "true"])
            .ok();
        let plan: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert_eq!(plan["plan"]["stop"]["signal"], expected, "{image}");
    }
}

#[test]
fn an_image_whose_dev_is_a_link_touches_nothing_outside() {
    let host = Host::with(&["odd-dev", "odd-dev-null", "odd-dev-pts"]);
    let marks = ["/tmp/odd-dev", "/tmp/odd-null", "/tmp/odd-pts"];
    assert!(!marks.iter().any(|mark| Path::new(mark).exists()));
    for image in ["odd-dev-null:test", "odd-dev-pts:test"] {
        let script = "echo x >/dev/null; stat -c '%F %t:%T' /dev/null; ls /dev/pts";
        assert_eq!(
            host.run(&[image, "sh", "-c", script]).ok(),
            "character special file 1:3\nptmx\n",
            "{image}"
        );
    }
    // runc mounts /dev inside the root and then misses it at the link's other end.
    host.run(&["odd-dev:test", "true"]).refused(&["/dev"]);
    assert!(!marks.iter().any(|mark| Path::new(mark).exists()));
}
