//! `--verdict FILE` and `--verbose`: how a run ended, for programs and for people.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::support::{Host, Output};

const IMAGE: &str = "busybox:test";

/// The verdict on `airtight run ARGS`, and its output.
fn verdict(host: &Host, args: &[&str]) -> (Value, Output) {
    let file = host.path("verdict.json");
    let flag = ["--verdict", file.to_str().unwrap()];
    let output = host.run(&[&flag, args].concat());
    let text = fs::read(&file).unwrap();
    let verdict: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(verdict["exit_code"], output.code, "{verdict}");
    (verdict, output)
}

#[test]
fn an_exit_comes_with_everything_that_is_known() {
    let host = Host::new();
    let (verdict, output) = verdict(&host, &["--name", "known", IMAGE, "sh", "-c", "exit 3"]);
    assert_eq!((output.code, output.stderr.as_str()), (3, ""));
    assert_eq!(
        (&verdict["cause"], &verdict["code"], &verdict["id"]),
        (&"exited".into(), &3.into(), &"known".into())
    );
    assert_eq!(verdict["image"], "docker.io/library/busybox:test");
    assert!(
        verdict["image_digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert_eq!(verdict["cgroup"], format!("/{}/known", host.subpath()));
    for figure in [
        "milliseconds",
        "memory_peak_bytes",
        "cpu_seconds",
        "pids_peak",
    ] {
        assert!(
            verdict[figure].as_f64().unwrap() > 0.0,
            "{figure} in {verdict}"
        );
    }
    let phases = verdict["phases"].as_array().unwrap();
    let names: Vec<_> = phases
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "plan",
            "record",
            "snapshot",
            "spec",
            "container",
            "task",
            "start",
            "run",
            "cleanup"
        ]
    );
    let sum: f64 = phases
        .iter()
        .map(|phase| phase["milliseconds"].as_f64().unwrap())
        .sum();
    assert!(
        sum <= verdict["milliseconds"].as_f64().unwrap() + 1.0,
        "{verdict}"
    );
}

#[test]
fn each_cause_has_its_name_and_code() {
    let host = Host::new();
    for (args, cause, code) in [
        (&[IMAGE, "sh", "-c", "kill -SEGV $$"][..], "signaled", 139),
        (
            &[
                "-m",
                "16m",
                "--memory-swap",
                "16m",
                IMAGE,
                "sh",
                "-c",
                "x=x; while :; do x=$x$x; done",
            ],
            "oom",
            137,
        ),
        (
            &["--timeout", "0.1", IMAGE, "sleep", "1000"],
            "timeout",
            124,
        ),
        (&[IMAGE, "nosuch"], "start-failed", 127),
        (&[IMAGE, "/etc/passwd"], "start-failed", 126),
        (&["-u", "nosuch", IMAGE], "start-failed", 125),
    ] {
        let (verdict, output) = verdict(&host, args);
        assert_eq!(
            (&verdict["cause"], output.code),
            (&cause.into(), code),
            "{verdict}"
        );
    }
}

#[test]
fn a_stop_on_request_is_no_failure_of_the_payload_s() {
    let host = Host::new();
    let file = host.path("verdict.json");
    let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done";
    let args = [
        "run",
        "--verdict",
        file.to_str().unwrap(),
        IMAGE,
        "sh",
        "-c",
        script,
    ];
    let mut child = host.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let verdict: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (&verdict["cause"], &verdict["code"]),
        (&"stopped".into(), &7.into())
    );
}

#[test]
fn a_run_that_was_refused_has_a_verdict_too() {
    let host = Host::new();
    for args in [
        &["nosuch:image"][..],
        &["-m", "1k", IMAGE],
        &["--address", "/nosuch", IMAGE],
    ] {
        let (verdict, output) = verdict(&host, args);
        assert_eq!(
            (&verdict["cause"], output.code),
            (&"start-failed".into(), 125)
        );
        let reason = verdict["reason"].as_str().unwrap();
        assert!(
            output.stderr.contains(reason),
            "{reason:?} and {:?}",
            output.stderr
        );
    }
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_run() {
    let host = Host::new();
    for path in ["/nosuch/verdict", "/tmp"] {
        host.run(&["--verdict", path, IMAGE, "echo", "ran"])
            .refused(&["verdict", path]);
    }
}

#[test]
fn a_full_disk_does_not_cost_the_payload_s_exit_code() {
    let host = Host::new();
    let output = host.run(&["--verdict", "/dev/full", IMAGE, "sh", "-c", "exit 3"]);
    assert_eq!(output.code, 3);
    assert!(
        output.stderr.contains("verdict") && output.stderr.contains("No space left"),
        "{output:?}"
    );
}

#[test]
fn verbose_says_it_in_one_line() {
    let host = Host::new();
    for (args, words) in [
        (
            &[IMAGE, "sh", "-c", "exit 3"][..],
            &["exited with code 3 after ", "memory peak "][..],
        ),
        (
            &[IMAGE, "sh", "-c", "kill -9 $$"],
            &["was killed by SIGKILL, exit code 137, after "],
        ),
        (
            &["--timeout", "0.01", IMAGE, "sleep", "9"],
            &["was stopped at its time limit, exit code 124, after "],
        ),
    ] {
        let output = host.run(&[&["--verbose", "--name", "loud"], args].concat());
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        for word in [&["airtight: run loud "], words].concat() {
            assert!(
                output.stderr.contains(word),
                "{word:?} is not in {:?}",
                output.stderr
            );
        }
    }
    let output = host.run(&["--verbose", "nosuch:image"]);
    let last = output.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("airtight: the run did not start, exit code 125, after 0."),
        "{output:?}"
    );
}

#[test]
fn a_reader_of_stderr_that_has_gone_does_not_cost_the_exit_code() {
    let host = Host::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let args = ["run", "--verbose", IMAGE, "sh", "-c", "exit 3"];
    let status = host
        .command(&args)
        .stderr(writer.try_clone().unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
    let status = host
        .command(&["run", "nosuch:image"])
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(125));
}
