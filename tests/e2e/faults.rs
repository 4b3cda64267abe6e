//! SIGKILL of airtight after each step of a run and of a reap, and at any moment: one `airtight reap`, and
//! everything is as it was before.
//!
//! `AIRTIGHT_TEST_FAULTS` says how many runs are killed at random (`make test-faults`: hundreds),
//! `AIRTIGHT_TEST_SEED` repeats one order of them.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use airtight::leash::pidfd;
use airtight::run::step::{SWITCH, Step};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::support::{Host, Run, processes};

/// How many runs are killed at random unless the environment says otherwise.
const FEW: usize = 40;
/// How many of them at once.
const AT_ONCE: usize = 4;
/// With something of everything that a run can have.
const FLAGS: [&str; 6] = ["-v", "/data", "-m", "64m", "--stop-timeout", "0"];
/// The steps of cleanup, which a reap does too.
const OF_CLEANUP: [Step; 6] = [
    Step::Killed,
    Step::TaskDeleted,
    Step::ContainerDeleted,
    Step::CgroupRemoved,
    Step::VolumesRemoved,
    Step::Forgotten,
];

/// Steps that only a run with an init has.
fn is_reached(step: Step, init: &str) -> bool {
    init == "--init" || step != Step::Payload
}

/// Runs until airtight is killed after `step`.
#[track_caller]
fn killed_after(host: &Host, step: Step, init: &str) {
    // A payload that lives when airtight is killed, unless the step comes after its end.
    let ends = step == Step::End || OF_CLEANUP.contains(&step);
    let script = if ends {
        "true"
    } else {
        "echo ready; exec sleep 1000"
    };
    let payload = ["--name", "fault", "busybox:test", "sh", "-c", script];
    let args = [&["run", init], &FLAGS[..], &payload].concat();
    let mut command = host.command(&args);
    let mut run = Run::start(command.env(SWITCH, format!("{}:KILL", step.name())));
    if step == Step::Stop {
        assert_eq!(run.line(), "ready");
        run.signal(Signal::SIGTERM);
    }
    let output = run.end();
    assert_eq!(output.code, 137, "{step:?} {init}: {}", output.stderr);
}

#[track_caller]
fn reaped(host: &Host, after: &str) {
    let output = host.airtight(&["reap"]);
    assert_eq!(output.code, 0, "{after}: {output:?}");
    host.until_nobody_is_inside();
    host.until_no_shim_is_left();
    println!(
        "{after}: {}",
        output.stdout.lines().last().unwrap_or_default()
    );
    host.assert_clean();
}

#[test]
fn a_run_killed_after_any_step_is_undone_by_one_reap() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for step in Step::ALL.iter().filter(|step| is_reached(**step, init)) {
            killed_after(&host, *step, init);
            reaped(&host, &format!("{step:?} {init}"));
        }
    }
}

#[test]
fn a_run_killed_after_any_step_is_undone_though_its_state_directory_is_gone() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        for step in Step::ALL.iter().filter(|step| is_reached(**step, init)) {
            killed_after(&host, *step, init);
            host.forget_everything();
            reaped(&host, &format!("{step:?} {init} without a record"));
        }
    }
}

#[test]
fn a_reap_killed_after_any_step_is_finished_by_the_next() {
    let host = Host::new();
    for (init, recorded) in [
        ("--init", true),
        ("--init", false),
        ("--no-init", true),
        ("--no-init", false),
    ] {
        for step in OF_CLEANUP {
            killed_after(&host, Step::Start, init);
            if !recorded {
                host.forget_everything();
            }
            let mut command = host.command(&["reap"]);
            let reap = Run::start(command.env(SWITCH, format!("{}:KILL", step.name())));
            assert_eq!(reap.end().code, 137, "{step:?} {init}");
            reaped(&host, &format!("reap, {step:?} {init}"));
        }
    }
}

#[test]
fn runs_killed_at_random_moments_several_at_once_are_undone_by_one_reap() {
    let count = number("AIRTIGHT_TEST_FAULTS").unwrap_or(FEW);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = number("AIRTIGHT_TEST_SEED").unwrap_or(now.unwrap().as_millis() as usize);
    println!("AIRTIGHT_TEST_FAULTS={count} AIRTIGHT_TEST_SEED={seed}");
    let host = Host::new();
    let outlived = Mutex::new(Vec::new());
    for batch in (0..count).step_by(10 * AT_ONCE) {
        let batch = batch..count.min(batch + 10 * AT_ONCE);
        thread::scope(|scope| {
            for worker in 0..AT_ONCE {
                let (host, outlived, batch) = (&host, &outlived, batch.clone());
                scope.spawn(move || {
                    for number in batch.skip(worker).step_by(AT_ONCE) {
                        let mut random = Random::new(seed, number);
                        let times = killed_at_random(host, number, &mut random);
                        outlived.lock().unwrap().extend(times);
                    }
                });
            }
        });
        reaped(&host, "at random");
    }
    let (outlived, control): (Vec<_>, Vec<_>) = outlived.into_inner().unwrap().into_iter().unzip();
    println!("how long                                           times   median      p99      max");
    show(
        "a payload with an init lived longer than airtight",
        outlived,
    );
    show("cat(1) lived longer than its input, meanwhile", control);
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    if let [.., longest] = times.as_slice() {
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        let count = times.len();
        println!(
            "{what:50} {count:5} {:>8.1?} {:>8.1?} {longest:>8.1?}",
            at(50),
            at(99)
        );
    }
}

/// Starts a run and kills it at some moment; how much longer than airtight its payload has lived.
/// And how long something as simple takes on this machine at this moment.
fn killed_at_random(
    host: &Host,
    number: usize,
    random: &mut Random,
) -> Option<(Duration, Duration)> {
    let init = ["--init", "--init", "--no-init"][random.below(3)];
    let forever = "sleep 1000 & exec sleep 1000";
    let payload = ["true", "exec sleep 0.1", forever, forever][random.below(4)];
    let payload = format!("echo; {payload}");
    let name = format!("random-{number}");
    let args = ["--name", &name, "busybox:test", "sh", "-c", &payload];
    let args = [&["run", init], &FLAGS[..], &args].concat();
    let mut child = host
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // At any moment of the launch, or of the payload's life.
    let mut stdout = child.stdout.take().unwrap();
    let within = match random.below(2) {
        0 => 900_000,
        _ => {
            // Nothing comes of a run that has ended already.
            let _ = stdout.read(&mut [0]);
            100_000
        }
    };
    thread::sleep(Duration::from_micros(random.below(within) as u64));
    let payloads = payloads(host, &name);
    child.kill().unwrap();
    child.wait().unwrap();
    let dead = Instant::now();
    if init == "--no-init" || payloads.is_empty() {
        return None;
    }
    payloads.iter().for_each(wait_for_end);
    Some((dead.elapsed(), control()))
}

fn control() -> Duration {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut cat = command.spawn().unwrap();
    let handle = pidfd::open(cat.id().try_into().unwrap()).unwrap();
    // From then on it waits for more.
    let mut stdin = cat.stdin.take().unwrap();
    stdin.write_all(b"x").unwrap();
    let mut stdout = cat.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    drop(stdin);
    let ended = Instant::now();
    wait_for_end(&handle);
    let elapsed = ended.elapsed();
    cat.wait().unwrap();
    elapsed
}

/// Handles on the payload's processes: neither the init nor a runtime that is still at work.
fn payloads(host: &Host, name: &str) -> Vec<OwnedFd> {
    let below = format!("{}/{name}/cgroup.procs", host.subpath());
    let roots = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    let mut files = roots.map(|root| root.path().join(&below));
    let text = files.find_map(|file| {
        fs::read_to_string(file)
            .ok()
            .filter(|pids| !pids.is_empty())
    });
    let text = text.or_else(|| fs::read_to_string(format!("/sys/fs/cgroup/{below}")).ok());
    let text = text.unwrap_or_default();
    let pids = text.lines().filter_map(|pid| pid.parse().ok());
    let others = ["airtight", "runc"];
    let is_payload = |pid: &i32| {
        let name = processes::name(*pid);
        !others.iter().any(|other| name.starts_with(other))
    };
    let pids = pids.filter(is_payload);
    pids.filter_map(|pid| pidfd::open(pid).ok()).collect()
}

fn wait_for_end(handle: &OwnedFd) {
    let limit = PollTimeout::try_from(processes::LIMIT).unwrap();
    let mut watched = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
    assert_ne!(poll(&mut watched, limit), Ok(0), "somebody lives on");
}

fn number(variable: &str) -> Option<usize> {
    env::var(variable).ok()?.parse().ok()
}

/// Numbers that are the same for the same seed (splitmix64, public domain, Sebastiano Vigna).
struct Random(u64);

impl Random {
    fn new(seed: usize, stream: usize) -> Self {
        Self((seed as u64).wrapping_add((stream as u64) << 32))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
