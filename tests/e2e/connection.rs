//! Where containerd is, and who may ask it.

use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs};

use super::support::{self, Host, Output};

#[test]
fn an_address_where_nobody_is_gets_a_hint() {
    let host = Host::with(&[]);
    let absent = host.path("absent.sock").display().to_string();
    let deserted = host.path("deserted.sock");
    drop(UnixListener::bind(&deserted).unwrap());
    for address in [
        absent.as_str(),
        deserted.to_str().unwrap(),
        "/etc/passwd",
        "/tmp",
    ] {
        host.airtight(&["--address", address, "run", "busybox:test"])
            .refused(&[
                "cannot reach containerd at",
                address,
                "systemctl start containerd",
                "CONTAINERD_ADDRESS",
            ]);
        let listed = host.airtight(&["--address", address, "image", "ls"]);
        assert_eq!(listed.code, 1, "{listed:?}");
    }
}

#[test]
fn an_address_that_is_no_containerd_socket_is_refused_at_once() {
    let host = Host::with(&[]);
    for (address, words) in [
        ("c.sock", "not an absolute path"),
        ("tcp://localhost:1", "not an absolute path"),
        ("/var/run/docker.sock", "dockerd"),
        ("unix:///run/docker.sock", "dockerd"),
        ("", "not an absolute path"),
        (&format!("/{}", "x".repeat(200)), "SUN_LEN"),
    ] {
        host.airtight(&["--address", address, "run", "busybox:test"])
            .refused(&[words]);
    }
}

#[test]
fn the_address_may_be_a_url_a_flag_or_a_variable_and_the_flag_wins() {
    let host = Host::with(&[]);
    let address = support::address();
    let url = format!("unix://{}", address.display());
    let listed = Output::of(
        host.command(&["image", "ls"])
            .env("CONTAINERD_ADDRESS", &url),
    );
    listed.ok();
    let mut command = host.command(&["--address", &url, "image", "ls"]);
    Output::of(command.env("CONTAINERD_ADDRESS", "/nowhere")).ok();
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let host = Host::with(&[]);
    let mut command = host.command(&["run", "--dry-run", "busybox:test"]);
    let output = Output::of(
        command
            .env("CONTAINERD_NAMESPACE", "")
            .env("CONTAINERD_ADDRESS", ""),
    );
    // Of the default address or the default namespace, whichever is here.
    assert!(!output.stderr.contains("invalid"), "{output:?}");
}

#[test]
fn a_namespace_is_what_containerd_takes() {
    let host = Host::with(&[]);
    for namespace in ["a/b", "a.", "a b", &"x".repeat(77)] {
        host.airtight(&["--namespace", namespace, "image", "ls"])
            .refused(&["namespace"]);
    }
}

#[test]
fn who_is_not_root_is_told_so_and_nothing_else() {
    let host = Host::with(&[]);
    let nobody = 65_534;
    // Where nobody may read it: the build directory may be root's alone.
    let program = host.path("airtight");
    fs::copy(env!("CARGO_BIN_EXE_airtight"), &program).unwrap();
    fs::set_permissions(
        host.path(""),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    for args in [&["run", "busybox:test"][..], &["image", "ls"]] {
        let mut command = Command::new(&program);
        command
            .args(args)
            .env("AIRTIGHT_STATE_DIR", host.state())
            .uid(nobody)
            .gid(nobody);
        let output = Output::of(&mut command);
        assert_eq!(
            output.stderr.lines().next(),
            Some("airtight: only root can do this: this is user 65534")
        );
        assert!(
            output.stderr.contains("sudo") && output.stdout.is_empty(),
            "{output:?}"
        );
    }
    let mut help = Command::new(&program);
    Output::of(help.arg("--help").uid(nobody).gid(nobody)).ok();
}
