//! `airtight kill`: signals to the payloads of living runs.

use super::support::{Host, Run, runs};

/// A run called `a` whose payload does `script`, says `ready` and waits.
fn start(host: &Host, args: &[&str], script: &str) -> Run {
    let script = format!("{script}\necho ready; while :; do sleep 0.01; done");
    let command = ["busybox:test", "sh", "-c", &script];
    let args = [&["run", "--name", "a"], args, &command].concat();
    Run::ready(&mut runs::hearing(&host.command(&args)))
}

#[test]
fn without_a_signal_the_payload_is_killed() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let run = start(&host, &[init], "trap '' TERM");
        assert_eq!(host.airtight(&["kill", "a"]).ok(), "a\n");
        assert_eq!(run.end().code, 137, "{init}");
    }
}

#[test]
fn any_signal_reaches_the_payload_and_the_run_goes_on() {
    let host = Host::new();
    for args in [&["--init"][..], &["--no-init"], &["-u", "1000"]] {
        let traps = "trap 'echo usr1' USR1; trap 'echo three' 37; trap 'exit 5' HUP";
        let mut run = start(&host, args, traps);
        for (signal, said) in [("USR1", "usr1"), ("sigusr1", "usr1"), ("RTMIN+3", "three")] {
            assert_eq!(host.airtight(&["kill", "-s", signal, "a"]).ok(), "a\n");
            assert_eq!(run.line(), said, "{args:?}");
        }
        host.airtight(&["kill", "--signal=1", "a"]).ok();
        assert_eq!(run.end().code, 5);
    }
}

#[test]
fn a_signal_that_there_is_not_and_a_run_that_there_is_not_are_refused() {
    let host = Host::new();
    host.airtight(&["kill", "-s", "FOO", "a"])
        .refused(&["no such signal"]);
    let output = host.airtight(&["kill", "a"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.contains("there is no run \"a\""),
        "{output:?}"
    );
}
