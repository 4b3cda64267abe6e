//! The exit code is the payload's own, and the verdict says why.

use std::os::unix::process::ExitStatusExt;

use super::support::Host;

#[test]
fn a_payload_s_own_code_is_the_exit_code() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for code in [0, 1, 2, 42, 124, 125, 126, 127, 128, 137, 254, 255] {
            let exit = format!("exit {code}");
            let (output, verdict) = host.verdict(&[init, "busybox:test", "sh", "-c", &exit]);
            assert_eq!(output.code, code, "{init}");
            assert_eq!(verdict["cause"], "exited", "{init} {code}");
        }
    }
}

#[test]
fn death_by_signal_n_is_128_and_n() {
    let host = Host::new();
    for signal in [1, 2, 6, 9, 11, 13, 15, 31, 34, 64] {
        let kill = format!("kill -{signal} $$");
        let (output, verdict) = host.verdict(&["busybox:test", "sh", "-c", &kill]);
        assert_eq!(output.code, 128 + signal);
        assert_eq!(
            (&verdict["cause"], &verdict["signal"]),
            (&"signaled".into(), &signal.into())
        );
    }
}

#[test]
fn without_an_init_the_payload_is_pid_1_and_dies_of_no_signal_of_its_own() {
    let host = Host::new();
    let script = "kill -TERM $$; kill -KILL $$; echo $$";
    assert_eq!(
        host.run(&["--no-init", "busybox:test", "sh", "-c", script])
            .ok(),
        "1\n"
    );
}

#[test]
fn a_payload_that_ends_at_once_is_not_missed() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for _ in 0..10 {
            assert_eq!(host.run(&[init, "busybox:test", "false"]).code, 1, "{init}");
        }
    }
}

#[test]
fn a_run_that_cannot_start_is_125_126_or_127_and_the_verdict_says_why() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for (args, code, reason) in [
            (&["busybox:test", "nosuch"][..], 127, "nosuch"),
            (&["busybox:test", "/etc/passwd"], 126, "/etc/passwd"),
            (
                &["--runtime-binary", "/nosuch", "busybox:test"],
                125,
                "/nosuch",
            ),
        ] {
            let (output, verdict) = host.verdict(&[&[init], args].concat());
            let seen = (output.code, &verdict["cause"]);
            assert_eq!(seen, (code, &"start-failed".into()), "{init}");
            let said = verdict["reason"].as_str().unwrap();
            assert!(said.contains(reason), "{init}: {said}");
        }
    }
}

#[test]
fn as_payload_means_the_same_code_or_death_by_the_same_signal() {
    let host = Host::new();
    let end = |args: &[&str]| {
        let mut command = host.command(&[&["run", "--as-payload"], args].concat());
        let status = command.output().unwrap().status;
        (status.code(), status.signal())
    };
    for code in [0, 3, 125] {
        let exit = format!("exit {code}");
        assert_eq!(
            end(&["busybox:test", "sh", "-c", &exit]),
            (Some(code), None)
        );
    }
    for signal in [1, 6, 9, 11, 15] {
        let kill = format!("kill -{signal} $$");
        assert_eq!(
            end(&["busybox:test", "sh", "-c", &kill]),
            (None, Some(signal))
        );
    }
    assert_eq!(
        end(&["--timeout", "1s", "busybox:test", "sleep", "60"]),
        (None, Some(15))
    );
    for failing in [
        &["nosuch:image"][..],
        &["busybox:test", "nosuch"],
        &["-m", "1", "busybox:test"],
    ] {
        assert_eq!(end(failing), (Some(121), None), "{failing:?}");
    }
}
