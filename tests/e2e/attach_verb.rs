//! `airtight attach`, and `--on-conflict attach`: beside a run that another airtight has begun.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::support::containerd::Containerd;
use super::support::terminal::Session;
use super::support::{Host, Output, Run, processes, runs};

/// Goes on until there is a file /w/end, and says so again and again.
const TICKS: &str = "while ! test -e /w/end; do echo tick; echo tock >&2; sleep 0.02; done
    echo bye; exit 7";
/// The same without a word but the first, and tells of signals.
const HEARS: &str = "trap 'echo term; exit 6' TERM; trap 'echo hup' HUP; trap 'echo int' INT
    echo ready; while ! test -e /w/end; do sleep 0.02; done; exit 7";

/// `run FLAGS`, and `script` as the payload, with a directory of the test's at /w.
fn args(host: &Host, flags: &[&str], script: &str) -> Vec<String> {
    fs::create_dir_all(host.path("w")).unwrap();
    let volume = format!("{}:/w", host.path("w").display());
    let begin = ["run", "-v", &volume];
    let all = [&begin, flags, &["busybox:test", "sh", "-c", script]].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn command(host: &Host, flags: &[&str], script: &str) -> std::process::Command {
    let args = args(host, flags, script);
    host.command(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn detached(host: &Host, flags: &[&str], script: &str) {
    let flags = [&["-d", "--name", "web"], flags].concat();
    Output::of(&mut command(host, &flags, script)).ok();
}

fn end(host: &Host) {
    fs::write(host.path("w").join("end"), "").unwrap();
}

#[track_caller]
fn remove(host: &Host) {
    host.airtight(&["rm", "-f", "web"]).ok();
    host.assert_clean();
}

fn attach(host: &Host, flags: &[&str]) -> Run {
    let args = [&["attach"], flags, &["web"]].concat();
    let command = runs::hearing(&host.command(&args));
    Run::start({ command }.stdin(Stdio::piped()))
}

#[test]
fn it_shows_what_a_detached_run_writes_from_now_on_and_ends_as_it_ends() {
    let host = Host::new();
    for flags in [&["--init"], &["--no-init"]] {
        detached(&host, flags, TICKS);
        let mut attached = attach(&host, &[]);
        assert_eq!(attached.line(), "tick");
        end(&host);
        let output = attached.end();
        assert_eq!(output.code, 7, "{output:?}");
        assert!(output.stdout.ends_with("bye\n"), "{output:?}");
        let errors: Vec<_> = output.stderr.lines().collect();
        assert!(errors.iter().all(|line| *line == "tock"), "{errors:?}");
        fs::remove_file(host.path("w").join("end")).unwrap();
        remove(&host);
    }
}

#[test]
fn what_it_is_written_reaches_a_run_with_i_whose_stdin_goes_on_after_it() {
    let host = Host::new();
    detached(&host, &["-i"], "while read line; do echo got $line; done");
    for word in ["one", "two"] {
        let mut attached = attach(&host, &[]);
        attached.write(format!("{word}\n").as_bytes());
        assert_eq!(attached.line(), format!("got {word}"));
        attached.destroy();
    }
    let mut deaf = attach(&host, &["--no-stdin"]);
    deaf.close_stdin();
    assert_eq!(host.airtight(&["logs", "web"]).ok(), "got one\ngot two\n");
    host.airtight(&["kill", "web"]).ok();
    assert_eq!(deaf.end().code, 137);
    remove(&host);
}

#[test]
fn a_terminal_is_shared_and_the_keys_leave_it_alone() {
    let host = Host::new();
    detached(
        &host,
        &["-it"],
        "read a; echo got $a; stty size; read b; exit 7",
    );
    let attach = |flags: &[&str]| {
        let args = [&["attach"], flags, &["web"]].concat();
        Session::start(&host.command(&args), 33, 111)
    };
    let mut first = attach(&[]);
    first.keys("one\r");
    first.sees("got one\r\n33 111\r\n");
    assert!(first.is_raw());
    first.keys("\u{10}\u{11}");
    first.sees("left run web, which goes on");
    assert_eq!(first.end(), 0);
    assert!(!first.is_raw());
    let mut second = attach(&["--detach-keys", "ctrl-a,x"]);
    second.keys("\u{1}y\u{10}\u{11}\r");
    assert_eq!(second.end(), 7);
    remove(&host);
}

#[test]
fn a_terminal_of_a_run_in_the_foreground_is_shared_too() {
    let host = Host::new();
    let script = "echo ready; read a; echo got $a; read b; exit 7";
    let mut owner = Session::start(&command(&host, &["-it", "--name", "web"], script), 33, 111);
    owner.sees("ready\r\n");
    let mut other = Session::start(&host.command(&["attach", "web"]), 33, 111);
    other.keys("one\r");
    other.sees("got one\r\n");
    owner.sees("got one\r\n");
    // Whoever leaves by a signal, or is killed, leaves the run alone.
    processes::signal(other.pid(), Signal::SIGTERM);
    assert_eq!(other.end(), 143);
    owner.keys("\r");
    assert_eq!(owner.end(), 7);
    host.assert_clean();
}

#[test]
fn of_a_run_in_the_foreground_without_a_terminal_only_the_end_is_seen() {
    let host = Host::new();
    let owner = Run::ready(&mut command(&host, &["--name", "web"], HEARS));
    let attached = attach(&host, &[]);
    end(&host);
    let output = attached.end();
    assert_eq!((output.code, output.stdout.as_str()), (7, ""));
    assert!(
        output.stderr.contains("only its end is seen here"),
        "{output:?}"
    );
    assert_eq!(owner.end().code, 7);
    host.assert_clean();
}

#[test]
fn signals_reach_the_payload_and_term_stops_it() {
    let host = Host::new();
    detached(&host, &[], HEARS);
    let mut attached = attach(&host, &[]);
    has_attached(&attached);
    attached.signal(Signal::SIGHUP);
    assert_eq!(attached.line(), "hup");
    attached.signal(Signal::SIGTERM);
    assert_eq!(attached.line(), "term");
    assert_eq!(attached.end().code, 6);
    remove(&host);
}

#[test]
fn signals_can_be_kept_from_the_payload() {
    let host = Host::new();
    detached(&host, &[], TICKS);
    let mut attached = attach(&host, &["--sig-proxy=false"]);
    assert_eq!(attached.line(), "tick");
    attached.signal(Signal::SIGTERM);
    assert_eq!(attached.end().code, 143);
    assert!(host.airtight(&["ps", "-q"]).ok().contains("web"));
    remove(&host);
}

#[test]
fn it_ends_when_nobody_reads_its_output_and_the_run_goes_on() {
    let host = Host::new();
    detached(&host, &[], TICKS);
    let mut attached = attach(&host, &[]);
    assert_eq!(attached.line(), "tick");
    attached.close_stdout();
    assert_eq!(attached.end().code, 0);
    assert!(host.airtight(&["ps", "-q"]).ok().contains("web"));
    remove(&host);
}

#[test]
fn a_run_that_has_ended_or_is_not_there_is_refused() {
    let host = Host::new();
    detached(&host, &[], "exit 3");
    host.airtight(&["wait", "web"]).ok();
    host.airtight(&["attach", "web"])
        .refused(&["run web does not run"]);
    host.airtight(&["attach", "nobody"])
        .refused(&["there is no run \"nobody\""]);
    host.airtight(&["attach", "--detach-keys", "ctrl-1", "web"])
        .refused(&["\"ctrl-1\" is no key"]);
    remove(&host);
}

#[test]
fn an_owner_that_stands_still_keeps_nobody_from_the_output() {
    let host = Host::new();
    detached(&host, &[], TICKS);
    let owner = host.owner("web");
    processes::signal(owner, Signal::SIGSTOP);
    let mut attached = attach(&host, &[]);
    assert_eq!(attached.line(), "tick");
    end(&host);
    processes::signal(owner, Signal::SIGCONT);
    assert_eq!(attached.end().code, 7);
    remove(&host);
}

#[test]
fn a_run_whose_owner_was_killed_is_lost_to_it() {
    let host = Host::new();
    detached(&host, &[], TICKS);
    let mut attached = attach(&host, &[]);
    assert_eq!(attached.line(), "tick");
    processes::signal(host.owner("web"), Signal::SIGKILL);
    let output = attached.end();
    assert_eq!(output.code, 125);
    assert!(output.stderr.contains("run web was lost"), "{output:?}");
    remove(&host);
}

/// `run --key`, to be beside another one with that key.
fn beside(host: &Host, flags: &[&str]) -> std::process::Command {
    let flags = [&["--key", "k", "--on-conflict", "attach"], flags].concat();
    command(host, &flags, "echo anew; exit 9")
}

/// Waits until that run has found the other one.
#[track_caller]
fn has_attached(run: &Run) {
    processes::until("it waits for the other one's end", || {
        let threads = fs::read_dir(format!("/proc/{}/task", run.pid())).unwrap();
        threads.flatten().any(|thread| {
            fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name == "end\n")
        })
    });
}

#[test]
fn a_run_may_attach_to_the_one_that_has_its_key_and_end_as_it_ends() {
    let host = Host::new();
    let first = Run::ready(&mut command(&host, &["--key", "k"], HEARS));
    let path = host.path("verdict.json");
    let verdict = format!("--verdict={}", path.display());
    let second = Run::start(&mut beside(&host, &[&verdict]));
    has_attached(&second);
    end(&host);
    let pid = first.pid();
    let output = second.end();
    assert_eq!((output.code, output.stdout.as_str()), (7, ""), "{output:?}");
    let verdict = runs::verdict(&path);
    assert_eq!(verdict["attached_to"], pid);
    assert_eq!(verdict["cause"], "exited");
    assert_eq!(first.end().code, 7);
    // Where there is none, it is an ordinary run.
    assert_eq!(Output::of(&mut beside(&host, &[])).code, 9);
    host.assert_clean();
}

#[test]
fn a_stop_of_the_one_that_is_attached_stops_the_run() {
    let host = Host::new();
    let first = Run::ready(&mut command(&host, &["--key", "k"], HEARS));
    let second = Run::start(&mut beside(&host, &[]));
    has_attached(&second);
    second.signal(Signal::SIGTERM);
    assert_eq!(second.end().code, 6);
    assert_eq!(first.end().code, 6);
    host.assert_clean();
}

#[test]
fn a_run_that_loses_its_owner_is_picked_up_by_the_one_that_is_attached_where_it_is_kept() {
    let host = Host::new();
    for (on_death, code) in [("kill", 125), ("keep", 7)] {
        let flags = ["--key", "k", "--on-owner-death", on_death];
        let first = Run::ready(&mut command(&host, &flags, HEARS));
        let second = Run::start(&mut beside(&host, &["--on-owner-death", on_death]));
        has_attached(&second);
        let dead = first.pid().to_string();
        first.destroy();
        end(&host);
        let output = second.end();
        assert_eq!(output.code, code, "{on_death}: {output:?}");
        assert!(
            code == 7 || output.stderr.contains(&dead),
            "{on_death}: {output:?}"
        );
        fs::remove_file(host.path("w").join("end")).unwrap();
        host.assert_clean();
    }
}

#[test]
fn a_detached_run_is_picked_up_and_its_output_goes_on() {
    let host = Host::new();
    let flags = ["-d", "--key", "k", "--on-owner-death", "keep"];
    let id = Output::of(&mut command(&host, &flags, TICKS)).ok();
    let mut second = Run::start(&mut beside(&host, &["--on-owner-death", "keep"]));
    assert_eq!(second.line(), "tick");
    processes::signal(host.owner(id.trim()), Signal::SIGKILL);
    for _ in 0..20 {
        assert_eq!(second.line(), "tick");
    }
    end(&host);
    let output = second.end();
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.stdout.ends_with("bye\n"), "{output:?}");
    host.airtight(&["rm", id.trim()]).ok();
    host.assert_clean();
}

#[test]
fn a_stop_that_the_owner_did_not_live_to_hear_is_the_heir_s_to_do() {
    let host = Host::new();
    for _ in 0..5 {
        let flags = ["--key", "k", "--on-owner-death", "keep"];
        let first = Run::ready(&mut command(&host, &flags, HEARS));
        let second = Run::start(&mut beside(&host, &["--on-owner-death", "keep"]));
        has_attached(&second);
        first.signal(Signal::SIGKILL);
        second.signal(Signal::SIGTERM);
        assert_eq!(second.end().code, 6);
        drop(first);
    }
    host.assert_clean();
}

#[test]
fn one_that_is_attached_to_its_key_stays_though_nobody_reads_it_and_keeps_the_id_s_file() {
    let host = Host::new();
    let flags = ["-d", "--key", "k"];
    let id = Output::of(&mut command(&host, &flags, TICKS)).ok();
    let file = host.path("id");
    let flag = format!("--cidfile={}", file.display());
    let mut second = Run::start(&mut beside(&host, &[&flag]));
    assert_eq!(second.line(), "tick");
    second.close_stdout();
    end(&host);
    assert_eq!(second.end().code, 7);
    assert_eq!(fs::read_to_string(file).unwrap(), id.trim());
    host.airtight(&["rm", id.trim()]).ok();
    host.assert_clean();
}

#[test]
fn a_viewer_that_stood_still_comes_again() {
    let host = Host::new();
    let script = "read a; head -c 3000000 /dev/zero | tr '\\0' y; echo
        while :; do echo more; sleep 0.05; done";
    detached(&host, &["-it"], script);
    let mut viewer = Session::start(&host.command(&["attach", "web"]), 33, 111);
    viewer.keys("a\r");
    viewer.sees("yyy");
    processes::signal(viewer.pid(), Signal::SIGSTOP);
    processes::until("all is written", || {
        host.airtight(&["logs", "web"]).stdout.ends_with("more\r\n")
    });
    processes::signal(viewer.pid(), Signal::SIGCONT);
    viewer.sees("more\r\n");
    host.airtight(&["kill", "web"]).ok();
    assert_eq!(viewer.end(), 137);
    remove(&host);
}

#[test]
fn a_containerd_that_stands_still_keeps_nobody_from_the_end() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    for by in ["the payload", "a SIGKILL of the owner"] {
        detached(&host, &[], TICKS);
        let mut attached = attach(&host, &[]);
        assert_eq!(attached.line(), "tick");
        containerd.signal(Signal::SIGSTOP);
        let code = if by == "the payload" {
            end(&host);
            7
        } else {
            processes::signal(host.owner("web"), Signal::SIGKILL);
            125
        };
        assert_eq!(attached.end().code, code, "ended by {by}");
        containerd.signal(Signal::SIGCONT);
        let _ = fs::remove_file(host.path("w").join("end"));
        remove(&host);
    }
}

#[test]
fn a_run_that_cannot_start_fails_those_that_wait_for_it() {
    let host = Host::new();
    let mut first = host.command(&["run", "--key", "k", "busybox:test", "nosuch"]);
    first.env("AIRTIGHT_TEST_STEP", "task:STOP");
    let first = Run::start(&mut first);
    processes::until("it stands still", || processes::is_stopped(first.pid()));
    let second = Run::start(&mut beside(&host, &[]));
    watches(&second);
    first.signal(Signal::SIGCONT);
    assert_eq!(first.end().code, 127);
    let output = second.end();
    assert_eq!(output.code, 127, "{output:?}");
    assert!(output.stderr.contains("nosuch"), "{output:?}");
    host.assert_clean();
}

/// Waits until it has the lock of another run open, for whose payload it waits.
#[track_caller]
fn watches(run: &Run) {
    processes::until("it waits for the other one's start", || {
        let open = fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap();
        let mut open = open.flatten().flat_map(|one| fs::read_link(one.path()));
        open.any(|path| path.ends_with("lock"))
    });
}

#[test]
fn a_detached_run_cannot_attach() {
    let host = Host::new();
    Output::of(&mut beside(&host, &["-d"])).refused(&["--on-conflict attach", "airtight wait"]);
}
