//! containerd dies, is started again, or stands still for a while, at each step of a run: the payload's
//! end is what is reported, and in the end nothing is left.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::support::containerd::Containerd;
use super::support::middleman::Middleman;
use super::support::{Host, Output, Run, processes};

/// Each call to containerd comes behind one of them: asking for the image, for its snapshots, for
/// one of our own, for the container, for the task, for its start, for its end, for its removal and that of the rest.
const STEPS: [&str; 11] = [
    "settings",
    "files",
    "unpacked",
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
    name: String,
    run: Run,
}

impl Halted {
    /// One with an init and one without.
    fn pair(host: &Host, step: &'static str) -> [Self; 2] {
        ["--init", "--no-init"].map(|init| Self::through(host, &host.address(), step, init))
    }

    /// One that asks containerd at `address`.
    fn through(host: &Host, address: &Path, step: &'static str, init: &'static str) -> Self {
        let name = name(step, init);
        let args = ["run", init, "--name", &name];
        let args = [&args[..], &["busybox:test", "sh", "-c", PAYLOAD]].concat();
        let mut command = host.command(&args);
        command
            .env("CONTAINERD_ADDRESS", address)
            .env("AIRTIGHT_TEST_STEP", format!("{step}:STOP"));
        let run = Run::start(&mut command);
        processes::until(&format!("{name} stands still"), || {
            processes::is_stopped(run.pid())
        });
        Self {
            step,
            init,
            name,
            run,
        }
    }

    fn go_on(&self) {
        self.run.signal(Signal::SIGCONT);
    }

    /// Its code is the payload's, or airtight's own; with an init, never for a payload that ran.
    #[track_caller]
    fn ends_well_or_is_given_up(self) {
        let output = self.run.end();
        let ran = !output.stdout.is_empty();
        let given_up = output.code == 125 && output.stderr.contains("airtight: ");
        let right = output.code == 7 || given_up && (self.init == "--no-init" || !ran);
        assert!(right, "{}: {output:?}", self.name);
    }

    #[track_caller]
    fn ends_well(self) {
        let what = self.name;
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

/// No name is used twice: a containerd that is killed over the removal of a task leaves a directory (its
/// bundle, renamed to begin with a dot) over which it cannot remove another task of that name.
fn name(step: &str, init: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    // No two hyphens in a row: containerd takes no such id.
    format!(
        "{step}{}-{}",
        &init[1..],
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

const PAYLOAD: &str = "echo out; exit 7";

fn at_each(host: &Host, steps: &[&'static str]) -> Vec<Halted> {
    let pairs = steps.iter().flat_map(|step| Halted::pair(host, step));
    pairs.collect()
}

/// All of them at once. On one processor, a few: the others would be in the way of the containerd that comes back, which
/// is not waited for as long as that takes there.
fn turns() -> impl Iterator<Item = &'static [&'static str]> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    STEPS.chunks(if processors > 1 { STEPS.len() } else { 2 })
}

#[test]
fn a_containerd_that_is_killed_and_started_again_at_any_step_changes_no_result() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    for steps in turns() {
        let runs = at_each(&host, steps);
        let again = containerd.kill();
        runs.iter().for_each(Halted::go_on);
        // As long as the fault is to last.
        sleep(Duration::from_secs(2));
        containerd.start_again(again);
        runs.into_iter().for_each(Halted::ends_well);
    }
}

#[test]
fn a_containerd_that_stands_still_for_ten_seconds_at_any_step_changes_no_result() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    for steps in turns() {
        let runs = at_each(&host, steps);
        containerd.signal(Signal::SIGSTOP);
        runs.iter().for_each(Halted::go_on);
        // As long as the fault is to last; longer than a shim may take to delete its task.
        sleep(Duration::from_secs(11));
        containerd.signal(Signal::SIGCONT);
        runs.into_iter().for_each(Halted::ends_well);
    }
}

#[test]
fn a_containerd_that_is_killed_over_a_call_and_started_again_changes_no_result() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    for steps in turns() {
        let runs = at_each(&host, steps);
        // Their calls lie in its socket when it dies.
        containerd.signal(Signal::SIGSTOP);
        runs.iter().for_each(Halted::go_on);
        sleep(Duration::from_secs(1));
        let again = containerd.kill();
        containerd.start_again(again);
        runs.into_iter().for_each(Halted::ends_well);
    }
}

#[test]
fn a_containerd_that_dies_for_good_is_named_and_what_is_left_is_undone_once_it_is_back() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let runs = at_each(&host, &STEPS);
    let again = containerd.kill();
    let start = Instant::now();
    runs.iter().for_each(Halted::go_on);
    for halted in runs {
        let (what, step, init) = (halted.name.clone(), halted.step, halted.init);
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

#[test]
fn an_answer_that_is_lost_is_not_taken_for_a_deed_that_was_not_done() {
    let containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    // What has been done once containerd has answered.
    let snapshot = |host: &Host, name: &str| host.ctr(&["snapshots", "ls"]).contains(name);
    let container = |host: &Host, name: &str| host.ctr(&["containers", "ls", "-q"]).contains(name);
    let is = |state: &'static str| {
        move |host: &Host, name: &str| {
            let tasks = host.ctr(&["tasks", "ls"]);
            let mut lines = tasks.lines();
            lines.any(|line| line.starts_with(name) && line.contains(state))
        }
    };
    let no_task = |host: &Host, _: &str| host.ctr(&["tasks", "ls", "-q"]).is_empty();
    type Done = Box<dyn Fn(&Host, &str) -> bool>;
    let deeds: [(&str, Done); 6] = [
        ("unpacked", Box::new(snapshot)),
        ("spec", Box::new(container)),
        ("socket", Box::new(is("CREATED"))),
        ("task", Box::new(is("STOPPED"))),
        ("killed", Box::new(no_task)),
        (
            "task-deleted",
            Box::new(move |host, name| !container(host, name)),
        ),
    ];
    for (number, (step, done)) in deeds.into_iter().enumerate() {
        for init in ["--init", "--no-init"] {
            let socket = host.path(&format!("m{number}{init}"));
            let middleman = Middleman::between(socket, &containerd.address());
            let halted = Halted::through(&host, &middleman.address(), step, init);
            middleman.silence();
            halted.go_on();
            processes::until(&format!("{step} {init} is done"), || {
                done(&host, &halted.name)
            });
            middleman.cut();
            halted.ends_well();
            host.assert_clean();
        }
    }
}

#[test]
fn a_containerd_that_is_killed_at_any_moment_of_a_launch_makes_up_no_result() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    for round in 0..8 {
        let runs: Vec<_> = ["unpacked", "socket"]
            .iter()
            .flat_map(|step| Halted::pair(&host, step))
            .collect();
        runs.iter().for_each(Halted::go_on);
        // Multiples of the golden ratio: they spread over a launch, in an order that mixes them.
        let share = (f64::from(round) * 0.618_033_988_749).fract();
        sleep(Duration::from_secs_f64(0.4 * share));
        let again = containerd.kill();
        containerd.start_again(again);
        for halted in runs {
            // The runtime that is just about to execute the first process dies with containerd; and a
            // containerd of 1.7 or later, when it starts, gives up a task that has ended meanwhile.
            halted.ends_well_or_is_given_up();
        }
        host.assert_clean();
    }
}
