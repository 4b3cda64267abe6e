//! `--verdict FILE` and `--verbose`: how a run ended, for programs and for people.

use nix::sys::signal::Signal;

use super::support::{Host, Run, runs};

const IMAGE: &str = "busybox:test";

#[test]
fn an_exit_comes_with_everything_that_is_known() {
    let host = Host::new();
    let (output, verdict) = host.verdict(&["--name", "known", IMAGE, "sh", "-c", "exit 3"]);
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
    assert!(verdict.get("leftovers").is_none());
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
        let (output, verdict) = host.verdict(args);
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
    let run = Run::ready(&mut host.command(&args));
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().code, 7);
    let verdict = runs::verdict(&file);
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
        let (output, verdict) = host.verdict(args);
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
