//! Host paths that the author of a DAG names: below the operator's prefixes, whatever happens meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use airtight::run::step::{SWITCH, Step};
use nix::fcntl::{Flock, FlockArg, RenameFlags, renameat2};
use nix::mount::{MsFlags, mount};

use super::support::processes::until;
use super::support::{Host, Output, Run, address};

/// A host whose operator allows `allowed`, where `allowed/x/file` says "allowed"; `secret/file` beside
/// it says "secret".
fn set_up() -> Host {
    let host = Host::new();
    for (dir, text) in [
        ("airflow", ""),
        ("allowed/x", "allowed\n"),
        ("secret", "secret\n"),
    ] {
        fs::create_dir_all(host.path(dir)).unwrap();
        fs::write(host.path(dir).join("file"), text).unwrap();
    }
    allow(&host, &host.path("allowed"));
    fs::write(host.path("dag.py"), "").unwrap();
    host
}

/// The operator allows what is below `prefix`.
fn allow(host: &Host, prefix: &Path) {
    let config = format!(
        "[docker_runtime]\nCONTAINER_REPOSITORY = busybox\nCONTAINER_TAG = test\n\
         [docker_runtime_ceilings]\nALLOWED_VOLUME_PREFIXES = {}\n",
        prefix.display()
    );
    fs::write(host.path("airflow/airflow.cfg"), config).unwrap();
}

/// The author asks for `volumes`; the arguments that name the DAG file.
fn ask(host: &Host, volumes: &[String]) -> [String; 4] {
    let metadata = format!("docker_runtime:\n  volumes: {volumes:?}\n");
    fs::write(host.path("dag.py.metadata.yaml"), metadata).unwrap();
    let dag = host.path("dag.py").display().to_string();
    ["--profile", "task-execution", "--dag-file", &dag].map(str::to_owned)
}

fn arguments<'a>(verb: &'a str, asked: &'a [String], rest: &[&'a str]) -> Vec<&'a str> {
    let asked = asked.iter().map(String::as_str);
    [verb]
        .into_iter()
        .chain(asked)
        .chain(rest.iter().copied())
        .collect()
}

fn sh(host: &Host, volumes: &[String], script: &str) -> Output {
    let asked = ask(host, volumes);
    host.airtight(&arguments("run", &asked, &["sh", "-c", script]))
}

fn volume(source: &Path, rest: &str) -> String {
    format!("{}:{rest}", source.display())
}

/// Puts what is called `one` in the place of what is called `other`, and the reverse, at once.
fn exchange(one: &Path, other: &Path) {
    let here = nix::fcntl::AT_FDCWD;
    renameat2(here, one, here, other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

fn mount_points(below: &Path) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| Path::new(point).starts_with(below))
        .count()
}

#[test]
fn directories_and_files_below_a_prefix_are_mounted_as_asked() {
    let host = set_up();
    let x = host.path("allowed/x");
    let volumes = [
        volume(&x, "/rw"),
        volume(&x, "/ro:ro"),
        volume(&x.join("file"), "/one:ro"),
        volume(&x.join("file"), "/two"),
    ];
    let script = "echo new >/rw/new; cat /ro/new /one; echo more >>/two; tail -n 1 /rw/file
        for path in /ro/x /one; do (: >>$path) 2>&1 | sed 's/.*: //'; done";
    assert_eq!(
        sh(&host, &volumes, script).ok(),
        "new\nallowed\nmore\nRead-only file system\nRead-only file system\n"
    );
    assert_eq!(fs::read_to_string(x.join("new")).unwrap(), "new\n");
}

/// As on a host of systemd's, `x` is a mount that is shared, with another below it.
#[test]
fn what_is_mounted_below_a_directory_is_seen_too_and_stays_mounted() {
    let host = set_up();
    let (x, none) = (host.path("allowed/x"), None::<&str>);
    mount(Some(&x), &x, none, MsFlags::MS_BIND, none).unwrap();
    mount(none, &x, none, MsFlags::MS_SHARED, none).unwrap();
    let below = x.join("below");
    fs::create_dir(&below).unwrap();
    mount(Some("none"), &below, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    fs::write(below.join("deep"), "deep\n").unwrap();
    let output = sh(&host, &[volume(&x, "/x")], "cat /x/below/deep");
    let mounted_after = mount_points(&below);
    for point in [&below, &x] {
        let _ = nix::mount::umount(point);
    }
    assert_eq!(output.ok(), "deep\n");
    assert_eq!(mounted_after, 1);
}

#[test]
fn without_the_init_it_is_the_same() {
    let host = set_up();
    let asked = ask(&host, &[volume(&host.path("allowed/x"), "/x")]);
    let args = arguments("run", &asked, &["--no-init", "cat", "/x/file"]);
    assert_eq!(host.airtight(&args).ok(), "allowed\n");
}

#[test]
fn a_missing_directory_is_made_below_a_prefix_and_nowhere_else() {
    let host = set_up();
    let missing = host.path("allowed/new/er");
    let volumes = [volume(&missing, "/x")];
    assert_eq!(
        sh(&host, &volumes, "ls -A /x; [ -d /x ] && echo made").ok(),
        "made\n"
    );
    let made = fs::metadata(&missing).unwrap();
    assert_eq!((made.uid(), made.mode() & 0o7777), (0, 0o755));
    symlink("../secret", host.path("allowed/link")).unwrap();
    for outside in ["allowed/link/new", "secret/new", "allowed/../secret/new"] {
        sh(&host, &[volume(&host.path(outside), "/x")], "true").refused(&[
            "volumes",
            "not below",
            "ALLOWED_VOLUME_PREFIXES",
        ]);
    }
    assert!(!host.path("secret/new").exists());
}

#[test]
fn a_link_leads_where_the_host_says_if_that_is_below_a_prefix() {
    let host = set_up();
    symlink(host.path("allowed/x"), host.path("allowed/stays")).unwrap();
    let stays = volume(&host.path("allowed/stays"), "/x");
    assert_eq!(sh(&host, &[stays], "cat /x/file").ok(), "allowed\n");
    for (name, target, words) in [
        ("leaves", "../secret", "not below"),
        ("magic", "/proc/self/root/etc", "not followed"),
    ] {
        symlink(target, host.path("allowed").join(name)).unwrap();
        sh(
            &host,
            &[volume(&host.path("allowed").join(name), "/x")],
            "true",
        )
        .refused(&[words]);
    }
}

/// Holds the lock that a new run directory needs, so that a run stops between its plan and its launch.
fn hold_launches(host: &Host) -> Flock<fs::File> {
    fs::create_dir_all(host.state()).unwrap();
    let lock = fs::File::create(host.state().join("lock")).unwrap();
    Flock::lock(lock, FlockArg::LockExclusive).unwrap()
}

/// A run that asks for `volumes`, stopped after its plan.
fn planned(host: &Host, volumes: &[String], script: &str) -> Run {
    let asked = ask(host, volumes);
    let run = Run::start(&mut host.command(&arguments("run", &asked, &["sh", "-c", script])));
    // proc_locks(5): a line with an arrow is one that waits.
    let waits = format!("FLOCK  ADVISORY  WRITE {} ", run.pid());
    until("the run waits", || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks
            .lines()
            .any(|line| line.contains("->") && line.contains(&waits))
    });
    run
}

#[test]
fn a_link_that_appears_after_the_plan_leads_nowhere() {
    let host = set_up();
    let x = host.path("allowed/x");
    let held = hold_launches(&host);
    let run = planned(&host, &[volume(&x, "/x")], "cat /x/file");
    fs::rename(&x, host.path("allowed/y")).unwrap();
    symlink("../secret", &x).unwrap();
    drop(held);
    let output = run.end();
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (125, ""),
        "{output:?}"
    );
    assert!(output.stderr.contains("not below"), "{output:?}");
}

#[test]
fn nothing_is_made_through_a_link_that_appears_after_the_plan() {
    let host = set_up();
    let held = hold_launches(&host);
    let run = planned(&host, &[volume(&host.path("allowed/new/er"), "/x")], "true");
    symlink("../secret", host.path("allowed/new")).unwrap();
    drop(held);
    assert_eq!(run.end().code, 125);
    assert!(!host.path("secret/er").exists());
}

/// Ends the thread that looks at it, also when the test fails.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_link_that_comes_and_goes_never_leads_to_what_is_not_allowed() {
    let host = set_up();
    let (x, link) = (host.path("allowed/x"), host.path("allowed/link"));
    symlink("../secret", &link).unwrap();
    let volumes = [volume(&x, "/x"), volume(&x.join("file"), "/f")];
    let (done, still) = (AtomicBool::new(false), Mutex::new(()));
    std::thread::scope(|scope| {
        let _until = Until(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _going = still.lock().unwrap();
                exchange(&x, &link);
                exchange(&x, &link);
            }
        });
        let mut seen = [0, 0];
        for _ in 0..20 {
            let held = hold_launches(&host);
            let run = {
                // A plan is refused at once: what comes after it is to be tried.
                let _still = still.lock().unwrap();
                planned(&host, &volumes, "cat /x/file /f")
            };
            drop(held);
            let output = run.end();
            match (output.code, output.stdout.as_str()) {
                (0, "allowed\nallowed\n") => seen[0] += 1,
                (125, "") => seen[1] += 1,
                _ => panic!("{output:?}"),
            }
        }
        eprintln!("{} saw what is allowed, {} were refused", seen[0], seen[1]);
    });
}

#[test]
fn what_the_host_restricts_on_its_own_mount_stays_restricted() {
    let host = set_up();
    let x = host.path("allowed/x");
    let none = None::<&str>;
    mount(Some(&x), &x, none, MsFlags::MS_BIND, none).unwrap();
    let restricted =
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | restricted;
    mount(none, &x, none, again, none).unwrap();
    let script =
        "grep ' /[xy] ' /proc/self/mountinfo | cut -d' ' -f5,6; (: >/x/new) 2>&1 | sed 's/.*: //'";
    let volumes = [volume(&x, "/x:rw,suid,dev,exec"), volume(&x, "/y:nosuid")];
    let output = sh(&host, &volumes, script);
    nix::mount::umount(&x).unwrap();
    let flags = "ro,nosuid,nodev,noexec,relatime";
    assert_eq!(
        output.ok(),
        format!("/x {flags}\n/y {flags}\nRead-only file system\n")
    );
}

#[test]
fn containerd_s_socket_and_our_own_directories_need_consent_below_a_prefix_too() {
    let host = set_up();
    let socket = address();
    fs::create_dir_all(host.state()).unwrap();
    allow(&host, Path::new("/"));
    for source in [
        &*socket,
        socket.parent().unwrap(),
        &host.state(),
        &host.data().join("volumes"),
        &host.path(""),
    ] {
        sh(&host, &[volume(source, "/x")], "true").refused(&["power over the host"]);
    }
    assert!(!host.data().exists());
    let x = volume(&host.path("allowed/x"), "/x");
    assert_eq!(sh(&host, &[x], "cat /x/file").ok(), "allowed\n");
}

#[test]
fn a_run_in_a_mount_namespace_of_its_own_mounts_what_containerd_sees() {
    let host = set_up();
    let x = host.path("allowed/x");
    let asked = ask(&host, &[volume(&x, "/x")]);
    let airtight = host.command(&arguments("run", &asked, &["cat", "/x/file"]));
    // As a unit with TemporaryFileSystem=, where the runtime does not see what is mounted.
    let script = format!(
        "mount -t tmpfs none {} && exec \"$@\"",
        host.path("secret").display()
    );
    let mut own = Command::new("unshare");
    own.args(["--mount", "sh", "-c", &script, "sh"])
        .arg(airtight.get_program())
        .args(airtight.get_args());
    for (name, value) in airtight.get_envs() {
        match value {
            Some(value) => own.env(name, value),
            None => own.env_remove(name),
        };
    }
    assert_eq!(Output::of(&mut own).ok(), "allowed\n");
}

#[test]
fn while_a_payload_runs_nothing_of_the_author_s_is_mounted_on_the_host() {
    let host = set_up();
    let asked = ask(&host, &[volume(&host.path("allowed/x"), "/x")]);
    let rest = ["-i", "sh", "-c", "echo ready; cat; cat /x/file"];
    let mut command = host.command(&arguments("run", &asked, &rest));
    let run = Run::ready(command.stdin(std::process::Stdio::piped()));
    assert_eq!(mount_points(&host.state()), 0);
    assert_eq!(run.end().ok(), "allowed\n");
}

/// A run directory as an owner leaves it that died between mounting and starting.
fn dead_run(host: &Host) -> PathBuf {
    let dir = host.state().join("dead");
    fs::create_dir_all(dir.join("mounts/0")).unwrap();
    fs::write(dir.join("mounts/1"), "").unwrap();
    fs::write(dir.join("lock"), "airtight\n").unwrap();
    let x = host.path("allowed/x");
    for (source, at) in [(x.clone(), "mounts/0"), (x.join("file"), "mounts/1")] {
        let none = None::<&str>;
        mount(Some(&source), &dir.join(at), none, MsFlags::MS_BIND, none).unwrap();
    }
    dir
}

#[test]
fn what_a_dead_owner_had_mounted_is_released_and_never_removed() {
    let host = set_up();
    let dir = dead_run(&host);
    host.airtight(&["image", "ls"]).ok();
    assert!(!dir.exists());
    assert_eq!(mount_points(&host.state()), 0);
    assert_eq!(
        fs::read_to_string(host.path("allowed/x/file")).unwrap(),
        "allowed\n"
    );
}

#[test]
fn what_airtight_had_mounted_when_it_was_killed_is_released_by_a_reap() {
    let host = set_up();
    let asked = ask(&host, &[volume(&host.path("allowed/x"), "/x")]);
    for (step, forget) in [
        (Step::Spec, false),
        (Step::Container, true),
        (Step::Cgroup, false),
        (Step::Socket, true),
    ] {
        let mut command = host.command(&arguments("run", &asked, &["sh", "-c", "true"]));
        let run = Run::start(command.env(SWITCH, format!("{}:KILL", step.name())));
        assert_eq!(run.end().code, 137);
        assert_eq!(mount_points(&host.state()), 1);
        if forget {
            let dirs = fs::read_dir(host.state()).unwrap().flatten();
            let mut records = dirs.map(|dir| dir.path().join("record.json"));
            fs::remove_file(records.find(|record| record.exists()).unwrap()).unwrap();
        }
        let output = host.airtight(&["reap"]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(mount_points(&host.state()), 0);
        assert!(host.path("allowed/x/file").exists());
        host.assert_clean();
    }
}

#[test]
fn a_plan_shows_the_path_as_written_and_a_bundle_where_it_leads() {
    let host = set_up();
    symlink("x", host.path("allowed/link")).unwrap();
    let asked = ask(&host, &[volume(&host.path("allowed/link"), "/x")]);
    let source = |json: &str, pointer: &str| {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let mounts = json.pointer(pointer).unwrap().as_array().unwrap().clone();
        let mount = mounts
            .into_iter()
            .find(|mount| mount["destination"] == "/x");
        mount.unwrap()["source"].as_str().unwrap().to_owned()
    };
    let plan = host
        .airtight(&arguments("run", &asked, &["--dry-run", "true"]))
        .ok();
    assert_eq!(
        source(&plan, "/spec/mounts"),
        host.path("allowed/link").display().to_string()
    );
    let out = host.path("bundle").display().to_string();
    host.airtight(&arguments("bundle", &asked, &["-o", &out, "true"]))
        .ok();
    let config = fs::read_to_string(host.path("bundle/config.json")).unwrap();
    assert_eq!(
        source(&config, "/mounts"),
        host.path("allowed/x").display().to_string()
    );
}
