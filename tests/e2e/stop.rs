//! Ending a run: what TERM to airtight, a time limit and other signals mean to the payload.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::support::{Host, Run, bomb, processes, runs};

/// A payload for busybox's shell: says `ready` when `script` has set it up, and waits.
fn waiting(script: &str) -> String {
    format!("{script}\necho ready; while :; do sleep 0.01; done")
}

/// Runs `script` with `args` until it is ready.
fn start(host: &Host, args: &[&str], script: &str) -> Run {
    start_command(
        host,
        &[args, &["busybox:test", "sh", "-c", script]].concat(),
    )
}

/// `airtight run ARGS`, until it is ready.
fn start_command(host: &Host, args: &[&str]) -> Run {
    let path = host.path("verdict.json");
    let args = [&["run", "--verdict", path.to_str().unwrap()], args].concat();
    Run::ready(&mut runs::hearing(&host.command(&args)))
}

/// Its exit code and cause, without a word from airtight itself.
#[track_caller]
fn end(host: &Host, run: Run) -> (i32, String) {
    let output = run.end();
    assert_eq!(output.stderr, "");
    assert_eq!(processes::below(&host.subpath()), [0; 0]);
    let verdict = runs::verdict(&host.path("verdict.json"));
    (output.code, verdict["cause"].as_str().unwrap().to_owned())
}

fn stopped(code: i32) -> (i32, String) {
    (code, "stopped".to_owned())
}

#[test]
fn term_stops_a_payload_that_obeys() {
    let host = Host::new();
    let run = start(&host, &[], &waiting(""));
    run.signal(Signal::SIGTERM);
    assert_eq!(end(&host, run), stopped(143));
}

#[test]
fn a_stopped_payload_that_traps_the_signal_says_the_code_itself() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for code in [0, 7] {
            let run = start(
                &host,
                &[init],
                &waiting(&format!("trap 'exit {code}' TERM")),
            );
            run.signal(Signal::SIGTERM);
            assert_eq!(end(&host, run), stopped(code), "{init}");
        }
    }
}

#[test]
fn a_payload_that_ignores_term_is_killed_after_stop_timeout() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let script = waiting("trap '' TERM");
        let run = start(&host, &[init, "--stop-timeout", "1"], &script);
        let asked = Instant::now();
        run.signal(Signal::SIGTERM);
        assert_eq!(end(&host, run), stopped(137), "{init}");
        assert!(
            asked.elapsed() >= Duration::from_secs(1),
            "{init}: it had its time"
        );
    }
}

#[test]
fn a_stop_timeout_of_0_kills_at_once() {
    let host = Host::new();
    let run = start(&host, &["--stop-timeout", "0"], &waiting("trap '' TERM"));
    run.signal(Signal::SIGTERM);
    assert_eq!(end(&host, run), stopped(137));
}

#[test]
fn a_second_term_changes_nothing() {
    let host = Host::new();
    let script = waiting("trap 'echo asked' TERM; trap 'exit 5' USR1");
    let mut run = start(&host, &[], &script);
    run.signal(Signal::SIGTERM);
    assert_eq!(run.line(), "asked");
    run.signal(Signal::SIGTERM);
    run.signal(Signal::SIGUSR1);
    assert_eq!(end(&host, run), stopped(5));
}

#[test]
fn everything_a_stopped_payload_has_started_is_gone_with_it() {
    let host = Host::new();
    let tricks = [
        // Double fork: an orphan.
        "( ( trap '' TERM HUP; while :; do sleep 0.01; done ) & )",
        // A daemon in a session of its own.
        "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.01; done' </dev/null >/dev/null 2>&1 &",
        // Zombies that nobody waits for.
        "( true & true & true & exec sleep 1000 ) &",
        // Stopped ones.
        "sh -c 'kill -STOP $$' &",
    ];
    for pid in ["private", "host"] {
        let script = waiting(&tricks.join("\n"));
        let run = start(&host, &["--pid", pid], &script);
        host.until_inside(5);
        run.signal(Signal::SIGTERM);
        assert_eq!(end(&host, run), stopped(143), "pid {pid}");
    }
}

#[test]
fn what_a_payload_left_is_gone_when_it_ends_by_itself() {
    let host = Host::new();
    let daemon =
        "setsid sh -c 'trap \"\" TERM HUP; echo up; while :; do sleep 0.01; done' & exit 3";
    for args in [
        &["--init"][..],
        &["--no-init"],
        &["--pid", "host"],
        &["--pid", "host", "--no-init"],
    ] {
        let command = [args, &["busybox:test", "sh", "-c"], &[daemon]].concat();
        assert_eq!(host.run(&command).code, 3, "{args:?}");
        assert_eq!(processes::below(&host.subpath()), [0; 0], "{args:?}");
    }
}

#[test]
fn a_daemon_that_holds_a_copied_stdout_does_not_hold_airtight() {
    let host = Host::new();
    let daemon =
        "setsid sh -c 'trap \"\" TERM HUP; echo up; while :; do sleep 0.01; done' & exit 3";
    for args in [
        &["--init"][..],
        &["--no-init"],
        &["--pid", "host"],
        &["--pid", "host", "--no-init"],
    ] {
        let out = std::fs::File::create(host.path("out")).unwrap();
        let args = [&["run"], args, &["busybox:test", "sh", "-c", daemon]].concat();
        let mut child = host.command(&args).stdout(out).spawn().unwrap();
        assert_eq!(runs::wait(&mut child).code(), Some(3), "{args:?}");
    }
}

#[test]
fn a_fork_bomb_under_a_pids_limit_is_gone_after_stop_timeout() {
    let host = Host::new();
    let args = [&["--stop-timeout", "0"], &bomb::ARGS[..]].concat();
    let run = start_command(&host, &args);
    bomb::wait(&host);
    run.signal(Signal::SIGTERM);
    let (code, cause) = end(&host, run);
    assert_eq!((code, cause.as_str()), (137, "stopped"));
}

#[test]
fn the_stop_signal_is_the_image_s_or_the_flag_s() {
    let host = Host::with(&["busybox", "kitchen"]);
    let traps = waiting("trap 'exit 10' TERM; trap 'exit 11' INT; trap 'exit 12' QUIT");
    let stop = |args: &[&str], image: &str| {
        let args = [&["run"], args, &[image, "sh", "-c", &traps]].concat();
        let mut run = Run::start(&mut host.command(&args));
        while run.line() != "ready" {}
        run.signal(Signal::SIGTERM);
        run.end().code
    };
    assert_eq!(stop(&[], "busybox:test"), 10);
    assert_eq!(stop(&[], "kitchen:test"), 11);
    assert_eq!(stop(&["--stop-signal", "QUIT"], "kitchen:test"), 12);
    assert_eq!(stop(&["--stop-signal", "3"], "busybox:test"), 12);
}

#[test]
fn a_stop_signal_without_a_name_arrives_with_and_without_an_init() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let script = waiting("trap 'exit 8' 37");
        let run = start(&host, &[init, "--stop-signal", "RTMIN+3"], &script);
        run.signal(Signal::SIGTERM);
        assert_eq!(end(&host, run), stopped(8), "{init}");
    }
}

#[test]
fn other_signals_reach_the_payload_as_they_are() {
    let host = Host::new();
    for args in [
        &["--init"][..],
        &["--no-init"],
        &["-u", "1000"],
        &["--pid", "host"],
    ] {
        let traps = "for s in HUP INT QUIT USR1 USR2 ALRM; do trap \"echo $s\" $s; done";
        let script = waiting(&format!("{traps}; trap 'exit 9' TERM"));
        let mut run = start(&host, args, &script);
        for signal in [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGALRM,
        ] {
            run.signal(signal);
            assert_eq!(format!("SIG{}", run.line()), signal.as_str(), "{args:?}");
        }
        run.signal(Signal::SIGTERM);
        assert_eq!(end(&host, run), stopped(9), "{args:?}");
    }
}

#[test]
fn signals_that_our_parent_ignored_reach_neither_airtight_nor_the_payload() {
    let host = Host::new();
    // The second is what a shell without job control does for a command with an &.
    for (parent, ignored) in [
        ("set -- nohup \"$@\"", &[Signal::SIGHUP][..]),
        ("trap '' INT QUIT", &[Signal::SIGINT, Signal::SIGQUIT]),
    ] {
        let script = waiting("for s in HUP INT QUIT TERM; do trap \"echo $s; exit 9\" $s; done");
        let airtight = host.command(&["run", "busybox:test", "sh", "-c", &script]);
        let run = Run::ready(&mut runs::after(parent, &airtight));
        ignored.iter().for_each(|signal| run.signal(*signal));
        run.signal(Signal::SIGTERM);
        let output = run.end();
        assert_eq!((output.code, output.stdout.as_str()), (9, "TERM\n"));
    }
}

#[test]
fn a_term_that_our_parent_ignored_stops_all_the_same() {
    let host = Host::new();
    let airtight = host.command(&["run", "busybox:test", "sh", "-c", &waiting("")]);
    let run = Run::ready(&mut runs::after("trap '' TERM", &airtight));
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().code, 143);
}

#[test]
fn a_signal_that_kills_the_payload_is_its_own_cause() {
    let host = Host::new();
    let run = start(&host, &[], &waiting(""));
    run.signal(Signal::SIGINT);
    assert_eq!(end(&host, run), (130, "signaled".to_owned()));
}

#[test]
fn the_third_interrupt_kills() {
    let host = Host::new();
    let mut run = start(&host, &[], &waiting("trap 'echo no' INT; trap '' TERM"));
    for _ in 0..2 {
        run.signal(Signal::SIGINT);
        assert_eq!(run.line(), "no");
    }
    run.signal(Signal::SIGINT);
    assert_eq!(end(&host, run), stopped(137));
}

#[test]
fn a_time_limit_ends_the_run_with_124() {
    let host = Host::new();
    let limited = |args: &[&str], script: &str| {
        let (output, verdict) =
            host.verdict(&[args, &["busybox:test", "sh", "-c", script]].concat());
        (output.code, verdict["cause"].as_str().unwrap().to_owned())
    };
    let timeout = (124, "timeout".to_owned());
    let one = &["--timeout", "1s", "--stop-timeout", "0"];
    for init in ["--init", "--no-init"] {
        let args = [&[init], &one[..]].concat();
        assert_eq!(limited(&args, &waiting("")), timeout, "{init}");
        assert_eq!(
            limited(&args, &waiting("trap 'exit 0' TERM")),
            timeout,
            "{init}"
        );
        assert_eq!(
            limited(&args, &waiting("trap '' TERM; setsid sleep 1000 &")),
            timeout,
            "{init}"
        );
    }
    assert_eq!(
        limited(&["--timeout", "1m"], "exit 3"),
        (3, "exited".to_owned())
    );
}

#[test]
fn a_time_limit_that_is_over_before_the_payload_starts_holds_too() {
    let host = Host::new();
    for limit in ["1ms", "20ms", "60ms"] {
        let output = host.run(&["--timeout", limit, "busybox:test", "sleep", "1000"]);
        assert_eq!((output.code, output.stderr.as_str()), (124, ""), "{limit}");
    }
}

#[test]
fn limits_that_never_come_are_no_limits() {
    let host = Host::new();
    let ages = "18446744073709551615s";
    for args in [
        ["--timeout", ages],
        ["--stop-timeout", "9223372036854775807"],
    ] {
        let output = host.run(&[&args[..], &["busybox:test", "true"]].concat());
        assert!(matches!(output.code, 0 | 125), "{output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
    }
}
