//! `run -d`: the owner goes on in the background, and what is kept of a run until it is removed.

use std::fs;
use std::io::{ErrorKind, Write, pipe};
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::processes::{self, until};
use super::support::{Host, Output, Run, runs};

fn inspect(host: &Host, id: &str) -> Value {
    let text = host.airtight(&["inspect", id]).ok();
    let mut all: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[track_caller]
fn rm(host: &Host, args: &[&str]) {
    host.airtight(&[&["rm"], args].concat()).ok();
    host.assert_clean();
}

#[test]
fn the_id_is_printed_alone_and_the_run_goes_on() {
    let host = Host::new();
    let id = host.run(&["-d", "busybox:test", "sleep", "1000"]).ok();
    assert_eq!(host.airtight(&["ps", "-q"]).ok(), id);
    assert!(!processes::below(&host.subpath()).is_empty());
    let id = id.trim_end();
    assert_eq!(inspect(&host, id)["state"], "running");
    rm(&host, &["-f", &id[..6]]);
}

#[test]
fn what_cannot_start_fails_as_in_the_foreground_and_leaves_nothing() {
    let host = Host::new();
    for (args, code, word) in [
        (&["busybox:test", "no-such"][..], 127, "no-such"),
        (&["busybox:test", "/etc"], 126, "/etc"),
        (&["absent:test", "true"], 125, "hint: pull it"),
        (&["-m", "1k", "busybox:test", "true"], 125, "at least 6m"),
        (&["--pass-fd", "1", "busybox:test"], 125, "its log"),
        (&["--no-init", "-i", "busybox:test"], 125, "needs the init"),
    ] {
        let output = host.run(&[&["-d"], args].concat());
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (code, ""),
            "{args:?}"
        );
        assert!(output.stderr.contains(word), "{args:?}: {}", output.stderr);
        host.assert_clean();
    }
}

#[test]
fn a_run_that_has_ended_is_kept_until_it_is_removed() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let script = "echo out; exit 3";
        let args = [
            "-d",
            init,
            "--name",
            "one",
            "busybox:test",
            "sh",
            "-c",
            script,
        ];
        assert_eq!(host.run(&args).ok(), "one\n");
        assert_eq!(host.airtight(&["wait", "one"]).ok(), "3\n");
        assert_eq!(host.airtight(&["wait", "one"]).ok(), "3\n");
        assert_eq!(host.airtight(&["logs", "one"]).ok(), "out\n");
        assert_eq!(host.airtight(&["ps", "-q"]).ok(), "");
        let listed = host.airtight(&["ps", "-a"]).ok();
        assert!(listed.contains("Exited (3) "), "{listed}");
        let one = inspect(&host, "one");
        assert_eq!(
            (&one["state"], &one["record"]),
            (&"exited".into(), &Value::Null)
        );
        assert_eq!(one["verdict"]["cause"], "exited");
        assert!(one["verdict"]["phases"].is_array(), "{one}");
        rm(&host, &["one"]);
    }
}

#[test]
fn a_run_that_is_not_there_is_1_and_a_wrong_command_line_125() {
    let host = Host::new();
    let one = ["stop", "kill", "logs", "rm", "wait", "inspect", "stats"];
    for verb in one {
        let output = host.airtight(&[verb, "nope"]);
        assert_eq!(output.code, 1, "{verb}: {output:?}");
        assert!(output.stderr.contains("there is no run \"nope\""), "{verb}");
        let wrong = host.airtight(&[verb, "--nope", "nope"]);
        assert_eq!(wrong.code, 125, "{verb}: {wrong:?}");
    }
    for verb in [
        &["exec", "nope", "true"][..],
        &["attach", "nope"],
        &["reap", "nope"],
    ] {
        assert_eq!(host.airtight(verb).code, 125, "{verb:?}");
    }
}

#[test]
fn what_is_not_there_is_no_failure_of_rm_f_and_keeps_inspect_from_no_other() {
    let host = Host::new();
    host.run(&["-d", "--name", "a", "busybox:test", "true"])
        .ok();
    host.airtight(&["wait", "a"]).ok();
    let inspected = host.airtight(&["inspect", "nope", "a"]);
    let all: Vec<Value> = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!((inspected.code, &all[0]["id"]), (1, &"a".into()));
    assert!(
        inspected.stderr.contains("no run \"nope\""),
        "{inspected:?}"
    );
    let removed = host.airtight(&["rm", "-f", "nope", "a"]);
    assert_eq!((removed.code, removed.stdout.as_str()), (0, "a\n"));
    assert!(removed.stderr.contains("no run \"nope\""), "{removed:?}");
}

#[test]
fn ps_lists_what_is_asked_for() {
    let host = Host::new();
    let run = |name: &str, args: &[&str]| {
        let args = [
            &["-d", "--name", name, "-i", "-l", "team=etl", "busybox:test"],
            args,
        ]
        .concat();
        host.run(&args).ok();
    };
    run("ended", &["sh", "-c", "exit 3"]);
    host.airtight(&["wait", "ended"]).ok();
    run("living", &["cat"]);
    for (args, listed) in [
        (&[][..], "living\n"),
        (&["-a"], "living\nended\n"),
        (&["--filter", "status=exited"], "ended\n"),
        (
            &["--filter", "status=exited", "--filter", "status=running"],
            "living\nended\n",
        ),
        (&["--filter", "exited=3"], "ended\n"),
        (&["--filter", "exited=4"], ""),
        (&["-a", "--filter", "name=end"], "ended\n"),
        (
            &["-a", "--filter", "label=team=etl", "--filter", "label=no"],
            "",
        ),
        (&["--filter", "ancestor=busybox"], "living\n"),
        (&["--filter", "image=busybox:test"], "living\n"),
        (&["--filter", "image=other"], ""),
    ] {
        assert_eq!(
            host.airtight(&[&["ps", "-q"], args].concat()).ok(),
            listed,
            "{args:?}"
        );
    }
    let json = host.airtight(&["ps", "-a", "--format", "json"]).ok();
    let runs: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&runs[0]["state"], &runs[1]["exit_code"]),
        (&"running".into(), &3.into())
    );
    assert_eq!(runs[0]["command"], serde_json::json!(["cat"]));
    rm(&host, &["-f", "ended", "living"]);
}

#[test]
fn with_rm_nothing_is_kept() {
    let host = Host::new();
    let args = ["-d", "--rm", "--name", "gone", "-i", "busybox:test", "cat"];
    host.run(&args).ok();
    let mut wait = Run::start(&mut host.command(&["wait", "gone"]));
    processes::signal(host.owner("gone"), Signal::SIGTERM);
    assert_eq!(wait.line(), "143");
    assert_eq!(wait.end().code, 0);
    until("nothing is kept", || {
        !host.data().join("runs/gone").exists()
    });
    assert_eq!(host.airtight(&["ps", "-aq"]).ok(), "");
}

#[test]
fn a_new_run_takes_the_place_of_an_ended_one_of_its_name_and_of_no_other() {
    let host = Host::new();
    let run = |word: &str| host.run(&["-d", "--name", "n", "busybox:test", "echo", word]);
    run("one").ok();
    host.airtight(&["wait", "n"]).ok();
    run("two").ok();
    host.airtight(&["wait", "n"]).ok();
    assert_eq!(host.airtight(&["logs", "n"]).ok(), "two\n");
    host.run(&["-d", "--name", "n", "-i", "busybox:test", "cat"])
        .ok();
    run("three").refused(&["the name n is in use"]);
    let refused = host.airtight(&["rm", "n"]);
    assert!(refused.code == 1 && refused.stderr.contains("is alive"));
    rm(&host, &["-f", "n"]);
}

#[test]
fn an_interactive_run_keeps_its_stdin_open_and_with_t_its_terminal() {
    let host = Host::new();
    for args in [&["-di"][..], &["-dit"], &["-dt"]] {
        let command = ["--name", "n", "busybox:test", "cat"];
        host.run(&[args, &command].concat()).ok();
        let mut wait = Run::start(&mut host.command(&["wait", "n"]));
        assert_eq!(host.airtight(&["ps", "-q"]).ok(), "n\n", "{args:?}");
        host.airtight(&["rm", "-f", "n"]).ok();
        assert_eq!(wait.line(), "143", "{args:?}");
        wait.end().ok();
        host.assert_clean();
    }
    host.run(&["-d", "--name", "n", "busybox:test", "cat"]).ok();
    assert_eq!(host.airtight(&["wait", "n"]).ok(), "0\n");
    rm(&host, &["n"]);
}

#[test]
fn an_owner_that_was_killed_leaves_its_run_lost_and_its_log() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let script = "echo ready; while :; do sleep 0.01; done";
        let args = [
            "-d",
            init,
            "--name",
            "n",
            "busybox:test",
            "sh",
            "-c",
            script,
        ];
        host.run(&args).ok();
        until("it has said so", || {
            host.airtight(&["logs", "n"]).stdout == "ready\n"
        });
        let wait = Run::start(&mut host.command(&["wait", "n"]));
        processes::signal(host.owner("n"), Signal::SIGKILL);
        let waited = wait.end();
        assert_eq!((waited.code, waited.stdout.as_str()), (1, "125\n"));
        assert!(
            waited.stderr.contains("run n was lost: its owner"),
            "{waited:?}"
        );
        let listed = host.airtight(&["ps", "-a"]).ok();
        assert!(listed.contains("Lost"), "{listed}");
        assert_eq!(host.airtight(&["logs", "n"]).ok(), "ready\n");
        assert_eq!(inspect(&host, "n")["verdict"]["cause"], "lost");
        rm(&host, &["n"]);
    }
}

#[test]
fn a_run_whose_state_directory_is_gone_lives_and_is_stopped_through_its_owner() {
    let host = Host::new();
    let script = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done";
    let args = ["-d", "--name", "v", "busybox:test", "sh", "-c", script];
    host.run(&args).ok();
    until("its trap is set", || {
        host.airtight(&["logs", "v"]).stdout == "ready\n"
    });
    let owner = host.owner("v");
    fs::rename(host.state(), host.path("elsewhere")).unwrap();
    assert_eq!(host.airtight(&["ps", "-q"]).ok(), "v\n");
    assert_eq!(inspect(&host, "v")["state"], "running");
    let refused = host.airtight(&["rm", "v"]);
    assert!(refused.code == 1 && refused.stderr.contains("is alive"));
    let killed = host.airtight(&["kill", "v"]);
    let hint = format!("kill -TERM {owner} ");
    assert!(
        killed.code == 1 && killed.stderr.contains(&hint),
        "{killed:?}"
    );
    let second = host.run(&["--name", "v", "busybox:test", "true"]);
    assert!(second.code == 125 && second.stderr.contains("the name v is in use"));
    assert!(!processes::below(&host.subpath()).is_empty());
    let stopped = host.airtight(&["stop", "v"]);
    assert_eq!((stopped.code, stopped.stdout.as_str()), (0, "v\n"));
    let told = format!("process {owner}, was told");
    assert!(stopped.stderr.contains(&told), "{stopped:?}");
    assert_eq!(processes::below(&host.subpath()), [0; 0]);
    let verdict = &inspect(&host, "v")["verdict"];
    assert_eq!(
        (&verdict["cause"], &verdict["exit_code"]),
        (&"stopped".into(), &4.into())
    );
    rm(&host, &["v"]);
}

#[test]
fn an_owner_that_was_killed_leaves_nothing_of_a_run_with_rm() {
    let host = Host::new();
    host.run(&["-d", "--rm", "--name", "n", "-i", "busybox:test", "cat"])
        .ok();
    processes::signal(host.owner("n"), Signal::SIGKILL);
    host.until_nobody_is_inside();
    assert_eq!(host.airtight(&["ps", "-aq"]).ok(), "");
}

#[test]
fn a_run_of_before_a_reboot_is_lost() {
    let host = Host::new();
    for (args, listed) in [(&["-d"][..], "n\n"), (&["-d", "--rm"], "")] {
        let command = ["--name", "n", "-i", "busybox:test", "cat"];
        host.run(&[args, &command].concat()).ok();
        let kept = host.data().join("runs/n");
        let saved = host.path("saved");
        // As a reboot leaves it: papers, and nobody with a lock or a record.
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([&kept, &saved])
            .status();
        assert!(copied.unwrap().success());
        host.airtight(&["rm", "-f", "n"]).ok();
        let about = fs::read_to_string(saved.join("about.json")).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        fs::write(
            saved.join("about.json"),
            about.replace(boot.trim_end(), "other"),
        )
        .unwrap();
        fs::rename(&saved, &kept).unwrap();
        assert_eq!(host.airtight(&["ps", "-aq"]).ok(), listed);
        if !listed.is_empty() {
            let waited = host.airtight(&["wait", "n"]);
            assert!(waited.stderr.contains("started anew"), "{waited:?}");
            rm(&host, &["n"]);
        }
        host.assert_clean();
    }
}

#[test]
fn a_caller_that_dies_before_the_start_takes_the_run_with_it() {
    let host = Host::new();
    let mut command = host.command(&["run", "-d", "--name", "n", "busybox:test", "sleep", "1000"]);
    let caller = Run::start(command.env("AIRTIGHT_TEST_STEP", "task:STOP"));
    let record = host.state().join("n/record.json");
    until("there is a record", || record.exists());
    let owner = host.owner("n");
    until("the owner stands still", || {
        let stat = fs::read_to_string(format!("/proc/{owner}/stat")).unwrap();
        stat.contains(") T ")
    });
    caller.destroy();
    processes::signal(owner, Signal::SIGCONT);
    until("everything is undone", || !host.state().join("n").exists());
    until("the owner is gone", || processes::name(owner).is_empty());
    host.assert_clean();
}

#[test]
fn the_owner_holds_nothing_of_its_caller_s() {
    let host = Host::new();
    let lock = host.path("lock");
    let script = format!("exec 9>{0}; flock 9", lock.display());
    let command = host.command(&["run", "-d", "--name", "n", "-i", "busybox:test", "cat"]);
    Output::of(&mut runs::after(&script, &command)).ok();
    let free = std::process::Command::new("flock")
        .args(["-n".as_ref(), lock.as_os_str(), "true".as_ref()])
        .status();
    assert!(free.unwrap().success());
    rm(&host, &["-f", "n"]);
}

#[test]
fn settings_are_read_from_the_caller_s_stdin() {
    let host = Host::new();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"WORD=from stdin\n").unwrap();
    drop(writer);
    let begin = ["run", "-d", "--name", "n", "--env-file", "/proc/self/fd/0"];
    let payload = ["busybox:test", "sh", "-c", "echo $WORD; cat"];
    let mut command = host.command(&[&begin[..], &payload].concat());
    Output::of(command.stdin(reader)).ok();
    assert_eq!(host.airtight(&["wait", "n"]).ok(), "0\n");
    assert_eq!(host.airtight(&["logs", "n"]).ok(), "from stdin\n");
    rm(&host, &["n"]);
}

#[test]
fn neither_owner_nor_payload_has_the_caller_s_stdin() {
    let host = Host::new();
    for args in [&["-d"][..], &["-d", "-i"], &["-d", "--no-init"]] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"not for the payload").unwrap();
        let script = "echo ready >&2; cat; exec sleep 1000";
        let payload = ["--name", "n", "busybox:test", "sh", "-c", script];
        let mut command = host.command(&[&["run"], args, &payload].concat());
        Output::of(command.stdin(reader)).ok();
        drop(command);
        let written = writer.write(b"x").map_err(|why| why.kind());
        assert_eq!(written, Err(ErrorKind::BrokenPipe), "{args:?}");
        until("it is ready", || {
            host.airtight(&["logs", "n"]).stderr == "ready\n"
        });
        assert_eq!(host.airtight(&["logs", "n"]).stdout, "", "{args:?}");
        host.airtight(&["stop", "-t", "0", "n"]).ok();
        rm(&host, &["n"]);
    }
}

#[test]
fn a_descriptor_is_passed_to_a_detached_payload() {
    let host = Host::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let command = host.command(&[
        "run",
        "-d",
        "--rm",
        "--name",
        "n",
        "--pass-fd",
        "7",
        "busybox:test",
        "sh",
        "-c",
        "echo hi >&7",
    ]);
    let mut shell = runs::after("exec 7>&1 >/dev/null", &command);
    shell.stdout(writer).spawn().unwrap().wait().unwrap();
    drop(shell);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut reader, &mut said).unwrap();
    assert_eq!(said, "hi\n");
    until("it is over", || !host.data().join("runs/n").exists());
    until("its owner too", || !host.state().join("n").exists());
}

#[test]
fn the_id_is_written_to_a_file_that_was_not_there() {
    let host = Host::new();
    let file = host.path("cid");
    let cidfile = file.to_str().unwrap();
    let run = |args: &[&str]| host.run(&[&["--cidfile", cidfile], args].concat());
    assert_eq!(run(&["busybox:test", "no-such"]).code, 127);
    assert!(!file.exists());
    let id = run(&["-d", "busybox:test", "true"]).ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), id.trim_end());
    run(&["busybox:test", "true"]).refused(&["--cidfile never writes over a file"]);
    host.airtight(&["wait", id.trim_end()]).ok();
    rm(&host, &[id.trim_end()]);
}

#[test]
fn a_run_in_the_foreground_is_seen_and_waited_for_too() {
    let host = Host::new();
    let script = "echo ready; cat; exit 5";
    let args = [
        "run",
        "--name",
        "n",
        "-l",
        "a=b",
        "-i",
        "busybox:test",
        "sh",
        "-c",
        script,
    ];
    let mut foreground = Run::ready(host.command(&args).stdin(Stdio::piped()));
    assert_eq!(
        host.airtight(&["ps", "-q", "--filter", "label=a=b"]).ok(),
        "n\n"
    );
    assert_eq!(
        host.airtight(&["ps", "-q", "--filter", "label=a=c"]).ok(),
        ""
    );
    let refused = host.airtight(&["logs", "n"]);
    assert!(refused.stderr.contains("in the foreground"), "{refused:?}");
    let mut wait = Run::start(&mut host.command(&["wait", "n"]));
    until("it waits", || holds(wait.pid(), "/n/lock"));
    foreground.close_stdin();
    assert_eq!(foreground.end().code, 5);
    assert_eq!(wait.line(), "5");
    wait.end().ok();
}

/// Whether process `pid` has a file open whose path ends so.
fn holds(pid: i32, end: &str) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    open.flatten().any(|entry| {
        let path = fs::read_link(entry.path()).unwrap_or_default();
        path.to_string_lossy().ends_with(end)
    })
}
