//! SIGKILL of airtight: the kernel breaks the leash, everything inside dies, and the next airtight
//! command undoes the rest.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::{Host, Run, bomb, processes, runs};

/// Several processes that no signal but SIGKILL ends, one of them stopped.
const STUBBORN: &str = "trap '' TERM HUP INT PIPE
    ( ( while :; do sleep 0.01; done ) & )
    setsid sh -c 'while :; do sleep 0.01; done' </dev/null >/dev/null 2>&1 &
    sh -c 'kill -STOP $$' &
    echo ready; while :; do sleep 0.01; done";

fn run(args: &[&'static str]) -> Vec<&'static str> {
    [&["run"], args, &["busybox:test", "sh", "-c", STUBBORN]].concat()
}

/// Any command undoes what dead owners left, before its own work.
#[track_caller]
fn reap(host: &Host) {
    let output = host.airtight(&["image", "ls", "--quiet"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    host.assert_clean();
}

#[test]
fn everything_inside_dies_with_airtight() {
    let host = Host::new();
    for args in [
        &[][..],
        &["-u", "1000"],
        &["-u", "1000", "--cap-drop", "ALL"],
    ] {
        let airtight = Run::ready(&mut host.command(&run(args)));
        host.until_inside(5);
        airtight.destroy();
        host.until_nobody_is_inside();
        reap(&host);
    }
}

#[test]
fn a_fork_bomb_dies_with_airtight() {
    let host = Host::new();
    for pid in ["private", "host"] {
        let args = [&["run", "--pid", pid], &bomb::ARGS[..]].concat();
        let airtight = Run::ready(&mut host.command(&args));
        bomb::wait(&host);
        airtight.destroy();
        if pid == "private" {
            host.until_nobody_is_inside();
        }
        reap(&host);
        host.until_nobody_is_inside();
    }
}

#[test]
fn in_the_host_s_pid_namespace_everything_dies_with_airtight_too() {
    let host = Host::new();
    for args in [&["--pid", "host"][..], &["--pid", "host", "-u", "1000"]] {
        let airtight = Run::ready(&mut host.command(&run(args)));
        host.until_inside(5);
        airtight.destroy();
        host.until_nobody_is_inside();
        reap(&host);
    }
}

#[test]
fn without_an_init_the_next_command_kills_what_a_dead_airtight_left() {
    let host = Host::new();
    for args in [&["--no-init"][..], &["--no-init", "--pid", "host"]] {
        Run::ready(&mut host.command(&run(args))).destroy();
        host.until_inside(4);
        reap(&host);
        host.until_nobody_is_inside();
    }
}

#[test]
fn a_setuid_payload_dies_with_airtight() {
    let host = Host::new();
    // The init has the payload's uid; a program that is setuid root inside is out of its reach.
    let script = "chmod 4755 /tmp/busybox; exec su app -s /bin/sh -c \
        '/tmp/busybox sh -c \"trap : TERM; echo ready; while :; do sleep 0.01; done\"'";
    let script = format!("cp /bin/busybox /tmp/busybox; {script}");
    for pid in ["private", "host"] {
        let args = ["run", "--pid", pid, "busybox:test", "sh", "-c", &script];
        Run::ready(&mut host.command(&args)).destroy();
        if pid == "private" {
            host.until_nobody_is_inside();
        }
        reap(&host);
        host.until_nobody_is_inside();
    }
}

#[test]
fn a_run_with_a_terminal_dies_with_airtight() {
    let host = Host::new();
    let mut airtight = Run::start(&mut host.command(&run(&["-t"])));
    while airtight.line() != "ready\r" {}
    airtight.destroy();
    host.until_nobody_is_inside();
    reap(&host);
}

#[test]
fn stopped_payloads_die_with_airtight() {
    let host = Host::new();
    let airtight = Run::ready(&mut host.command(&run(&[])));
    let init = host.init();
    for pid in processes::below(&host.subpath()) {
        // All but the init: whoever stops that has to end it as well.
        if pid != init {
            processes::signal(pid, Signal::SIGSTOP);
        }
    }
    airtight.destroy();
    host.until_nobody_is_inside();
    reap(&host);
}

#[test]
fn several_runs_killed_at_once_leave_nothing() {
    let host = Host::new();
    let started: Vec<_> = (0..4)
        .map(|_| Run::start(&mut host.command(&run(&[]))))
        .collect();
    let ready = started.into_iter().map(|mut run| {
        assert_eq!(run.line(), "ready");
        run
    });
    let ready: Vec<_> = ready.collect();
    ready.iter().for_each(|run| run.signal(Signal::SIGKILL));
    ready.into_iter().for_each(Run::destroy);
    host.until_nobody_is_inside();
    reap(&host);
}

#[test]
fn a_living_run_is_left_alone_by_other_commands() {
    let host = Host::new();
    let mut living = Run::ready(
        host.command(&["run", "-i", "busybox:test", "sh", "-c", "echo ready; cat"])
            .stdin(Stdio::piped()),
    );
    let dead = Run::ready(&mut host.command(&run(&[])));
    dead.destroy();
    assert_eq!(host.airtight(&["image", "ls"]).code, 0);
    living.write(b"still here\n");
    assert_eq!(living.end().ok(), "still here\n");
}

/// Starts `command`, and kills it with `signal` after `delay`: wherever it is by then.
fn interrupted(mut command: Command, signal: Signal, delay: Duration) -> i32 {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    sleep(delay);
    // Nobody but we waits for it, so the pid is its own even if it has ended.
    processes::signal(child.id().try_into().unwrap(), signal);
    runs::code(runs::wait(&mut child))
}

/// Delays that spread over a launch, in an order that mixes them: multiples of the golden ratio.
fn delays(count: u32) -> impl Iterator<Item = Duration> {
    (0..count).map(|number| {
        let share = (f64::from(number) * 0.618_033_988_749).fract();
        Duration::from_secs_f64(0.3 * share)
    })
}

#[test]
fn killed_at_any_moment_of_its_launch_a_run_leaves_nothing_that_is_not_reaped() {
    let host = Host::new();
    for (number, delay) in delays(60).enumerate() {
        let args: &[&str] = match number % 4 {
            0 => &["--no-init"],
            1 => &["-v", "/data"],
            2 => &["--pid", "host"],
            _ => &[],
        };
        let args = [&["run"], args, &["busybox:test", "sleep", "0.05"]].concat();
        interrupted(host.command(&args), Signal::SIGKILL, delay);
    }
    reap(&host);
    host.until_nobody_is_inside();
}

#[test]
fn stopped_at_any_moment_of_its_launch_a_run_leaves_nothing() {
    let host = Host::new();
    for (number, delay) in delays(40).enumerate() {
        let init = if number % 4 == 0 {
            "--no-init"
        } else {
            "--init"
        };
        let args = [
            "run",
            init,
            "--stop-timeout",
            "0",
            "busybox:test",
            "sleep",
            "0.05",
        ];
        let code = interrupted(host.command(&args), Signal::SIGTERM, delay);
        assert!(matches!(code, 0 | 137 | 143), "{code} after {delay:?}");
        host.until_nobody_is_inside();
    }
}
