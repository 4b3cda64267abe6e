//! `airtight reap`: what it finds, what it says, and what it never touches.

use std::fs;
use std::process::{Command, Stdio};

use airtight::run::step::{SWITCH, Step};
use nix::sys::signal::Signal;

use super::support::shell::SLEEP;
use super::support::{Host, Run, processes};

#[test]
fn a_clean_host_is_said_to_be_clean_on_stderr() {
    let host = Host::new();
    host.airtight(&["reap"]).nothing_is_left_over();
    host.airtight(&["reap", "--dry-run"]).nothing_is_left_over();
    assert_eq!(host.airtight(&["reap", "--format", "json"]).stdout, "[]\n");
    assert!(
        !host.state().join("lock").exists(),
        "nothing is made for it"
    );
}

#[test]
fn a_dry_run_says_what_is_left_over_and_changes_nothing() {
    let host = Host::new();
    host.dead(&["--no-init", "--name", "gone", "-v", "/data"]);
    let first = host.airtight(&["reap", "--dry-run"]);
    assert_eq!((first.code, first.stderr.as_str()), (1, ""));
    for word in [
        "WOULD UNDO",
        "gone",
        "processes",
        "task",
        "container",
        "snapshot",
        "cgroup",
        "volumes",
    ] {
        assert!(first.stdout.contains(word), "{word}: {first:?}");
    }
    assert_eq!(processes::below(&host.subpath()).len(), 1);
    assert_eq!(host.airtight(&["reap", "--dry-run"]).stdout, first.stdout);
    assert_eq!(host.airtight(&["reap"]).code, 0);
    host.airtight(&["reap", "--dry-run"]).nothing_is_left_over();
}

#[test]
fn what_was_undone_is_a_table_or_json() {
    let host = Host::new();
    host.dead(&["--name", "gone"]);
    let output = host.airtight(&["reap"]);
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("RUN OR LEASE   OWNER"), "{output:?}");
    assert!(lines[1].starts_with("gone "), "{output:?}");
    assert_eq!(
        (output.code, lines.len(), output.stderr.as_str()),
        (0, 2, "")
    );
    host.dead(&["--name", "gone"]);
    let output = host.airtight(&["reap", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json[0]["run"], "gone");
    assert_eq!(json[0]["left"], serde_json::json!([]));
    let undone = json[0]["undone"].as_array().unwrap();
    for thing in ["task", "container", "snapshot", "cgroup", "directory"] {
        assert!(undone.iter().any(|one| one == thing), "{thing}: {json}");
    }
}

#[test]
fn only_the_runs_that_are_named_are_undone() {
    let host = Host::new();
    // Runs at once: each command undoes what it finds dead.
    let start =
        |name| Run::ready(&mut host.command(&[&["run", "--name", name][..], &SLEEP].concat()));
    let runs = ["first", "second"].map(start);
    runs.into_iter().for_each(Run::destroy);
    let output = host.airtight(&["reap", "first"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(!output.stdout.contains("second"), "{output:?}");
    assert_eq!(host.ctr(&["containers", "ls", "-q"]), "second\n");
    let unknown = host.airtight(&["reap", "third"]);
    assert_eq!(unknown.code, 125);
    assert!(unknown.stderr.contains("there is no run \"third\""));
    assert_eq!(host.airtight(&["reap", "second"]).code, 0);
}

#[test]
fn a_living_run_is_left_alone_though_its_state_directory_is_gone() {
    let host = Host::new();
    let args = [
        "run",
        "-i",
        "--name",
        "alive",
        "-v",
        "/data",
        "busybox:test",
        "sh",
        "-c",
        "echo ready; cat",
    ];
    let mut alive = Run::ready(host.command(&args).stdin(Stdio::piped()));
    let refused = host.airtight(&["reap", "alive"]);
    assert_eq!(refused.code, 125);
    assert!(refused.stderr.contains("its owner lives"), "{refused:?}");
    host.forget_everything();
    host.airtight(&["reap"]).nothing_is_left_over();
    host.run(&["--name", "alive", "busybox:test", "true"])
        .refused(&["the name alive is in use"]);
    alive.write(b"unharmed\n");
    assert_eq!(alive.end().ok(), "unharmed\n");
}

#[test]
fn runs_of_another_state_directory_on_the_same_containerd_are_left_alone() {
    let host = Host::new();
    let elsewhere = host.path("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    host.dead(&["--name", "theirs", "--state-dir", elsewhere, "-v", "/data"]);
    host.until_nobody_is_inside();
    host.airtight(&["reap"]).nothing_is_left_over();
    host.run(&["--name", "theirs", "busybox:test", "true"])
        .refused(&["the name theirs is in use", elsewhere]);
    assert_eq!(host.ctr(&["containers", "ls", "-q"]), "theirs\n");
    assert_eq!(host.airtight(&["reap", "--state-dir", elsewhere]).code, 0);
}

#[test]
fn a_run_that_finds_its_name_taken_undoes_nothing_of_the_other() {
    let host = Host::new();
    let elsewhere = host.path("elsewhere");
    let (name, state) = (
        ["--name", "same"],
        ["--state-dir", elsewhere.to_str().unwrap()],
    );
    let script = ["-i", "busybox:test", "sh", "-c", "echo ready; cat"];
    let args = [&["run"][..], &name, &state, &script].concat();
    let mut theirs = Run::ready(host.command(&args).stdin(Stdio::piped()));
    host.run(&[&name[..], &["busybox:test", "true"]].concat())
        .refused(&["the name same is in use"]);
    // The same with a cgroup of its own, so that it is containerd that refuses.
    let subpath = format!("{}/below", host.subpath());
    let flags = ["--cgroup-subpath", &subpath];
    host.run(&[&name[..], &flags, &["busybox:test", "true"]].concat())
        .refused(&["the name same is in use"]);
    theirs.write(b"unharmed\n");
    assert_eq!(theirs.end().ok(), "unharmed\n");
}

#[test]
fn a_run_that_finds_what_is_nobody_s_at_containerd_reaps_only_its_own() {
    let host = Host::new();
    let args = [&["run", "--name", "mine"][..], &SLEEP].concat();
    let mut command = host.command(&args);
    // It dies when it has a record and nothing else; then somebody makes a container of that name.
    let run = Run::start(command.env(SWITCH, format!("{}:KILL", Step::Record.name())));
    assert_eq!(run.end().code, 137);
    let image = "docker.io/library/busybox:test";
    host.ctr(&["containers", "create", image, "mine"]);
    let output = host.airtight(&["reap"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(host.ctr(&["containers", "ls", "-q"]), "mine\n");
    host.ctr(&["containers", "rm", "mine"]);
}

#[test]
fn a_dead_run_is_undone_without_harm_to_a_living_one_that_has_taken_its_name() {
    let host = Host::new();
    let name = ["run", "--name", "same"];
    let mut command = host.command(&[&name[..], &SLEEP].concat());
    // It has a record, and nothing of what that names.
    let dead = Run::start(command.env(SWITCH, format!("{}:KILL", Step::Record.name())));
    assert_eq!(dead.end().code, 137);
    let elsewhere = host.path("elsewhere");
    let flags = [
        "--state-dir",
        elsewhere.to_str().unwrap(),
        "-v",
        "/data",
        "-i",
    ];
    let script = ["busybox:test", "sh", "-c", "echo ready; cat"];
    let mut command = host.command(&[&name[..], &flags, &script].concat());
    let mut alive = Run::ready(command.stdin(Stdio::piped()));
    let output = host.airtight(&["reap"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.ends_with(" directory\n"), "{output:?}");
    alive.write(b"unharmed\n");
    assert_eq!(alive.end().ok(), "unharmed\n");
}

#[test]
fn after_a_reboot_everything_that_is_on_disk_is_undone() {
    let host = Host::new();
    let boot = host.path("boot-id");
    fs::write(&boot, "01234567-89ab-cdef-0123-456789abcdef\n").unwrap();
    let airtight =
        host.command(&[&["run", "--name", "before", "-v", "/data"][..], &SLEEP].concat());
    let script = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id",
        boot.display()
    );
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        &format!("{script} && exec \"$@\""),
        "sh",
    ]);
    command
        .arg(airtight.get_program())
        .args(airtight.get_args());
    for (name, value) in airtight.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let run = Run::ready(&mut command);
    host.forget_everything();
    // Another boot's are dead, though there be a process of that pid and start time.
    run.signal(Signal::SIGSTOP);
    let output = host.airtight(&["reap", "--format", "json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json[0]["run"], "before");
    assert_eq!(json[0]["owner_of_earlier_boot"], true);
    run.destroy();
}

#[test]
fn a_containerd_that_is_not_there_leaves_the_host_unclean() {
    let host = Host::new();
    let output = host.airtight(&["reap", "--address", "/nowhere/containerd.sock"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.contains("cannot reach containerd"),
        "{output:?}"
    );
}

#[test]
fn a_reap_that_is_ended_is_taken_up_by_the_next() {
    let host = Host::new();
    host.dead(&["--no-init", "--name", "gone"]);
    let mut command = host.command(&["reap"]);
    let reap = Run::start(command.env(SWITCH, format!("{}:STOP", Step::Killed.name())));
    processes::until("nobody is inside", || {
        processes::below(&host.subpath()).is_empty()
    });
    // The one that is under way holds the run.
    assert!(
        host.airtight(&["reap", "gone"])
            .stderr
            .contains("its owner lives")
    );
    reap.signal(Signal::SIGKILL);
    reap.signal(Signal::SIGCONT);
    assert_eq!(reap.end().code, 137);
    assert_eq!(host.airtight(&["reap"]).code, 0);
}
