//! The shim dies or stands still: nobody hangs, nothing is left, and no code is made up.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::support::{Host, Output, Run, processes, runs};

/// Longer than any of it takes by itself: the limits of airtight added up, on a busy machine.
const BOUND: Duration = Duration::from_secs(55);

/// A run called `victim`, whose payload says that it is ready.
fn start(host: &Host, init: &str, script: &str) -> Run {
    let path = host.path("verdict.json").display().to_string();
    let args = ["run", init, "--name", "victim", "--stop-timeout", "0"];
    let script = format!("echo ready; {script}");
    let payload = ["busybox:test", "sh", "-c", &script];
    let args = [&args[..], &["--verdict", &path, "-i"], &payload].concat();
    Run::ready(host.command(&args).stdin(std::process::Stdio::piped()))
}

fn signal_shim(host: &Host, signal: Signal) {
    let shims = processes::shims(host.namespace(), "victim");
    assert_eq!(shims.len(), 1, "{shims:?}");
    processes::signal(shims[0], signal);
}

/// Its end and what the verdict says, in bounded time, with nothing left.
#[track_caller]
fn ended(host: &Host, run: Run) -> (Output, String) {
    let start = Instant::now();
    let output = run.end();
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    let verdict = runs::verdict(&host.path("verdict.json"));
    assert_eq!(verdict["exit_code"], output.code, "{verdict}");
    host.assert_clean();
    let cause = verdict["cause"].as_str().unwrap_or_default();
    (output, cause.to_owned())
}

#[test]
fn a_shim_that_is_killed_takes_its_task_with_it_and_that_is_no_code_of_the_payload() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let run = start(&host, init, "exec sleep 1000");
        signal_shim(&host, Signal::SIGKILL);
        let (output, cause) = ended(&host, run);
        // containerd kills what it has lost sight of.
        let right = matches!(
            (output.code, cause.as_str()),
            (125, "lost") | (137, "signaled")
        );
        assert!(right, "{init}: {cause}: {output:?}");
    }
}

#[test]
fn a_payload_with_an_init_ends_as_it_ends_though_its_shim_stands_still() {
    let host = Host::new();
    let run = start(&host, "--init", "cat; exit 7");
    signal_shim(&host, Signal::SIGSTOP);
    let (output, cause) = ended(&host, run);
    assert_eq!((output.code, cause.as_str()), (7, "exited"), "{output:?}");
    assert_eq!(output.stderr, "");
}

#[test]
fn a_payload_whose_shim_stands_still_is_stopped_all_the_same() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let run = start(
            &host,
            init,
            "trap 'exit 7' TERM; while :; do sleep 0.1; done",
        );
        signal_shim(&host, Signal::SIGSTOP);
        run.signal(Signal::SIGTERM);
        let (output, cause) = ended(&host, run);
        // 143: containerd had not even said that it was started.
        let right = matches!(output.code, 7 | 137 | 143) && cause == "stopped";
        assert!(right, "{init}: {cause}: {output:?}");
    }
}

#[test]
fn a_payload_without_an_init_whose_shim_stands_still_for_good_is_lost() {
    let host = Host::new();
    let run = start(&host, "--no-init", "exec sleep 1");
    signal_shim(&host, Signal::SIGSTOP);
    let (output, cause) = ended(&host, run);
    assert_eq!((output.code, cause.as_str()), (125, "lost"), "{output:?}");
}

#[test]
fn a_shim_that_stands_still_for_a_while_changes_no_result() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let mut run = start(&host, init, "cat; exit 7");
        signal_shim(&host, Signal::SIGSTOP);
        run.write(b"meanwhile\n");
        run.close_stdin();
        // As long as the fault is to last.
        std::thread::sleep(Duration::from_secs(2));
        for shim in processes::shims(host.namespace(), "victim") {
            processes::signal(shim, Signal::SIGCONT);
        }
        let (output, cause) = ended(&host, run);
        assert_eq!(
            (output.code, cause.as_str()),
            (7, "exited"),
            "{init}: {output:?}"
        );
        assert_eq!(output.stdout, "meanwhile\n", "{init}");
    }
}

#[test]
fn a_shim_that_dies_while_its_payload_is_stopped_leaves_nothing() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
            let args = ["run", init, "--name", "victim", "--stop-timeout", "1"];
            let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
            let path = host.path("verdict.json").display().to_string();
            let payload = ["--verdict", &path, "busybox:test", "sh", "-c", script];
            let args = [&args[..], &payload].concat();
            let mut command = host.command(&args);
            let run = Run::ready(command.env("AIRTIGHT_TEST_STEP", "stop:STOP"));
            run.signal(Signal::SIGTERM);
            processes::until("it stands still", || processes::is_stopped(run.pid()));
            signal_shim(&host, signal);
            run.signal(Signal::SIGCONT);
            let (output, cause) = ended(&host, run);
            let right = matches!(
                (output.code, cause.as_str()),
                (125, "lost") | (137, "stopped")
            );
            assert!(right, "{init} {signal}: {cause}: {output:?}");
        }
    }
}

#[test]
fn payloads_that_end_at_once_have_their_codes_and_their_output() {
    let host = Host::new();
    for number in 0..30 {
        let init = ["--init", "--no-init"][number % 2];
        let code = number % 5;
        let script = format!("echo {number}; exit {code}");
        let output = host.run(&[init, "busybox:test", "sh", "-c", &script]);
        let expected = (i32::try_from(code).unwrap(), format!("{number}\n"));
        assert_eq!((output.code, output.stdout), expected, "{}", output.stderr);
    }
}
