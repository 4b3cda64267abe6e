//! What is in the way of a new run: leftover cgroups, run directories, sockets, and names of dead runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use airtight::run::step::{SWITCH, Step};

use super::support::shell::SLEEP;
use super::support::{Host, Run, processes};

#[test]
fn the_name_of_a_dead_run_is_free_though_its_record_is_gone() {
    let host = Host::new();
    for (init, step) in [
        ("--init", Step::Snapshot),
        ("--init", Step::Container),
        ("--no-init", Step::Start),
        ("--init", Step::CgroupRemoved),
    ] {
        let flags = ["run", init, "--name", "again", "-v", "/data"];
        let mut command = host.command(&[&flags[..], &SLEEP].concat());
        if step == Step::CgroupRemoved {
            command = host.command(&[&flags[..], &["busybox:test", "true"]].concat());
        }
        let run = Run::start(command.env(SWITCH, format!("{}:KILL", step.name())));
        assert_eq!(run.end().code, 137, "{step:?}");
        host.forget_everything();
        let output = host.run(&[
            "--name",
            "again",
            "-v",
            "/data",
            "busybox:test",
            "echo",
            "mine",
        ]);
        assert_eq!(output.ok(), "mine\n", "{step:?}");
        host.until_nobody_is_inside();
        host.assert_clean();
    }
}

#[test]
fn a_record_that_cannot_be_read_is_made_up_for_by_what_containerd_has() {
    let host = Host::new();
    host.dead(&["--no-init", "--name", "broken", "-v", "/data"]);
    fs::write(host.state().join("broken/record.json"), "{").unwrap();
    let other = host.airtight(&["image", "ls", "-q"]);
    assert!(other.stderr.contains("airtight reap broken"), "{other:?}");
    let output = host.airtight(&["reap"]);
    assert_eq!(output.code, 0, "{output:?}");
    host.until_nobody_is_inside();
}

#[test]
fn a_record_that_cannot_be_read_and_of_which_nothing_is_known_is_forgotten_when_it_is_named() {
    let host = Host::new();
    let run = host.state().join("broken");
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("lock"), "").unwrap();
    fs::write(run.join("record.json"), "{").unwrap();
    let output = host.airtight(&["reap"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("airtight reap broken"), "{output:?}");
    assert_eq!(host.airtight(&["reap", "broken"]).code, 0);
    assert!(!run.exists());
}

#[test]
fn run_directories_without_a_record_are_removed_by_any_command() {
    let host = Host::new();
    for name in ["bare", "locked", "full"] {
        fs::create_dir_all(host.state().join(name)).unwrap();
    }
    for name in ["locked", "full"] {
        fs::write(host.state().join(name).join("lock"), "airtight\n").unwrap();
    }
    fs::create_dir(host.state().join("full/inside")).unwrap();
    // A socket that a dead owner listened at.
    let socket = host.state().join("full/inside/leash");
    drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
    for name in ["bare", "locked", "full"] {
        let output = host.run(&["--name", name, "busybox:test", "echo", name]);
        assert_eq!(output.ok(), format!("{name}\n"));
    }
}

#[test]
fn directories_of_somebody_else_in_the_state_directory_are_left_alone() {
    let host = Host::new();
    let others = host.state().join("others/tasks");
    fs::create_dir_all(&others).unwrap();
    // As dpkg has one.
    fs::write(host.state().join("others/lock"), "").unwrap();
    assert_eq!(host.airtight(&["reap"]).code, 0);
    host.run(&["--name", "others", "busybox:test", "true"])
        .refused(&["the name others is in use"]);
    assert!(others.is_dir());
    fs::remove_dir_all(host.state().join("others")).unwrap();
    host.assert_clean();
}

/// Every directory of the cgroup `name` below this test's.
fn cgroups(host: &Host, name: &str) -> Vec<PathBuf> {
    let roots = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    let roots = roots
        .map(|root| root.path())
        .chain(["/sys/fs/cgroup".into()]);
    let directories = roots.map(|root| root.join(host.subpath()).join(name));
    directories.filter(|directory| directory.exists()).collect()
}

fn freeze(host: &Host, name: &str) {
    for directory in cgroups(host, name) {
        // Whichever of the two there is.
        let _ = fs::write(directory.join("freezer.state"), "FROZEN");
        if !directory.join("freezer.state").exists()
            && !directory.starts_with("/sys/fs/cgroup/unified")
        {
            let _ = fs::write(directory.join("cgroup.freeze"), "1");
        }
    }
}

#[test]
fn a_frozen_cgroup_of_a_dead_run_with_processes_in_it_is_emptied_and_removed() {
    let host = Host::new();
    for forget in [false, true] {
        host.dead(&["--no-init", "--name", "frozen"]);
        freeze(&host, "frozen");
        if forget {
            host.forget_everything();
        }
        let output = host.airtight(&["reap"]);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.contains("processes"), "{output:?}");
        host.until_nobody_is_inside();
        host.assert_clean();
    }
}

#[test]
fn the_cgroup_of_a_dead_run_is_in_nobody_s_way_whatever_is_in_it() {
    let host = Host::new();
    for (init, frozen) in [("--init", false), ("--no-init", false), ("--no-init", true)] {
        host.dead(&[init, "--name", "again"]);
        if init == "--init" {
            host.until_nobody_is_inside();
        }
        if frozen {
            freeze(&host, "again");
        }
        host.forget_everything();
        let output = host.run(&["--name", "again", "busybox:test", "echo", "mine"]);
        assert_eq!(output.ok(), "mine\n", "{init} {frozen}");
    }
}

#[test]
fn a_cgroup_that_is_nobody_s_run_s_is_never_killed() {
    let host = Host::new();
    // Made like that of a run, by somebody else, who lives in it.
    let mut made = Vec::new();
    for root in ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] {
        let directory = Path::new(root).join(host.subpath()).join("theirs");
        if made.is_empty() && Path::new(root).join("cgroup.procs").exists() {
            fs::create_dir_all(&directory).unwrap();
            made.push(directory);
        }
    }
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(made[0].join("cgroup.procs"), stranger.id().to_string()).unwrap();
    host.run(&["--name", "theirs", "busybox:test", "true"])
        .refused(&["the name theirs is in use", "processes in it"]);
    host.airtight(&["reap"]).nothing_is_left_over();
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    processes::until("the cgroup is empty", || fs::remove_dir(&made[0]).is_ok());
    host.remove_cgroup_parents();
}
