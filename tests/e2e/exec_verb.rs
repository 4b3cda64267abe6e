//! `airtight exec`: commands beside the payload of a living run.

use std::process::Stdio;

use nix::sys::signal::Signal;

use super::support::containerd::Containerd;
use super::support::terminal::Session;
use super::support::{Host, Output, Run, processes, runs};

/// A run called `web` that waits.
fn start(host: &Host, args: &[&str]) -> Run {
    let script = "echo ready; while :; do sleep 0.01; done";
    let command = ["busybox:test", "sh", "-c", script];
    let args = [&["run", "--name", "web"], args, &command].concat();
    let run = Run::ready(&mut runs::hearing(&host.command(&args)));
    processes::until("its owner takes orders", || {
        host.airtight(&["exec", "web", "true"]).code == 0
    });
    run
}

#[track_caller]
fn stop(host: &Host, run: Run) {
    host.airtight(&["kill", "web"]).ok();
    assert_eq!(run.end().code, 137);
    host.assert_clean();
}

/// The processes inside that were started with `argument`.
fn inside(host: &Host, argument: &str) -> usize {
    let inside = processes::below(&host.subpath());
    let all = processes::arguments();
    all.filter(|(pid, text)| inside.contains(pid) && text.split('\0').any(|one| one == argument))
        .count()
}

#[test]
fn a_command_runs_beside_the_payload_and_its_streams_and_code_are_ours() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let run = start(&host, &[init]);
        let output = host.airtight(&["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (7, "out\n", "err\n")
        );
        let killed = host.airtight(&["exec", "web", "sh", "-c", "kill -9 $$"]);
        assert_eq!(killed.code, 137);
        let mut command = host.command(&["exec", "-i", "web", "cat"]);
        assert_eq!(Output::with_stdin(&mut command, b"in\n").ok(), "in\n");
        assert_eq!(host.airtight(&["exec", "-i", "web", "cat"]).ok(), "");
        let large = "head -c 3000000 /dev/zero";
        let output = host.airtight(&["exec", "web", "sh", "-c", large]);
        assert_eq!((output.code, output.stdout.len()), (0, 3_000_000));
        stop(&host, run);
    }
}

#[test]
fn a_command_that_cannot_be_run_is_126_or_127_and_our_own_failures_are_125() {
    let host = Host::new();
    let run = start(&host, &[]);
    assert_eq!(host.airtight(&["exec", "web", "nosuch"]).code, 127);
    assert_eq!(host.airtight(&["exec", "web", "/etc"]).code, 126);
    host.airtight(&["exec", "nobody", "true"])
        .refused(&["there is no run \"nobody\""]);
    host.airtight(&["exec", "web"])
        .refused(&["no command is given"]);
    host.airtight(&["exec", "-u", "nobodyhere", "web", "id"])
        .refused(&["there is no user \"nobodyhere\""]);
    host.airtight(&["exec", "-it", "web", "sh"])
        .refused(&["needs a terminal"]);
    stop(&host, run);
}

#[test]
fn it_has_the_run_s_user_variables_directory_limits_and_powers() {
    let host = Host::new();
    let flags = [
        "-u",
        "1000",
        "-e",
        "A=1",
        "-w",
        "/tmp",
        "--ulimit",
        "nofile=77",
    ];
    let run = start(&host, &[&flags[..], &["--cap-drop", "ALL"]].concat());
    let show = "id -u; echo $A $HOME; pwd; ulimit -n; grep -E 'CapBnd|Seccomp:' /proc/self/status";
    let expected = "1000\n1 /home/app\n/tmp\n77\nCapBnd:\t0000000000000000\nSeccomp:\t2\n";
    assert_eq!(
        host.airtight(&["exec", "web", "sh", "-c", show]).ok(),
        expected
    );
    let cgroup = "cat /proc/self/cgroup";
    let of_payload = host
        .airtight(&["exec", "web", "cat", "/proc/1/cgroup"])
        .ok();
    let of_command = host.airtight(&["exec", "web", "sh", "-c", cgroup]).ok();
    assert_eq!(of_payload, of_command);
    stop(&host, run);
}

#[test]
fn another_user_variables_directory_and_powers_can_be_asked_for() {
    let host = Host::new();
    let run = start(&host, &["-e", "A=1"]);
    std::fs::write(host.path("file"), "B=file\nC=file\n").unwrap();
    let file = host.path("file");
    let flags = [
        "-u",
        "app",
        "-w",
        "/tmp",
        "--env-file",
        file.to_str().unwrap(),
    ];
    let more = ["-eC=flag", "-e", "D", "web", "sh", "-c"];
    let show = "id -un; pwd; echo $HOME $A $B $C $D";
    let mut command = host.command(&[&["exec"], &flags[..], &more[..], &[show]].concat());
    let output = Output::of(command.env("D", "ours"));
    assert_eq!(output.ok(), "app\n/tmp\n/home/app 1 file flag ours\n");
    let show = "grep CapEff /proc/self/status";
    let of_run = host.airtight(&["exec", "web", "sh", "-c", show]).ok();
    let all = host
        .airtight(&["exec", "--privileged", "web", "sh", "-c", show])
        .ok();
    assert_ne!(of_run, all);
    stop(&host, run);
}

#[test]
fn a_terminal_is_raw_has_our_size_and_is_as_before_afterwards() {
    let host = Host::new();
    let run = start(&host, &[]);
    let command = host.command(&["exec", "-it", "-e", "PS1=prompt> ", "web", "sh"]);
    let mut session = Session::start(&command, 33, 111);
    session.sees("prompt> ");
    assert!(session.is_raw());
    session.keys("stty size; echo $TERM; tty\r");
    session.sees("33 111\r\nxterm\r\n/dev/pts/");
    session.sees("prompt> ");
    session.keys("sh -c 'echo now; exec sleep 1000'\r");
    session.sees("\nnow\r\n");
    session.keys("\u{3}");
    session.sees("prompt> ");
    session.keys("exit 6\r");
    assert_eq!(session.end(), 6);
    assert!(!session.is_raw());
    stop(&host, run);
}

#[test]
fn a_new_size_of_our_terminal_reaches_the_command() {
    let host = Host::new();
    let run = start(&host, &[]);
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done";
    let command = host.command(&["exec", "-it", "web", "sh", "-c", script]);
    let mut session = Session::start(&command, 33, 111);
    session.sees("ready\r\n");
    session.resize(50, 200);
    session.sees("50 200\r\n");
    processes::signal(session.pid(), Signal::SIGTERM);
    assert_eq!(session.end(), 143);
    assert!(!session.is_raw());
    stop(&host, run);
}

#[test]
fn signals_to_airtight_are_for_the_command() {
    let host = Host::new();
    let run = start(&host, &[]);
    let traps =
        "trap 'echo usr1' USR1; trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done";
    let command = host.command(&["exec", "web", "sh", "-c", traps]);
    let mut exec = Run::ready(&mut runs::hearing(&command));
    exec.signal(Signal::SIGUSR1);
    assert_eq!(exec.line(), "usr1");
    exec.signal(Signal::SIGTERM);
    assert_eq!(exec.end().code, 4);
    stop(&host, run);
}

#[test]
fn an_interrupt_ends_it_before_the_command_runs_and_nothing_runs_later() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let run = start(&host, &[]);
    containerd.signal(Signal::SIGSTOP);
    let command = host.command(&["exec", "web", "sleep", "4321"]);
    let exec = Run::start(&mut runs::hearing(&command));
    processes::until("it hears signals", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", exec.pid()));
        let caught = status.unwrap_or_default();
        let mask = caught.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.unwrap_or_default() >> (Signal::SIGINT as u32 - 1) & 1 == 1
    });
    exec.signal(Signal::SIGINT);
    let output = exec.end();
    containerd.signal(Signal::SIGCONT);
    assert_eq!((output.code, output.stdout.as_str()), (130, ""));
    assert_eq!(inside(&host, "4321"), 0);
    stop(&host, run);
}

#[test]
fn a_command_dies_with_its_airtight_and_what_it_has_started_too() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let run = start(&host, &[init]);
        let script = "sleep 4321 & sleep 4321 & echo ready; wait";
        let exec = Run::ready(&mut host.command(&["exec", "web", "sh", "-c", script]));
        processes::until("both are executed", || inside(&host, "4321") == 2);
        exec.destroy();
        processes::until("nothing of the command is left", || {
            inside(&host, "4321") == 0
        });
        processes::until("its directory is gone", || {
            let entries = std::fs::read_dir(host.state().join("web")).unwrap();
            let mut names = entries.map(|entry| entry.unwrap().file_name());
            !names.any(|name| name.to_string_lossy().starts_with("exec-"))
        });
        // The payload has seen nothing of it.
        assert_eq!(host.airtight(&["exec", "web", "true"]).code, 0);
        stop(&host, run);
    }
}

#[test]
fn a_detached_command_goes_on_until_the_run_ends() {
    let host = Host::new();
    let run = start(&host, &[]);
    assert_eq!(
        host.airtight(&["exec", "-d", "web", "sleep", "4321"]).ok(),
        ""
    );
    processes::until("it runs", || inside(&host, "4321") == 1);
    assert_eq!(host.airtight(&["exec", "-d", "web", "nosuch"]).code, 127);
    stop(&host, run);
}

/// What the shim has of commands beside the payload: the files with their pids, in its working directory.
fn known_to_shim(host: &Host) -> usize {
    let shims = processes::shims(host.namespace(), "web");
    let entries = shims
        .iter()
        .flat_map(|shim| std::fs::read_dir(format!("/proc/{shim}/cwd")).unwrap());
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.ends_with(".pid") && name != "init.pid")
        .count()
}

#[test]
fn a_detached_command_that_has_ended_is_forgotten_and_what_it_left_goes_on() {
    let host = Host::new();
    let run = start(&host, &[]);
    for _ in 0..3 {
        host.airtight(&["exec", "-d", "web", "true"]).ok();
    }
    let leaves = "sleep 4321 & exit 3";
    host.airtight(&["exec", "-d", "web", "sh", "-c", leaves])
        .ok();
    host.airtight(&["exec", "-d", "web", "sleep", "1234"]).ok();
    processes::until("the others are forgotten", || known_to_shim(&host) == 1);
    assert_eq!((inside(&host, "4321"), inside(&host, "1234")), (1, 1));
    stop(&host, run);
}

#[test]
fn a_detached_command_whose_airtight_dies_as_it_begins_leaves_nothing() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let run = start(&host, &[]);
    let shims = processes::shims(host.namespace(), "web");
    let [shim] = shims[..] else {
        panic!("{shims:?}")
    };
    let of_owner = format!("/proc/{}/fd", run.pid());
    let descriptors = || std::fs::read_dir(&of_owner).unwrap().count();
    // What it has of the commands before is about to be closed.
    let looks = (0..20).map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        descriptors()
    });
    let before = looks.min().unwrap();
    processes::signal(shim, Signal::SIGSTOP);
    let exec = Run::start(&mut host.command(&["exec", "-d", "web", "sleep", "4321"]));
    processes::until("the owner guards it", || descriptors() > before);
    exec.destroy();
    processes::signal(shim, Signal::SIGCONT);
    processes::until("it is gone", || {
        inside(&host, "4321") + known_to_shim(&host) == 0
    });
    stop(&host, run);
}

#[test]
fn a_command_ends_with_the_run() {
    let host = Host::new();
    let run = start(&host, &[]);
    let script = "echo ready; exec sleep 1000";
    let exec = Run::ready(&mut host.command(&["exec", "web", "sh", "-c", script]));
    host.airtight(&["stop", "web"]).ok();
    assert_eq!(exec.end().code, 137);
    assert_eq!(run.end().code, 143);
}

#[test]
fn what_a_command_leaves_behind_does_not_hold_airtight() {
    let host = Host::new();
    let run = start(&host, &[]);
    let script = "sleep 4321 & echo started";
    let output = host.airtight(&["exec", "web", "sh", "-c", script]);
    assert_eq!(output.ok(), "started\n");
    assert_eq!(inside(&host, "4321"), 1);
    stop(&host, run);
}

#[test]
fn a_command_whose_output_nobody_reads_ends() {
    let host = Host::new();
    let run = start(&host, &[]);
    let mut command = host.command(&["exec", "web", "sh", "-c", "echo ready; cat /dev/zero"]);
    let mut exec = Run::ready(command.stderr(Stdio::null()));
    exec.close_stdout();
    assert_eq!(exec.end().code, 141);
    stop(&host, run);
}
