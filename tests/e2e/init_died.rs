//! The container's first process is killed by a stranger, or its leash is: airtight notices, cleans
//! and says so.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::support::{Host, Run, processes, runs};

#[test]
fn a_run_whose_init_is_killed_ends_and_leaves_nothing() {
    let host = Host::new();
    let script =
        "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.01; done' & echo ready; sleep 1000";
    let path = host.path("verdict.json");
    let verdict = ["--verdict", path.to_str().unwrap()];
    for pid in ["private", "host"] {
        let args = [
            &["run", "--pid", pid],
            &verdict[..],
            &["busybox:test", "sh", "-c", script],
        ]
        .concat();
        let run = Run::ready(&mut host.command(&args));
        processes::signal(host.init(), Signal::SIGKILL);
        let output = run.end();
        assert_eq!((output.code, output.stderr.as_str()), (137, ""), "{pid}");
        assert_eq!(runs::verdict(&path)["cause"], "signaled", "{pid}");
        host.assert_clean();
    }
}

#[test]
fn a_payload_killed_from_outside_is_its_own_end() {
    let host = Host::new();
    let script = "echo ready; exec sleep 1000";
    let run = Run::ready(&mut host.command(&["run", "busybox:test", "sh", "-c", script]));
    let init = host.init();
    let mut inside = processes::below(&host.subpath()).into_iter();
    let payload = inside.find(|pid| *pid != init);
    processes::signal(payload.unwrap(), Signal::SIGSEGV);
    assert_eq!(run.end().code, 139);
}

#[test]
fn a_task_killed_through_containerd_is_a_killed_run() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let args = [
            "run",
            init,
            "--name",
            "victim",
            "busybox:test",
            "sh",
            "-c",
            "echo ready; exec sleep 1000",
        ];
        let run = Run::ready(&mut host.command(&args));
        host.ctr(&["tasks", "kill", "--signal", "KILL", "victim"]);
        assert_eq!(run.end().code, 137, "{init}");
        host.assert_clean();
    }
}

#[test]
fn a_run_whose_leash_carries_nonsense_is_lost_and_not_said_never_to_have_started() {
    let host = Host::new();
    let path = host.path("verdict.json");
    let args = ["run", "--verdict", path.to_str().unwrap(), "busybox:test"];
    let args = [&args[..], &["sh", "-c", "echo ready; exec sleep 1000"]].concat();
    let run = Run::ready(&mut host.command(&args));
    let leash = socket_of(host.init());
    send(leash.as_raw_fd(), b"nonsense", MsgFlags::empty()).unwrap();
    drop(leash);
    let output = run.end();
    assert!(
        output.stderr.contains("lost: cannot read what init says"),
        "{output:?}"
    );
    let verdict = runs::verdict(&path);
    assert_eq!((output.code, &verdict["cause"]), (125, &"lost".into()));
    host.assert_clean();
}

/// The only socket of process `pid`, opened for us too (pidfd_getfd(2)).
fn socket_of(pid: i32) -> OwnedFd {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let mut sockets = descriptors.filter(|descriptor| {
        fs::read_link(descriptor.path())
            .is_ok_and(|link| link.to_string_lossy().starts_with("socket:["))
    });
    let number = sockets.next().unwrap().file_name();
    let number = number.to_str().unwrap().parse().unwrap();
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap()
}
