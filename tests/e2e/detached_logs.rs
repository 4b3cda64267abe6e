//! The logs of detached runs: written without airtight, byte for byte, with limits.

use std::fs;

use nix::sys::signal::Signal;

use super::support::processes::{self, until};
use super::support::{Host, Output, Run};

/// Runs `script` to its end, detached and called `n`.
#[track_caller]
fn logged(host: &Host, args: &[&str], script: &str) -> String {
    let command = ["--name", "n", "busybox:test", "sh", "-c", script];
    host.run(&[&["-d"], args, &command].concat()).ok();
    host.airtight(&["wait", "n"]).ok()
}

#[track_caller]
fn logs(host: &Host, args: &[&str]) -> String {
    host.airtight(&[&["logs"], args, &["n"]].concat()).ok()
}

#[test]
fn both_streams_are_shown_where_they_were_written() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        logged(&host, &[init], "echo out; echo err >&2; printf end");
        let output = host.airtight(&["logs", "n"]);
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("out\nend", "err\n")
        );
        host.airtight(&["rm", "n"]).ok();
    }
}

#[test]
fn bytes_are_shown_as_they_were_written() {
    let host = Host::new();
    logged(&host, &["--log-opt", "max-size=-1"], "cat /bin/busybox");
    let bytes = |command: &mut std::process::Command| command.output().unwrap().stdout;
    let shown = bytes(&mut host.command(&["logs", "n"]));
    let expected = bytes(&mut host.command(&["run", "busybox:test", "cat", "/bin/busybox"]));
    assert!(expected.len() > 100_000);
    assert!(
        shown == expected,
        "{} of {} bytes",
        shown.len(),
        expected.len()
    );
    host.airtight(&["rm", "n"]).ok();
}

#[test]
fn a_terminal_s_output_is_logged() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        logged(
            &host,
            &["-t", init],
            "test -t 0 && test -t 1 && echo a terminal",
        );
        assert_eq!(logs(&host, &[]), "a terminal\r\n", "{init}");
        host.airtight(&["rm", "n"]).ok();
    }
}

#[test]
fn a_user_who_is_not_root_writes_to_it_by_name_too() {
    let host = Host::new();
    logged(&host, &["-u", "1000"], "echo one; echo two >/dev/stdout");
    assert_eq!(logs(&host, &[]), "one\ntwo\n");
    host.airtight(&["rm", "n"]).ok();
}

#[test]
fn no_more_is_kept_than_its_limits_say() {
    let host = Host::new();
    let limits = [
        "--log-driver",
        "json-file",
        "--log-opt",
        "max-size=10k",
        "--log-opt",
        "max-file=3",
    ];
    logged(&host, &limits, "seq 3000");
    let dir = host.data().join("runs/n/log");
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_name().to_str().unwrap().ends_with(".log") {
            files.push(entry.metadata().unwrap().len());
        }
    }
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|size| *size <= 10 << 10), "{files:?}");
    let shown = logs(&host, &[]);
    let lines: Vec<u32> = shown.lines().map(|line| line.parse().unwrap()).collect();
    let first = lines[0];
    assert!(first > 1000 && lines.iter().copied().eq(first..=3000));
    host.airtight(&["rm", "n"]).ok();
}

#[test]
fn lines_are_chosen_by_number_and_by_time() {
    let host = Host::new();
    logged(&host, &[], "seq 5");
    assert_eq!(logs(&host, &["--tail", "2"]), "4\n5\n");
    assert_eq!(logs(&host, &["-n", "0"]), "");
    assert_eq!(logs(&host, &["--since", "1h", "--tail", "1"]), "5\n");
    assert_eq!(logs(&host, &["--until", "1h"]), "");
    let line = logs(&host, &["-t", "--tail", "1"]);
    let (time, text) = line.split_once(' ').unwrap();
    assert_eq!(text, "5\n");
    assert_eq!(logs(&host, &["--since", time, "--tail", "1"]), "5\n");
    let refused = host.airtight(&["logs", "--since", "yesterday", "n"]);
    assert!(
        refused.code == 125 && refused.stderr.contains("10m"),
        "{refused:?}"
    );
    host.airtight(&["rm", "n"]).ok();
}

#[test]
fn a_time_without_a_zone_is_the_caller_s_local_time() {
    let host = Host::new();
    logged(&host, &[], "echo line");
    let line = logs(&host, &["-t"]);
    let time = line.split_once("Z ").unwrap().0;
    // East of Greenwich the clocks showed this hours ago, west of it they will hours from now.
    for (zone, shown) in [("UTC0", "line\n"), ("EAST-5", "line\n"), ("WEST5", "")] {
        let mut command = host.command(&["logs", "--since", time, "n"]);
        let output = Output::of(command.env("TZ", zone));
        assert_eq!(output.ok(), shown, "{zone}");
    }
    host.airtight(&["rm", "n"]).ok();
}

#[test]
fn following_shows_all_of_a_run_and_ends_with_it() {
    let host = Host::new();
    let limits = ["--log-opt", "max-size=10k", "--log-opt", "max-file=9"];
    let script = "echo ready; seq 1000; exec sleep 1000";
    let command = ["--name", "n", "busybox:test", "sh", "-c", script];
    host.run(&[&["-d"], &limits[..], &command].concat()).ok();
    let mut following = Run::ready(&mut host.command(&["logs", "-f", "n"]));
    for number in 1..=1000 {
        assert_eq!(following.line(), number.to_string());
    }
    host.airtight(&["rm", "-f", "n"]).ok();
    assert_eq!(following.end().code, 0);
}

#[test]
fn following_ends_when_the_owner_is_killed_and_undoes_what_it_left() {
    let host = Host::new();
    let script = "echo ready; exec sleep 1000";
    host.run(&["-d", "--name", "n", "busybox:test", "sh", "-c", script])
        .ok();
    let following = Run::ready(&mut host.command(&["logs", "-f", "n"]));
    processes::signal(host.owner("n"), Signal::SIGKILL);
    assert_eq!(following.end().code, 0);
    host.airtight(&["rm", "n"]).ok();
    host.assert_clean();
}

#[test]
fn a_prompt_is_seen_however_busy_the_other_stream_is() {
    let host = Host::new();
    let script = "printf 'name? '; while echo busy >&2; do sleep 0.01; done";
    let args = ["-d", "--name", "n", "busybox:test", "sh", "-c", script];
    host.run(&args).ok();
    until("the prompt is logged", || {
        host.airtight(&["logs", "n"]).stdout == "name? "
    });
    host.airtight(&["rm", "-f", "n"]).ok();
}

#[test]
fn output_is_kept_while_the_owner_stands_still() {
    let host = Host::new();
    let script = "while :; do echo tick; sleep 0.05; done";
    host.run(&["-d", "--name", "n", "busybox:test", "sh", "-c", script])
        .ok();
    let owner = host.owner("n");
    processes::signal(owner, Signal::SIGSTOP);
    let count = || host.airtight(&["logs", "n"]).ok().lines().count();
    let before = count();
    until("more is written", || count() > before + 3);
    processes::signal(owner, Signal::SIGCONT);
    host.airtight(&["rm", "-f", "n"]).ok();
}

#[test]
fn a_run_without_a_log_says_so() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        assert_eq!(
            logged(
                &host,
                &[init, "--log-driver", "none"],
                "echo nowhere; exit 2"
            ),
            "2\n"
        );
        let refused = host.airtight(&["logs", "n"]);
        assert!(refused.stderr.contains("--log-driver none"), "{refused:?}");
        host.airtight(&["rm", "n"]).ok();
    }
    host.run(&["-d", "--log-driver", "journald", "busybox:test"])
        .refused(&["journald", "local"]);
    host.run(&["-d", "--log-opt", "tag=x", "busybox:test"])
        .refused(&["tag=x", "max-size"]);
}

#[test]
fn a_long_line_needs_no_memory() {
    let host = Host::new();
    let script = "head -c 30000000 /dev/zero; echo; exec sleep 1000";
    let args = [
        "-d",
        "--name",
        "n",
        "--log-opt",
        "max-size=1m",
        "busybox:test",
        "sh",
        "-c",
        script,
    ];
    host.run(&args).ok();
    let last = |args: &[&str]| {
        let output = host.command(&[&["logs"], args, &["n"]].concat()).output();
        output.unwrap().stdout.last().copied()
    };
    until("it is written", || last(&[]) == Some(b'\n'));
    let (writer, _) = processes::arguments()
        .find(|(_, words)| {
            words.contains("log-writer") && words.contains(host.data().to_str().unwrap())
        })
        .unwrap();
    let status = fs::read_to_string(format!("/proc/{writer}/status")).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u32 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 30_000, "{peak}");
    host.airtight(&["rm", "-f", "n"]).ok();
}

#[test]
fn following_a_run_that_is_removed_at_its_end_shows_all_of_it() {
    let host = Host::new();
    let script = "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done";
    let begin = [
        "run",
        "-d",
        "--rm",
        "--name",
        "n",
        "busybox:test",
        "sh",
        "-c",
        script,
    ];
    host.airtight(&begin).ok();
    assert_eq!(host.airtight(&["logs", "-f", "n"]).ok(), "1\n2\n3\n4\n5\n");
}
