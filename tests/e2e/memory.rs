//! Running out of memory: what the exit code cannot say, the verdict does.

use super::support::Host;

/// Takes memory without end: tail keeps what it may have to print.
const EAT: &str = "tail -c 1000000000 /dev/zero";

fn run(host: &Host, args: &[&str], script: &str) -> (i32, serde_json::Value) {
    let args = [&["-m", "16m"], args, &["busybox:test", "sh", "-c", script]].concat();
    let (output, verdict) = host.verdict(&args);
    (output.code, verdict)
}

#[test]
fn a_payload_killed_for_memory_is_137_with_the_cause_oom() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let (code, verdict) = run(&host, &[init], &format!("exec {EAT}"));
        assert_eq!((code, &verdict["cause"]), (137, &"oom".into()), "{init}");
        assert!(verdict["oom_kills"].as_u64().unwrap() >= 1, "{init}");
        assert!(
            verdict["memory_peak_bytes"].as_u64().unwrap() > 8 << 20,
            "{init}"
        );
    }
}

#[test]
fn a_child_killed_for_memory_shows_in_the_verdict_of_a_payload_that_goes_on() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let (code, verdict) = run(&host, &[init], &format!("{EAT}; true"));
        assert_eq!((code, &verdict["cause"]), (0, &"exited".into()), "{init}");
        assert_eq!(verdict["oom_kills"], 1, "{init}");
    }
}

#[test]
fn a_payload_that_stays_within_its_memory_is_not_killed() {
    let host = Host::new();
    let (code, verdict) = run(&host, &[], "true");
    assert_eq!((code, &verdict["oom_kills"]), (0, &0.into()));
}
