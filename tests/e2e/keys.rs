//! `--key`: of runs with one key there is never more than one, and one that was kept is picked up.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::support::containerd::Containerd;
use super::support::{Host, Output, Run, processes, runs};

/// Ends with 5 when there is a file /w/end, and writes /w/stopped when it is asked to stop.
const WAITS: &str = "trap 'touch /w/stopped; exit 6' TERM
    echo ready; while ! test -e /w/end; do sleep 0.01; done; exit 5";

/// A directory for /w.
fn shared(host: &Host) -> PathBuf {
    let path = host.path("shared");
    fs::create_dir_all(&path).unwrap();
    path
}

fn run(host: &Host, flags: &[&str], script: &str) -> Command {
    let volume = format!("{}:/w", shared(host).display());
    let begin = ["run", "--key", "etl/daily ☃", "-v", &volume];
    host.command(&[&begin, flags, &["busybox:test", "sh", "-c", script]].concat())
}

/// A run that is to be kept, whose owner was killed.
fn orphan(host: &Host) -> i32 {
    let owner = Run::ready(&mut run(host, &["--on-owner-death", "keep"], WAITS));
    let pid = owner.pid();
    owner.destroy();
    // Any command undoes what dead owners left; this is not to be undone.
    assert_eq!(host.airtight(&["image", "ls", "--quiet"]).stderr, "");
    assert!(!processes::below(&host.subpath()).is_empty());
    pid
}

#[test]
fn a_second_run_with_a_living_key_is_refused_and_told_who_has_it() {
    let host = Host::new();
    let first = Run::ready(&mut run(&host, &[], WAITS));
    let second = Output::of(&mut run(&host, &[], "exit 0"));
    let holder = format!("process {}", first.pid());
    second.refused(&[
        "a run with key \"etl/daily ☃\" lives",
        &holder,
        "--on-conflict replace",
    ]);
    fs::write(shared(&host).join("end"), "").unwrap();
    assert_eq!(first.end().code, 5);
    host.assert_clean();
}

#[test]
fn a_run_that_has_ended_and_is_being_undone_is_waited_for() {
    let host = Host::new();
    let mut first = run(&host, &[], "exit 5");
    first.env("AIRTIGHT_TEST_STEP", "end:STOP");
    let first = Run::start(&mut first);
    processes::until("it is about to be undone", || {
        processes::is_stopped(first.pid())
    });
    let second = Run::start(&mut run(&host, &[], "exit 9"));
    first.signal(Signal::SIGCONT);
    assert_eq!((first.end().code, second.end().code), (5, 9));
    host.assert_clean();
}

#[test]
fn a_run_may_replace_the_one_that_has_its_key() {
    let host = Host::new();
    let first = Run::ready(&mut run(&host, &[], WAITS));
    let mut second = run(
        &host,
        &["--on-conflict", "replace"],
        "test -e /w/stopped && exit 3",
    );
    assert_eq!(Output::of(&mut second).code, 3);
    assert_eq!(first.end().code, 6);
    host.assert_clean();
}

#[test]
fn a_run_whose_owner_died_is_picked_up_and_its_own_end_is_reported() {
    let host = Host::new();
    let dead = orphan(&host);
    let verdict = host.path("verdict.json");
    let verdict_flag = format!("--verdict={}", verdict.display());
    let heir = Run::start(&mut run(&host, &[&verdict_flag], "exit 9"));
    fs::write(shared(&host).join("end"), "").unwrap();
    assert_eq!(heir.end().code, 5);
    assert_eq!(runs::verdict(&verdict)["picked_up_from"], dead);
    host.assert_clean();
}

#[test]
fn a_run_that_ended_while_it_had_no_owner_is_reported_with_its_true_code() {
    let host = Host::new();
    orphan(&host);
    fs::write(shared(&host).join("end"), "").unwrap();
    host.until_nobody_is_inside();
    assert_eq!(host.airtight(&["image", "ls", "--quiet"]).stderr, "");
    let heir = Output::of(&mut run(&host, &[], "exit 9"));
    assert_eq!(heir.code, 5);
    // That was its end: the next is a new one.
    let next = Output::of(&mut run(&host, &[], "exit 9"));
    assert_eq!(next.code, 9);
    host.assert_clean();
}

#[test]
fn a_run_that_was_picked_up_can_be_stopped() {
    let host = Host::new();
    orphan(&host);
    let mut command = run(&host, &["--verbose"], "exit 9");
    let heir = Run::start(&mut command);
    processes::until("the heir has the run", || holds(&host, heir.pid()));
    heir.signal(Signal::SIGTERM);
    assert_eq!(heir.end().code, 6);
    assert!(shared(&host).join("stopped").exists());
    host.assert_clean();
}

#[test]
fn the_time_limit_of_a_run_that_was_picked_up_knows_no_time_of_day() {
    let host = Host::new();
    orphan(&host);
    let later = "export FAKETIME=+2h FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1
        set -- env LD_PRELOAD=\"$(ls /usr/lib/*/faketime/libfaketime.so.1)\" \"$@\"";
    let command = run(&host, &["--timeout", "1h"], "exit 9");
    let heir = Run::start(&mut runs::after(later, &command));
    processes::until("the heir has the run", || holds(&host, heir.pid()));
    fs::write(shared(&host).join("end"), "").unwrap();
    let output = heir.end();
    assert_eq!(output.code, 5, "{output:?}");
    host.assert_clean();
}

/// Whether the record names `pid` as the owner.
fn holds(host: &Host, pid: i32) -> bool {
    let runs = fs::read_dir(host.state()).unwrap().flatten();
    let owners = runs.filter_map(|run| {
        let text = fs::read(run.path().join("record.json")).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?["owner"]["pid"].as_i64()
    });
    owners.into_iter().any(|owner| owner == i64::from(pid))
}

#[test]
fn a_run_that_is_kept_is_undone_by_whoever_names_it() {
    let host = Host::new();
    orphan(&host);
    let id = || host.ctr(&["containers", "ls", "-q"]).trim().to_owned();
    assert_eq!(host.airtight(&["reap"]).code, 0);
    let kept = id();
    assert!(kept.starts_with("key-"), "{kept:?}");
    assert_eq!(host.airtight(&["reap", &kept]).code, 0);
    assert_eq!(id(), "");
    host.assert_clean();
}

#[test]
fn an_owner_that_died_before_the_payload_began_leaves_nothing_to_be_picked_up() {
    let host = Host::new();
    for step in ["record", "container", "task", "start"] {
        let mut doomed = run(&host, &["--on-owner-death", "keep"], "exit 5");
        doomed.env("AIRTIGHT_TEST_STEP", format!("{step}:KILL"));
        assert_eq!(Output::of(&mut doomed).code, 137, "{step}");
        let next = Output::of(&mut run(&host, &[], "exit 9"));
        assert_eq!(next.code, 9, "{step}");
        host.assert_clean();
    }
}

#[test]
fn a_payload_may_be_stopped_rather_than_killed_when_its_owner_dies() {
    let host = Host::new();
    Run::ready(&mut run(&host, &["--on-owner-death", "stop"], WAITS)).destroy();
    host.until_nobody_is_inside();
    assert!(shared(&host).join("stopped").exists());
    assert_eq!(host.airtight(&["image", "ls", "--quiet"]).stderr, "");
    host.assert_clean();
}

#[test]
fn what_needs_a_key_is_refused_without_one() {
    let host = Host::new();
    for flags in [
        &["--on-conflict", "replace"][..],
        &["--on-owner-death", "keep"],
    ] {
        let args = [&["run"], flags, &["busybox:test", "true"]].concat();
        host.airtight(&args).refused(&["needs --key"]);
    }
    host.airtight(&["run", "--key=a", "--name=b", "busybox:test", "true"])
        .refused(&["--name and --key cannot be together"]);
}

#[test]
fn of_two_runs_with_one_key_that_begin_at_once_one_is_refused_by_the_key() {
    let host = Host::new();
    let both: Vec<_> = (0..2)
        .map(|_| Run::start(&mut run(&host, &[], WAITS)))
        .collect();
    // The one that is refused ends by itself.
    fs::write(shared(&host).join("end"), "").unwrap();
    let ends: Vec<_> = both.into_iter().map(Run::end).collect();
    for end in &ends {
        let refused =
            end.code == 125 && end.stderr.contains("a run with key \"etl/daily ☃\" lives");
        assert!(refused || end.code == 5, "{end:?}");
    }
    assert!(ends.iter().any(|end| end.code == 5), "{ends:?}");
    host.assert_clean();
}

#[test]
fn an_end_that_was_known_when_the_owner_died_is_not_lost() {
    let host = Host::new();
    for step in [
        "killed",
        "task-deleted",
        "container-deleted",
        "volumes-removed",
    ] {
        let mut doomed = run(&host, &["--on-owner-death", "keep"], "exit 5");
        doomed.env("AIRTIGHT_TEST_STEP", format!("{step}:KILL"));
        assert_eq!(Output::of(&mut doomed).code, 137, "{step}");
        let heir = Output::of(&mut run(&host, &[], "exit 9"));
        assert_eq!(heir.code, 5, "{step}: {heir:?}");
        host.assert_clean();
    }
}

#[test]
fn a_payload_that_is_being_stopped_without_its_owner_is_not_killed_by_the_next_command() {
    let host = Host::new();
    let script = "trap 'touch /w/asked' TERM; echo ready
        while ! test -e /w/end; do sleep 0.01; done; touch /w/ended";
    let flags = ["--on-owner-death", "stop", "--stop-timeout", "600"];
    Run::ready(&mut run(&host, &flags, script)).destroy();
    let shared = shared(&host);
    processes::until("it was asked to stop", || shared.join("asked").exists());
    assert_eq!(host.airtight(&["image", "ls", "--quiet"]).stderr, "");
    fs::write(shared.join("end"), "").unwrap();
    host.until_nobody_is_inside();
    assert!(shared.join("ended").exists());
    // As long as somebody dead is in its cgroup, it is left alone.
    processes::until("it is undone", || {
        assert_eq!(host.airtight(&["image", "ls", "--quiet"]).stderr, "");
        host.ctr(&["containers", "ls", "-q"]).is_empty()
    });
    host.assert_clean();
}

#[test]
fn a_detached_run_without_an_owner_is_seen_to_go_on_and_can_be_stopped_or_picked_up() {
    let host = Host::new();
    for end in ["stop", "pick up"] {
        let mut begin = run(&host, &["-d", "--on-owner-death", "keep"], WAITS);
        let id = Output::of(&mut begin).ok().trim().to_owned();
        processes::signal(host.owner(&id), Signal::SIGKILL);
        let status = || host.airtight(&["ps"]).stdout;
        processes::until("it is seen", || status().contains("without an owner"));
        let waiting = host.airtight(&["wait", &id]);
        assert_eq!((waiting.code, waiting.stdout.as_str()), (1, ""));
        assert!(waiting.stderr.contains("its owner has died"), "{waiting:?}");
        match end {
            "stop" => {
                let stopped = host.airtight(&["stop", &id]);
                assert_eq!(stopped.stdout, format!("{id}\n"));
                assert!(stopped.stderr.contains("had lost its owner"), "{stopped:?}");
                // As its owner would have: it was asked first.
                assert!(shared(&host).join("stopped").exists());
                assert_eq!(host.airtight(&["wait", &id]).ok(), "6\n");
            }
            _ => {
                fs::write(shared(&host).join("end"), "").unwrap();
                let heir = Output::of(&mut run(&host, &[], "exit 9"));
                assert_eq!(heir.code, 5);
                assert_eq!(host.airtight(&["wait", &id]).ok(), "5\n");
            }
        }
        host.airtight(&["rm", &id]).ok();
        host.assert_clean();
    }
}

#[test]
fn why_nothing_can_be_asked_of_a_run_without_an_owner_is_said() {
    let host = Host::new();
    let mut begin = run(&host, &["-d", "--on-owner-death", "keep"], WAITS);
    let id = Output::of(&mut begin).ok().trim().to_owned();
    processes::signal(host.owner(&id), Signal::SIGKILL);
    let is_told = |words: &str| {
        for verb in [&["kill", &id][..], &["exec", &id, "true"], &["attach", &id]] {
            let output = host.airtight(verb);
            assert!(output.stderr.contains(words), "{verb:?}: {output:?}");
        }
    };
    processes::until("it is seen", || {
        let orphaned = host.airtight(&["ps", "-q", "--filter", "status=orphaned"]);
        orphaned.stdout.trim() == id
    });
    is_told("has no owner to ask: its owner has died");
    let used = host.airtight(&["stats", "--no-stream", &id]).ok();
    assert_eq!(used.lines().count(), 2, "{used}");
    fs::write(shared(&host).join("end"), "").unwrap();
    host.until_nobody_is_inside();
    is_told("it has ended without an owner");
    assert_eq!(host.airtight(&["stop", &id]).code, 0);
    is_told("it has exited with code 5");
    host.airtight(&["rm", &id]).ok();
    is_told("there is no run");
}

#[test]
fn a_run_that_ended_while_it_had_no_owner_is_stopped_with_its_true_end() {
    let host = Host::new();
    for begin in [&["-d"][..], &[]] {
        let flags = [begin, &["--on-owner-death", "keep"]].concat();
        let mut command = run(&host, &flags, WAITS);
        let doomed = Run::start(&mut command);
        let id = || host.airtight(&["ps", "-q"]).stdout;
        processes::until("it runs", || !processes::below(&host.subpath()).is_empty());
        processes::until("it is listed as running", || {
            !host
                .airtight(&["ps", "-q", "--filter", "status=running"])
                .stdout
                .is_empty()
        });
        let id = id().trim().to_owned();
        processes::signal(host.owner(&id), Signal::SIGKILL);
        doomed.destroy();
        let end = shared(&host).join("end");
        fs::write(&end, "").unwrap();
        host.until_nobody_is_inside();
        let status = host.airtight(&["ps"]).stdout;
        assert!(status.contains("Ended, without an owner"), "{status}");
        let stopped = host.airtight(&["stop", &id]);
        assert_eq!((stopped.code, stopped.stdout), (0, format!("{id}\n")));
        let remark = "its payload ended with exit code 5";
        assert!(stopped.stderr.contains(remark), "{}", stopped.stderr);
        if begin.is_empty() {
            host.assert_clean();
        } else {
            assert_eq!(host.airtight(&["wait", &id]).ok(), "5\n");
            host.airtight(&["rm", &id]).ok();
        }
        fs::remove_file(end).unwrap();
    }
}

#[test]
fn an_end_that_cannot_be_had_at_the_moment_is_not_thrown_away_by_a_stop() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let mut begin = run(&host, &["-d", "--on-owner-death", "keep"], WAITS);
    let id = Output::of(&mut begin).ok().trim().to_owned();
    processes::until("its trap is set", || {
        host.airtight(&["logs", &id]).stdout == "ready\n"
    });
    processes::signal(host.owner(&id), Signal::SIGKILL);
    containerd.signal(Signal::SIGSTOP);
    let stopped = host.airtight(&["stop", &id]);
    containerd.signal(Signal::SIGCONT);
    assert_eq!((stopped.code, stopped.stdout.as_str()), (1, ""));
    let why = "how its payload ended is not to be had now";
    assert!(stopped.stderr.contains(why), "{stopped:?}");
    assert!(processes::below(&host.subpath()).is_empty());
    let again = host.airtight(&["stop", &id]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(host.airtight(&["wait", &id]).ok(), "6\n");
    host.airtight(&["rm", &id]).ok();
    host.assert_clean();
}

#[test]
fn what_is_left_of_a_run_whose_end_was_told_is_no_end_of_the_next() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let first = Run::ready(&mut run(&host, &["--on-owner-death", "keep"], WAITS));
    containerd.signal(Signal::SIGSTOP);
    fs::write(shared(&host).join("end"), "").unwrap();
    let first = first.end();
    containerd.signal(Signal::SIGCONT);
    assert_eq!(first.code, 5);
    assert!(first.stderr.contains("left over"), "{first:?}");
    let next = Output::of(&mut run(&host, &[], "exit 9"));
    assert_eq!(next.code, 9, "{next:?}");
    host.assert_clean();
}

#[test]
fn the_next_run_waits_until_the_payload_of_a_dead_owner_is_stopped() {
    let host = Host::new();
    let script = "trap 'sleep 1; touch /w/stopped; exit 6' TERM; echo ready
        while :; do sleep 0.01; done";
    let flags = ["--on-owner-death", "stop", "--stop-timeout", "600"];
    Run::ready(&mut run(&host, &flags, script)).destroy();
    let next = Output::of(&mut run(&host, &[], "test -e /w/stopped"));
    assert_eq!(next.code, 0, "{next:?}");
    host.assert_clean();
}

#[test]
fn a_verdict_that_was_written_is_the_heir_s_as_it_is() {
    let host = Host::new();
    let mut doomed = run(&host, &["--on-owner-death", "keep"], WAITS);
    doomed.env("AIRTIGHT_TEST_STEP", "end:KILL");
    let doomed = Run::ready(&mut doomed);
    doomed.signal(Signal::SIGTERM);
    assert_eq!(doomed.end().code, 137);
    let path = host.path("verdict.json");
    let flag = format!("--verdict={}", path.display());
    let heir = Output::of(&mut run(&host, &[&flag], "exit 9"));
    assert_eq!(heir.code, 6, "{heir:?}");
    assert_eq!(runs::verdict(&path)["cause"], "stopped");
    host.assert_clean();
}

#[test]
fn a_run_directory_without_its_lock_keeps_nobody_waiting() {
    let host = Host::new();
    orphan(&host);
    let mut runs = fs::read_dir(host.state()).unwrap().flatten();
    let run_dir = runs.find(|entry| entry.path().join("record.json").exists());
    fs::remove_file(run_dir.unwrap().path().join("lock")).unwrap();
    fs::write(shared(&host).join("end"), "").unwrap();
    let heir = Output::of(&mut run(&host, &[], "exit 9"));
    assert_eq!(heir.code, 5, "{heir:?}");
    host.assert_clean();
}
