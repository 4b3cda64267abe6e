//! The exit code is the payload's own, and the verdict says why.

use super::support::{Host, runs};

fn verdict(host: &Host, args: &[&str]) -> (i32, serde_json::Value) {
    let path = host.path("verdict.json");
    let output = host.run(&[&["--verdict", path.to_str().unwrap()], args].concat());
    (output.code, runs::verdict(&path))
}

#[test]
fn a_payload_s_own_code_is_the_exit_code() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for code in [0, 1, 2, 42, 124, 125, 126, 127, 128, 137, 254, 255] {
            let exit = format!("exit {code}");
            let (found, verdict) = verdict(&host, &[init, "busybox:test", "sh", "-c", &exit]);
            assert_eq!(
                (found, &verdict["exit_code"]),
                (code, &code.into()),
                "{init}"
            );
            assert_eq!(verdict["cause"], "exited", "{init} {code}");
        }
    }
}

#[test]
fn death_by_signal_n_is_128_and_n() {
    let host = Host::new();
    for signal in [1, 2, 6, 9, 11, 13, 15, 31, 34, 64] {
        let kill = format!("kill -{signal} $$");
        let (code, verdict) = verdict(&host, &["busybox:test", "sh", "-c", &kill]);
        assert_eq!(code, 128 + signal);
        assert_eq!(
            (&verdict["cause"], &verdict["signal"]),
            (&"signaled".into(), &signal.into())
        );
    }
}

#[test]
fn without_an_init_the_payload_is_pid_1_and_dies_of_no_signal_of_its_own() {
    let host = Host::new();
    let script = "kill -TERM $$; kill -KILL $$; echo $$";
    assert_eq!(
        host.run(&["--no-init", "busybox:test", "sh", "-c", script])
            .ok(),
        "1\n"
    );
}

#[test]
fn a_payload_that_ends_at_once_is_not_missed() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for _ in 0..10 {
            assert_eq!(host.run(&[init, "busybox:test", "false"]).code, 1, "{init}");
        }
    }
}

#[test]
fn a_run_that_cannot_start_is_125_126_or_127_and_the_verdict_says_why() {
    let host = Host::new();
    let (code, verdict_127) = verdict(&host, &["busybox:test", "nosuch"]);
    assert_eq!((code, &verdict_127["cause"]), (127, &"start-failed".into()));
    assert!(verdict_127["reason"].as_str().unwrap().contains("nosuch"));
    let (code, verdict_126) = verdict(&host, &["busybox:test", "/etc/passwd"]);
    assert_eq!((code, &verdict_126["cause"]), (126, &"start-failed".into()));
    let (code, verdict_125) = verdict(
        &host,
        &["--runtime-binary", "/nosuch", "busybox:test", "true"],
    );
    assert_eq!((code, &verdict_125["cause"]), (125, &"start-failed".into()));
}

#[test]
fn the_verdict_tells_phases_usage_image_and_cgroup() {
    let host = Host::new();
    let (_, verdict) = verdict(&host, &["--name", "told", "busybox:test", "true"]);
    assert_eq!(verdict["id"], "told");
    assert!(
        verdict["image_digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert!(verdict["cgroup"].as_str().unwrap().ends_with("/told"));
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
    assert!(verdict["memory_peak_bytes"].as_u64().unwrap() > 0);
    assert!(verdict["cpu_seconds"].as_f64().unwrap() > 0.0);
    assert!(verdict.get("leftovers").is_none());
}

#[test]
fn verbose_says_on_stderr_how_it_ended() {
    let host = Host::new();
    let output = host.run(&[
        "--verbose",
        "--name",
        "said",
        "busybox:test",
        "sh",
        "-c",
        "exit 4",
    ]);
    assert_eq!((output.code, output.stdout.as_str()), (4, ""));
    assert!(
        output
            .stderr
            .starts_with("airtight: run said exited with code 4"),
        "{output:?}"
    );
    assert_eq!(output.stderr.lines().count(), 1);
}

#[test]
fn a_verdict_that_cannot_be_written_is_refused_before_anything_runs() {
    let host = Host::new();
    host.run(&["--verdict", "/nosuch/file", "busybox:test", "echo", "ran"])
        .refused(&["/nosuch/file"]);
}
