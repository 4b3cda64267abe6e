//! `airtight bundle`: what plain runc executes is what `airtight run` would have run.

use std::fs;
use std::process::Command;

use super::support::{Host, Output};

const IMAGE: &str = "busybox:test";

/// `runc run` on the bundle in `dir`.
fn runc(host: &Host, dir: &str) -> Output {
    let output = Output::of(
        Command::new("runc")
            .arg("--root")
            .arg(host.path("runc"))
            .args([
                "run",
                "--bundle",
                dir,
                &format!("bundle-of-{}", host.namespace()),
            ]),
    );
    // runc removes the container's cgroup; those above it are nobody's.
    host.remove_cgroup_parents();
    output
}

#[test]
fn runc_runs_a_bundle_as_airtight_runs_the_image() {
    let host = Host::new();
    let script = "id; pwd; env | sort | grep -v SHLVL; ls / /data; cat /proc/self/status | grep -E '^(Cap|Seccomp|NoNew)'; exit 3";
    let args = [
        "--hostname",
        "box",
        "-u",
        "65534:1",
        "--group-add",
        "7",
        "-e",
        "A=b c",
        "-w",
        "/made",
        "-v",
        "/data",
        "--tmpfs",
        "/mem",
        "-m",
        "64m",
        IMAGE,
        "sh",
        "-c",
        script,
    ];
    let dir = host.path("bundle").display().to_string();
    let ours = host.run(&[&["--no-init"], &args[..]].concat());
    host.airtight(&[&["bundle", "-o", &dir], &args[..]].concat())
        .ok();
    let runcs = runc(&host, &dir);
    assert_eq!((ours.code, runcs.code), (3, 3), "{ours:?} {runcs:?}");
    assert_eq!(ours.stdout, runcs.stdout);
}

#[test]
fn a_bundle_goes_into_a_new_or_empty_directory_relative_or_not() {
    let host = Host::new();
    fs::create_dir(host.path("empty")).unwrap();
    for dir in ["empty", "new/below"] {
        let mut command = host.command(&["bundle", "-o", dir, IMAGE, "echo", dir]);
        Output::of(command.current_dir(host.path(""))).ok();
        let dir_of_host = host.path(dir).display().to_string();
        assert_eq!(runc(&host, &dir_of_host).ok(), format!("{dir}\n"));
    }
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let host = Host::new();
    fs::create_dir(host.path("full")).unwrap();
    fs::write(host.path("full/file"), "mine").unwrap();
    let dir = host.path("full").display().to_string();
    host.airtight(&["bundle", "-o", &dir, IMAGE])
        .refused(&["not empty", "new directory"]);
    assert_eq!(fs::read_to_string(host.path("full/file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    host.airtight(&["bundle", "-o", "/etc/passwd", IMAGE])
        .refused(&["/etc/passwd"]);
}

#[test]
fn a_bundle_that_fails_half_way_leaves_no_directory_and_no_snapshot() {
    let host = Host::new();
    let dir = host.path("half");
    let text = dir.display().to_string();
    host.airtight(&["bundle", "-o", &text, "-u", "nosuch", IMAGE])
        .refused(&["nosuch"]);
    assert!(!dir.exists());
    fs::create_dir(&dir).unwrap();
    host.airtight(&["bundle", "-o", &text, "-u", "nosuch", IMAGE])
        .refused(&["nosuch"]);
    assert_eq!(
        fs::read_dir(&dir).unwrap().count(),
        0,
        "an empty one that was there stays"
    );
}

#[test]
fn a_bundle_asks_for_a_terminal_when_told_to() {
    let host = Host::new();
    for (flags, terminal) in [(&["-t"][..], true), (&[], false)] {
        let dir = host.path(&format!("terminal-{terminal}"));
        let text = dir.display().to_string();
        host.airtight(&[&["bundle", "-o", &text], flags, &[IMAGE, "tty"]].concat())
            .ok();
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["process"]["terminal"], terminal);
    }
}

#[test]
fn what_a_bundle_cannot_carry_is_said() {
    let host = Host::new();
    let dir = host.path("bundle").display().to_string();
    let output = host.airtight(&["bundle", "-o", &dir, "--timeout", "5", "-l", "a=b", IMAGE]);
    assert_eq!(output.code, 0);
    assert_eq!(
        output.stderr,
        "airtight: warning: --timeout has no effect on a bundle\n\
         airtight: warning: --label has no effect on a bundle\n"
    );
}
