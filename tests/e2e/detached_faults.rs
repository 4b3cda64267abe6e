//! Detached runs whose owner is killed at a step, and on a disk without room: what is kept is true, and
//! nothing else is left.

use std::fs;

use airtight::run::step::{SWITCH, Step};
use nix::mount::MsFlags;

use super::support::mounted::Mounted;
use super::support::{Host, Output};

const SCRIPT: [&str; 4] = ["busybox:test", "sh", "-c", "echo hi; exit 3"];

/// What the caller and those who wait are told of an owner that is killed after `step`.
fn told(step: Step) -> (i32, &'static str) {
    match step {
        // Its caller waits for the start.
        Step::Settings
        | Step::Record
        | Step::Files
        | Step::Snapshot
        | Step::Spec
        | Step::Container
        | Step::Cgroup
        | Step::Socket
        | Step::Task
        | Step::Start => (125, ""),
        Step::Payload => (0, "125\n"),
        _ => (0, "3\n"),
    }
}

#[test]
fn an_owner_that_is_killed_at_any_step_leaves_what_is_true() {
    let host = Host::new();
    // Nobody asks this payload to end.
    for step in Step::ALL.iter().filter(|step| **step != Step::Stop) {
        let name = step.name();
        let mut command = host.command(&[&["run", "-d", "--name", "n"], &SCRIPT[..]].concat());
        let output = Output::of(command.env(SWITCH, format!("{name}:KILL")));
        let (code, end) = told(*step);
        assert_eq!(output.code, code, "{name}: {output:?}");
        if code == 0 {
            assert_eq!(output.stdout, "n\n", "{name}");
            assert_eq!(host.airtight(&["wait", "n"]).stdout, end, "{name}");
            assert_eq!(host.airtight(&["rm", "n"]).ok(), "n\n", "{name}");
        } else {
            assert!(
                output.stderr.contains("killed by signal 9"),
                "{name}: {output:?}"
            );
        }
        assert_eq!(host.airtight(&["ps", "-aq"]).ok(), "", "{name}");
        host.assert_clean();
    }
}

#[test]
fn a_full_disk_costs_lines_of_the_log_and_no_exit_code() {
    let host = Host::new();
    let disk = Mounted::at(host.data(), MsFlags::empty(), "size=128k");
    let script = "i=0; while [ $i -lt 9 ]; do head -c 30000 /dev/zero | tr '\\0' x; i=$((i+1)); done; exit 3";
    let command = ["-d", "--name", "n", "busybox:test", "sh", "-c", script];
    host.run(&command).ok();
    assert_eq!(host.airtight(&["wait", "n"]).ok(), "3\n");
    fs::write(host.data().join("more"), vec![0; 1 << 20]).unwrap_err();
    host.run(&[&["-d"], &SCRIPT[..]].concat())
        .refused(&["No space left on device"]);
    let foreground = host.run(&SCRIPT);
    assert_eq!((foreground.code, foreground.stdout.as_str()), (3, "hi\n"));
    host.airtight(&["rm", "n"]).ok();
    let kept = fs::read_dir(host.data().join("runs")).unwrap();
    assert_eq!(kept.count(), 0, "not even half of one");
    drop(disk);
}
