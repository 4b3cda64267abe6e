//! `--name`: one run at a time.

use std::process::Stdio;

use super::support::{Host, Run};

#[test]
fn a_name_in_use_is_refused_while_its_run_goes_on_and_is_free_afterwards() {
    let host = Host::new();
    let args = [
        "run",
        "--name",
        "only",
        "-i",
        "busybox:test",
        "sh",
        "-c",
        "echo ready; cat",
    ];
    let mut first = Run::ready(host.command(&args).stdin(Stdio::piped()));
    host.run(&["--name", "only", "busybox:test", "echo", "second"])
        .refused(&["only", "in use"]);
    first.write(b"unharmed\n");
    assert_eq!(first.end().ok(), "unharmed\n");
    assert_eq!(
        host.run(&["--name", "only", "busybox:test", "echo", "next"])
            .ok(),
        "next\n"
    );
}

#[test]
fn of_many_runs_with_one_name_one_is_made() {
    let host = Host::new();
    let args = ["run", "--name", "only", "-i", "busybox:test", "cat"];
    let start = || Run::start(host.command(&args).stdin(Stdio::piped()));
    let mut runs: Vec<_> = (0..5).map(|_| start()).collect();
    let codes = {
        // The winner waits for its stdin; the others are refused.
        let winner = runs.remove(0);
        let mut codes: Vec<_> = runs.into_iter().map(|run| run.end().code).collect();
        codes.push(winner.end().code);
        codes
    };
    assert!(codes.contains(&125), "{codes:?}");
    assert!(codes.contains(&0), "{codes:?}");
    assert!(
        codes.iter().all(|code| [0, 125].contains(code)),
        "{codes:?}"
    );
}

#[test]
fn the_name_of_a_dead_run_is_free_at_once() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let args = [
            "run",
            init,
            "--name",
            "again",
            "busybox:test",
            "sh",
            "-c",
            "echo ready; sleep 1000",
        ];
        Run::ready(&mut host.command(&args)).destroy();
        let output = host.run(&[init, "--name", "again", "busybox:test", "echo", "mine"]);
        assert_eq!(output.ok(), "mine\n", "{init}");
    }
}

#[test]
fn a_container_of_somebody_else_with_that_name_is_refused_and_left_alone() {
    let host = Host::new();
    let image = "docker.io/library/busybox:test";
    host.ctr(&["containers", "create", image, "theirs"]);
    host.run(&["--name", "theirs", "busybox:test", "true"])
        .refused(&["the name theirs is in use"]);
    assert_eq!(host.ctr(&["containers", "ls", "-q"]), "theirs\n");
    host.ctr(&["containers", "rm", "theirs"]);
}
