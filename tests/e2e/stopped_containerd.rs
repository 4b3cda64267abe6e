//! A containerd that does not answer for a while: the payload and its end do not need it.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::containerd::Containerd;
use super::support::{self, Host, Run, processes};

#[test]
fn a_payload_s_code_and_output_survive_a_containerd_that_stands_still() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    for (init, code) in [("--init", 5), ("--no-init", 6)] {
        let script = format!("echo ready; cat; exit {code}");
        let args = ["run", init, "-i", "busybox:test", "sh", "-c", &script];
        let mut run = Run::ready(host.command(&args).stdin(Stdio::piped()));
        containerd.signal(Signal::SIGSTOP);
        run.write(b"while it stands still\n");
        assert_eq!(run.line(), "while it stands still");
        if init == "--init" {
            // Its end too: the init is the one that says so.
            run.close_stdin();
            host.until_nobody_is_inside();
        }
        // As long as the fault is to last.
        sleep(Duration::from_secs(3));
        containerd.signal(Signal::SIGCONT);
        let output = run.end();
        assert_eq!((output.code, output.stderr.as_str()), (code, ""), "{init}");
        host.assert_clean();
    }
}

#[test]
fn a_stop_does_not_wait_for_containerd() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    for script in [
        "echo ready; exec sleep 1000",
        "trap '' TERM; echo ready; sleep 1000",
    ] {
        let args = [
            "run",
            "--stop-timeout",
            "0",
            "busybox:test",
            "sh",
            "-c",
            script,
        ];
        let run = Run::ready(&mut host.command(&args));
        containerd.signal(Signal::SIGSTOP);
        run.signal(Signal::SIGTERM);
        host.until_nobody_is_inside();
        containerd.signal(Signal::SIGCONT);
        assert!(matches!(run.end().code, 137 | 143));
        host.assert_clean();
    }
}

#[test]
fn dead_runs_beside_a_containerd_that_stands_still_keep_nobody_waiting_and_have_no_process_left() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let payload = ["busybox:test", "sh", "-c", "echo ready; exec sleep 1000"];
    let start = |name| {
        let args = [&["run", "--no-init", "--name", name], &payload[..]].concat();
        Run::ready(&mut host.command(&args))
    };
    let runs = ["first", "second"].map(start);
    containerd.signal(Signal::SIGSTOP);
    runs.into_iter().for_each(Run::destroy);
    // Another containerd, which is well, and a namespace in which there is nothing.
    let address = support::address();
    let args = ["image", "ls", "-q", "--address", address.to_str().unwrap()];
    let output = host.airtight(&args);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
    assert_eq!(processes::below(&host.subpath()), [0; 0]);
    for name in ["first", "second"] {
        let said = format!("run {name}, whose owner died: it waits for containerd");
        assert_eq!(output.stderr.matches(&said).count(), 1, "{output:?}");
    }
    containerd.signal(Signal::SIGCONT);
    host.airtight(&args).ok();
    host.assert_clean();
}

#[test]
fn a_run_that_is_stopped_while_containerd_stands_still_in_its_launch_ends() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    containerd.signal(Signal::SIGSTOP);
    let run = Run::start(&mut host.command(&["run", "--name", "n", "busybox:test", "true"]));
    run.signal(Signal::SIGTERM);
    containerd.signal(Signal::SIGCONT);
    assert!(matches!(run.end().code, 0 | 143));
}
