//! `airtight stop`: ends the living runs of other terminals.

use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, connect, recv, send, socket,
};

use super::support::containerd::Containerd;
use super::support::{Host, Run, processes, runs};

/// A run called `name` whose payload does `script`, says `ready` and waits.
fn start(host: &Host, name: &str, args: &[&str], script: &str) -> Run {
    let script = format!("{script}\necho ready; while :; do sleep 0.01; done");
    let flags = ["run", "--name", name];
    let command = ["busybox:test", "sh", "-c", &script];
    let args = [&flags[..], args, &command].concat();
    Run::ready(&mut runs::hearing(&host.command(&args)))
}

#[test]
fn stop_ends_a_run_and_prints_its_name_when_nothing_is_left() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let run = start(&host, "web", &[init], "trap 'exit 7' TERM");
        let verdict = host.airtight(&["stop", "web"]);
        assert_eq!(verdict.ok(), "web\n");
        host.assert_clean();
        let output = run.end();
        assert_eq!((output.code, output.stderr.as_str()), (7, ""));
    }
}

#[test]
fn a_run_is_stopped_by_the_beginning_of_its_id_and_by_the_whole_of_its_name() {
    let host = Host::new();
    let ids = ["a000000000000001", "a000000000000002", "etl-prod"];
    let [a, b, c] = ids.map(|id| start(&host, id, &[], ""));
    let several = host.airtight(&["stop", "a0"]);
    assert_eq!((several.code, several.stdout.as_str()), (1, ""));
    assert!(several.stderr.contains(&ids[..2].join(", ")), "{several:?}");
    // Another run's name may begin so.
    assert_eq!(host.airtight(&["stop", "etl"]).code, 1);
    for (id, run) in ids.into_iter().zip([a, b, c]) {
        host.airtight(&["stop", id]).ok();
        assert_eq!(run.end().code, 143);
    }
    let run = start(&host, ids[0], &[], "");
    assert_eq!(host.airtight(&["stop", "a00"]).ok(), "a00\n");
    assert_eq!(run.end().code, 143);
}

#[test]
fn signal_and_timeout_of_the_command_count_instead_of_the_run_s() {
    let host = Host::new();
    let traps = "trap '' TERM; trap 'exit 9' INT";
    let run = start(&host, "a", &[], traps);
    host.airtight(&["stop", "-s", "INT", "a"]).ok();
    assert_eq!(run.end().code, 9);
    for zero in [&["-t", "0"][..], &["--time=0"], &["--timeout", "0s"]] {
        let run = start(&host, "a", &["--stop-timeout", "1h"], traps);
        host.airtight(&[&["stop"], zero, &["a"]].concat()).ok();
        assert_eq!(run.end().code, 137);
    }
}

#[test]
fn a_second_stop_can_make_the_first_one_shorter() {
    let host = Host::new();
    let mut run = start(&host, "a", &[], "trap 'echo asked' TERM");
    let patient = Run::start(&mut host.command(&["stop", "-t", "-1", "a"]));
    assert_eq!(run.line(), "asked");
    assert_eq!(host.airtight(&["stop", "-t", "0", "a"]).ok(), "a\n");
    assert_eq!(patient.end().ok(), "a\n");
    assert_eq!(run.end().code, 137);
}

#[test]
fn several_are_stopped_at_once_and_one_that_is_none_keeps_nobody() {
    let host = Host::new();
    let all = ["a", "b", "c"].map(|name| start(&host, name, &[], "trap '' TERM"));
    let output = host.airtight(&["stop", "-t", "1", "a", "nobody", "b", "c"]);
    assert_eq!(output.code, 1);
    let mut stopped: Vec<_> = output.stdout.lines().collect();
    stopped.sort_unstable();
    assert_eq!(stopped, ["a", "b", "c"]);
    assert!(output.stderr.contains("no run \"nobody\""), "{output:?}");
    for run in all {
        assert_eq!(run.end().code, 137);
    }
}

#[test]
fn an_owner_that_hangs_is_done_without_and_that_is_said() {
    let host = Host::new();
    for verb in ["stop", "kill"] {
        let run = start(&host, "a", &[], "");
        run.signal(Signal::SIGSTOP);
        let output = host.airtight(&[verb, "a"]);
        assert_eq!((output.code, output.stdout.as_str()), (0, "a\n"));
        let words = format!("process {}, does not answer", run.pid());
        assert!(output.stderr.contains(&words), "{output:?}");
        assert_eq!(processes::below(&host.subpath()), [0; 0]);
        run.signal(Signal::SIGCONT);
        assert_eq!(run.end().code, 137);
        host.assert_clean();
    }
}

#[test]
fn a_run_that_is_about_to_start_is_stopped_before_it_does() {
    let host = Host::new();
    let mut command = host.command(&["run", "--name", "a", "busybox:test", "sleep", "1000"]);
    let run = Run::start(command.env("AIRTIGHT_TEST_STEP", "files:STOP"));
    processes::until("it has a socket to be asked through", || {
        host.state().join("a/control").exists()
    });
    let stop = Run::start(&mut host.command(&["stop", "a"]));
    processes::until("it has stopped itself", || {
        std::fs::read_to_string(format!("/proc/{}/stat", run.pid()))
            .is_ok_and(|stat| stat.contains(") T "))
    });
    run.signal(Signal::SIGCONT);
    assert_eq!(stop.end().ok(), "a\n");
    assert_eq!(run.end().code, 143);
}

#[test]
fn a_stop_needs_no_containerd() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let run = start(&host, "a", &[], "trap 'exit 4' TERM");
    containerd.signal(Signal::SIGSTOP);
    let stop = Run::start(&mut host.command(&["stop", "a"]));
    host.until_nobody_is_inside();
    containerd.signal(Signal::SIGCONT);
    assert_eq!(stop.end().ok(), "a\n");
    assert_eq!(run.end().code, 4);
}

/// A connection to the owner of run `a`.
fn connection(host: &Host) -> OwnedFd {
    let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    let address = SocketAddrUnix::new(host.state().join("a/control")).unwrap();
    connect(&socket, &address).unwrap();
    socket
}

#[test]
fn clients_that_say_nothing_or_nonsense_do_not_disturb_a_run() {
    let host = Host::new();
    let mut run = start(&host, "a", &[], "trap 'echo here' USR1");
    let silent: Vec<_> = (0..100).map(|_| connection(&host)).collect();
    for number in 0..1000 {
        let talker = connection(&host);
        let nonsense = vec![b'{'; number * 64];
        send(&talker, &nonsense, SendFlags::NOSIGNAL).unwrap();
    }
    host.airtight(&["kill", "-s", "USR1", "a"]).ok();
    assert_eq!(run.line(), "here");
    host.airtight(&["stop", "a"]).ok();
    drop(silent);
    assert_eq!(run.end().code, 143);
}

#[test]
fn an_airtight_of_another_version_is_refused_with_the_reason() {
    let host = Host::new();
    let run = start(&host, "a", &[], "");
    let newer = connection(&host);
    let request = br#"{"version": 99, "says": {"dance": "now"}}"#;
    send(&newer, request, SendFlags::empty()).unwrap();
    let mut answer = [0; 4096];
    let (length, _) = recv(&newer, &mut answer, RecvFlags::empty()).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.contains("version 99"), "{answer}");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().code, 143);
}
