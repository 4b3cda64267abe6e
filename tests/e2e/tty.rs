//! `-t`: a terminal inside, and ours as its keyboard and screen.

use nix::sys::signal::Signal;

use super::support::terminal::{Session, pair};
use super::support::{Host, Output, Run, processes};

fn session(host: &Host, args: &[&str]) -> Session {
    Session::start(&host.command(&[&["run", "-it"], args].concat()), 33, 111)
}

#[test]
fn the_payload_has_a_terminal_of_its_own_with_our_size() {
    let host = Host::new();
    let script = "tty; stty size; test -t 0 -a -t 1 -a -t 2 && echo all three; exit 3";
    let mut session = session(&host, &["busybox:test", "sh", "-c", script]);
    session.sees("/dev/pts/0\r\n33 111\r\nall three\r\n");
    assert_eq!(session.end(), 3);
}

#[test]
fn a_new_size_of_our_terminal_reaches_the_payload() {
    let host = Host::new();
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done";
    let mut session = session(&host, &["busybox:test", "sh", "-c", script]);
    session.sees("ready\r\n");
    session.resize(50, 200);
    session.sees("50 200\r\n");
    processes::signal(session.pid(), Signal::SIGTERM);
    assert_eq!(session.end(), 143);
}

#[test]
fn our_terminal_is_raw_while_the_payload_runs_and_as_before_afterwards() {
    let host = Host::new();
    for (end, code) in [("exit 0", 0), ("kill -9 $$", 137)] {
        let script = format!("echo ready; read line; {end}");
        let mut session = session(&host, &["busybox:test", "sh", "-c", &script]);
        assert!(!session.is_raw());
        session.sees("ready\r\n");
        assert!(session.is_raw());
        session.keys("go\r");
        assert_eq!(session.end(), code);
        assert!(!session.is_raw(), "after {end}");
    }
}

#[test]
fn our_terminal_is_as_before_when_the_run_is_stopped() {
    let host = Host::new();
    let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut session = session(
        &host,
        &["--stop-timeout", "0", "busybox:test", "sh", "-c", script],
    );
    session.sees("ready\r\n");
    assert!(session.is_raw());
    processes::signal(session.pid(), Signal::SIGTERM);
    assert_eq!(session.end(), 137);
    assert!(!session.is_raw());
}

#[test]
fn ctrl_c_interrupts_the_payload_and_not_airtight() {
    let host = Host::new();
    let script = "trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.01; done";
    let mut session = session(&host, &["busybox:test", "sh", "-c", script]);
    session.sees("ready\r\n");
    session.keys("\u{3}");
    session.sees("caught\r\n");
    assert_eq!(session.end(), 6);
}

#[test]
fn a_shell_inside_has_job_control() {
    let host = Host::new();
    let mut session = session(&host, &["-e", "PS1=prompt> ", "busybox:test", "sh", "-i"]);
    session.sees("prompt> ");
    session.keys("sleep 1000\r");
    session.sees("sleep 1000\r\n");
    let sleeps = || {
        let inside = processes::below(&host.subpath());
        inside.iter().any(|pid| processes::name(*pid) == "sleep")
    };
    processes::until("the job runs", sleeps);
    session.keys("\u{1a}");
    session.sees("Stopped");
    session.sees("prompt> ");
    session.keys("fg\r");
    session.sees("\r\nsleep 1000\r\n");
    processes::until("the job is interrupted", || {
        session.keys("\u{3}");
        !sleeps()
    });
    session.sees("prompt> ");
    session.keys("exit 4\r");
    assert_eq!(session.end(), 4);
}

#[test]
fn the_end_of_input_is_a_key_too() {
    let host = Host::new();
    let mut session = session(&host, &["busybox:test", "cat"]);
    session.keys("line\r");
    session.sees("line\r\nline\r\n");
    session.keys("\u{4}");
    assert_eq!(session.end(), 0);
}

#[test]
fn everything_written_to_the_terminal_just_before_the_end_arrives() {
    let host = Host::new();
    let script = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done";
    let mut session = session(&host, &["busybox:test", "sh", "-c", script]);
    session.sees("line 1\r\n");
    session.sees("line 2000\r\n");
    assert_eq!(session.end(), 0);
}

#[test]
fn a_closed_terminal_ends_the_run() {
    let host = Host::new();
    let script = "echo ready; while :; do sleep 0.01; done";
    let mut session = session(&host, &["busybox:test", "sh", "-c", script]);
    session.sees("ready\r\n");
    let code = session.hang_up();
    assert_eq!(code, 129);
}

#[test]
fn a_terminal_without_i_writes_into_a_pipe() {
    let host = Host::new();
    let output = host.run(&[
        "-t",
        "busybox:test",
        "sh",
        "-c",
        "tty; echo err >&2; stty size",
    ]);
    assert_eq!(output.ok(), "/dev/pts/0\r\nerr\r\n24 80\r\n");
}

#[test]
fn a_payload_whose_terminal_nobody_reads_any_more_is_hung_up() {
    let host = Host::new();
    let args = [
        "run",
        "-t",
        "busybox:test",
        "sh",
        "-c",
        "echo ready; exec yes",
    ];
    let mut run = Run::start(&mut host.command(&args));
    assert_eq!(run.line(), "ready\r");
    run.close_stdout();
    assert_eq!(run.end().code, 129);
}

#[test]
fn i_with_t_needs_a_terminal() {
    let host = Host::new();
    host.run(&["-it", "busybox:test", "true"])
        .refused(&["-t", "terminal"]);
    let (_master, slave) = pair();
    let output = Output::of(
        host.command(&["run", "-it", "busybox:test", "true"])
            .stdin(slave),
    );
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_terminal_works_for_another_user_and_with_a_read_only_root() {
    let host = Host::new();
    for args in [&["-u", "1000"][..], &["--read-only"], &["--pid", "host"]] {
        let output = host.run(
            &[
                &["-t"],
                args,
                &["busybox:test", "sh", "-c", "tty && echo x >/dev/tty"],
            ]
            .concat(),
        );
        assert_eq!(output.ok(), "/dev/pts/0\r\nx\r\n", "{args:?}");
    }
}

#[test]
fn without_an_init_the_runtime_s_terminal_serves_as_well() {
    let host = Host::new();
    assert_eq!(
        host.run(&["-t", "--no-init", "busybox:test", "tty"]).ok(),
        "/dev/pts/0\r\n"
    );
    let script = "trap 'stty size' WINCH; trap 'echo caught; exit 6' INT
        echo ready; while :; do sleep 0.01; done";
    let mut session = session(&host, &["--no-init", "busybox:test", "sh", "-c", script]);
    session.sees("ready\r\n");
    session.resize(50, 200);
    session.sees("50 200\r\n");
    assert!(session.is_raw());
    session.keys("\u{3}");
    session.sees("caught\r\n");
    assert_eq!(session.end(), 6);
    assert!(!session.is_raw());
}
