use super::*;

#[test]
fn each_cause_has_its_exit_code() {
    let reason = String::new();
    for (cause, code) in [
        (Cause::Exited { code: 3 }, 3),
        (Cause::Signaled { signal: 11 }, 139),
        (Cause::Oom, 137),
        (Cause::Timeout, 124),
        (Cause::Stopped { code: 143 }, 143),
        (
            Cause::StartFailed {
                code: 127,
                reason: reason.clone(),
            },
            127,
        ),
        (Cause::Lost { reason }, 125),
    ] {
        assert_eq!(cause.code(), code, "{cause:?}");
    }
}

#[test]
fn a_verdict_is_flat_json_with_its_cause() {
    let facts = RunFacts {
        id: "a".parse().unwrap(),
        image: "i".into(),
        image_digest: "d".into(),
        cgroup: "c".into(),
    };
    let mut phases = Phases::start();
    phases.lap("snapshot");
    let usage = Usage {
        memory_peak: Some(5),
        ..Usage::default()
    };
    let verdict = Verdict::new(
        facts,
        Cause::Signaled { signal: 9 },
        phases,
        usage,
        Vec::new(),
    );
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["cause"], "signaled");
    assert_eq!(json["signal"], 9);
    assert_eq!(json["exit_code"], 137);
    assert_eq!(json["memory_peak_bytes"], 5);
    assert!(json.get("oom_kills").is_none() && json.get("leftovers").is_none());
    assert_eq!(json["phases"][0]["name"], "snapshot");
    let line = verdict.to_string();
    assert!(
        line.starts_with("run a was killed by SIGKILL, exit code 137, after 0.0")
            && line.ends_with("s, memory peak 5B"),
        "{line}"
    );
}

#[test]
fn a_run_that_was_refused_has_a_verdict_too() {
    let failure = Failure::usage("no image is named");
    let verdict = Verdict::of_nothing(&failure, Phases::start());
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["cause"], "start-failed");
    assert_eq!(json["reason"], "no image is named");
    assert_eq!(
        (&json["code"], &json["exit_code"]),
        (&125.into(), &125.into())
    );
    assert!(json.get("id").is_none());
}
