//! containerd dies, is started again, or stands still for a while, at each step of a run: the payload's
//! end is what is reported, and in the end nothing is left.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::support::containerd::Containerd;
use super::support::{Host, Output, Run, processes};

/// Each call to containerd comes behind one of them: asking for the image, for the snapshot, for the
/// container, for the task, for its start, for its end, for its removal and that of the rest.
const STEPS: [&str; 10] = [
    "settings",
    "files",
    "spec",
    "socket",
    "task",
    "start",
    "end",
    "killed",
    "task-deleted",
    "container-deleted",
];

/// The payload has come so far that only its own code can be the right one.
const STARTED: [&str; 6] = [
    "start",
    "payload",
    "end",
    "killed",
    "task-deleted",
    "container-deleted",
];

/// One run that stands still at a step.
struct Halted {
    step: &'static str,
    init: &'static str,
    run: Run,
}

impl Halted {
    /// One with an init and one without.
    fn pair(host: &Host, step: &'static str, script: &str) -> [Self; 2] {
        ["--init", "--no-init"].map(|init| Self::at(host, step, init, script))
    }

    fn at(host: &Host, step: &'static str, init: &'static str, script: &str) -> Self {
        let name = name(step, init);
        let args = ["run", init, "--name", &name, "--stop-timeout", "0"];
        let args = [&args[..], &["busybox:test", "sh", "-c", script]].concat();
        let mut command: Command = host.command(&args);
        let run = Run::start(command.env("AIRTIGHT_TEST_STEP", format!("{step}:STOP")));
        processes::until(&format!("{name} stands still"), || {
            processes::is_stopped(run.pid())
        });
        Self { step, init, run }
    }

    fn go_on(&self) {
        self.run.signal(Signal::SIGCONT);
    }

    fn name(&self) -> String {
        name(self.step, self.init)
    }

    #[track_caller]
    fn ends_well(self) {
        let what = self.name();
        let waited = self.step == "settings";
        let output = self.run.end();
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (7, "out\n"),
            "{what}: {output:?}"
        );
        assert!(output.stderr.is_empty() || waited, "{what}: {output:?}");
    }
}

/// No two hyphens in a row: containerd takes no such id.
fn name(step: &str, init: &str) -> String {
    format!("{step}{}", &init[1..])
}

const PAYLOAD: &str = "echo out; exit 7";

fn at_each_step(host: &Host) -> Vec<Halted> {
    let pairs = STEPS
        .iter()
        .flat_map(|step| Halted::pair(host, step, PAYLOAD));
    pairs.collect()
}

#[test]
fn a_containerd_that_is_killed_and_started_again_at_any_step_changes_no_result() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let runs = at_each_step(&host);
    let again = containerd.kill();
    runs.iter().for_each(Halted::go_on);
    // As long as the fault is to last.
    sleep(Duration::from_secs(2));
    containerd.start_again(again);
    runs.into_iter().for_each(Halted::ends_well);
}

#[test]
fn a_containerd_that_stands_still_for_ten_seconds_at_any_step_changes_no_result() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let runs = at_each_step(&host);
    containerd.signal(Signal::SIGSTOP);
    runs.iter().for_each(Halted::go_on);
    // As long as the fault is to last; longer than a shim may take to delete its task.
    sleep(Duration::from_secs(11));
    containerd.signal(Signal::SIGCONT);
    runs.into_iter().for_each(Halted::ends_well);
}

#[test]
fn a_containerd_that_is_killed_over_a_call_and_started_again_changes_no_result() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let runs = at_each_step(&host);
    // Their calls lie in its socket when it dies.
    containerd.signal(Signal::SIGSTOP);
    runs.iter().for_each(Halted::go_on);
    sleep(Duration::from_secs(1));
    let again = containerd.kill();
    containerd.start_again(again);
    runs.into_iter().for_each(Halted::ends_well);
}

#[test]
fn a_containerd_that_dies_for_good_is_named_and_what_is_left_is_undone_once_it_is_back() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let runs = at_each_step(&host);
    let again = containerd.kill();
    let start = Instant::now();
    runs.iter().for_each(Halted::go_on);
    for halted in runs {
        let (what, step, init) = (halted.name(), halted.step, halted.init);
        let output = halted.run.end();
        let undone = step == "container-deleted";
        let said = output.stderr.contains("containerd") || output.stderr.contains("cannot");
        assert!(said != undone, "{what}: {output:?}");
        let codes: &[i32] = match (STARTED.contains(&step), init, step) {
            // Without an init, only containerd can say it, and may have done so before it died.
            (_, "--no-init", "start") => &[7, 125],
            (true, ..) => &[7],
            (false, ..) => &[125],
        };
        assert!(codes.contains(&output.code), "{what}: {output:?}");
    }
    let limit = Duration::from_secs(90);
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    host.until_nobody_is_inside();
    containerd.start_again(again);
    Output::of(&mut host.command(&["image", "ls", "-q"])).ok();
}
