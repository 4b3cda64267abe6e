//! `airtight stats`: what living runs use.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::terminal::Session;
use super::support::{Host, Run, processes, runs};

/// A run called `name` that waits.
fn start(host: &Host, name: &str, args: &[&str]) -> Run {
    let command = ["busybox:test", "sh", "-c", "echo ready; exec sleep 1000"];
    let args = [&["run", "--name", name], args, &command].concat();
    Run::ready(&mut runs::hearing(&host.command(&args)))
}

fn stop(host: &Host, names: &[&str]) {
    host.airtight(&[&["stop", "-t", "0"], names].concat()).ok();
}

#[test]
fn one_look_is_a_table_of_all_runs_or_of_those_that_are_named() {
    let host = Host::new();
    let _runs = [start(&host, "b1", &[]), start(&host, "a1", &["-m", "64m"])];
    let table = host.airtight(&["stats", "--no-stream"]).ok();
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("RUN   CPU %"), "{table}");
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("a1 ") && first.contains(" / 64MiB"),
        "{table}"
    );
    assert!(lines.next().unwrap().starts_with("b1 "), "{table}");
    let one = host.airtight(&["stats", "--no-stream", "b1"]).ok();
    assert_eq!(one.lines().count(), 2, "{one}");
    let output = host.airtight(&["stats", "--no-stream", "c"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    stop(&host, &["a1", "b1"]);
}

#[test]
fn programs_get_numbers() {
    let host = Host::new();
    let _run = start(&host, "a", &["-m", "64m"]);
    let text = host
        .airtight(&["stats", "--no-stream", "--format", "json"])
        .ok();
    let figures: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(figures["run"], "a");
    assert_eq!(figures["memory_limit"], 64 << 20);
    assert!(figures["memory"].as_u64().unwrap() > 0);
    assert!(figures["cpu_percent"].is_f64());
    assert!(figures["pids"].as_u64().unwrap() >= 2);
    stop(&host, &["a"]);
}

#[test]
fn without_runs_there_is_a_heading_alone() {
    let host = Host::with(&[]);
    let table = host.airtight(&["stats", "--no-stream"]).ok();
    assert_eq!(table.lines().count(), 1);
    assert_eq!(
        host.airtight(&["stats", "--no-stream", "--format=json"])
            .ok(),
        ""
    );
}

#[test]
fn a_terminal_is_written_over_until_an_interrupt() {
    let host = Host::new();
    let _run = start(&host, "a", &[]);
    let mut session = Session::start(&host.command(&["stats"]), 20, 100);
    session.sees("\x1b[2J\x1b[HRUN");
    session.sees("\x1b[HRUN");
    session.keys("\u{3}");
    assert_eq!(session.end(), 130);
    stop(&host, &["a"]);
}

#[test]
fn it_ends_with_its_runs_and_with_its_reader() {
    let host = Host::new();
    let _run = start(&host, "a", &[]);
    let mut unread = Run::start(&mut host.command(&["stats"]));
    unread.line();
    unread.close_stdout();
    assert_eq!(unread.end().code, 0);
    let mut watching = Run::start(&mut host.command(&["stats", "--format", "json", "a"]));
    watching.line();
    stop(&host, &["a"]);
    assert_eq!(watching.end().code, 0);
}

#[test]
fn it_needs_no_containerd() {
    let containerd = super::support::containerd::Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let _run = start(&host, "a", &[]);
    containerd.signal(Signal::SIGSTOP);
    let table = host.airtight(&["stats", "--no-stream"]);
    containerd.signal(Signal::SIGCONT);
    assert!(table.ok().contains("\na "));
    stop(&host, &["a"]);
    processes::until("it is over", || {
        processes::below(&host.subpath()).is_empty()
    });
}
