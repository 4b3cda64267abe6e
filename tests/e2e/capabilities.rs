//! What the payload may do: capabilities, system calls, new privileges.

use super::support::{Host, this_host};

/// Docker's fourteen: AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW
/// SETFCAP SETGID SETPCAP SETUID SYS_CHROOT (docs.docker.com, "Runtime privilege and Linux
/// capabilities").
const DEFAULT: u64 = 0xa804_25fb;
const NET_ADMIN: u64 = 1 << 12;
const MKNOD: u64 = 1 << 27;

/// The five sets, as the kernel names them; none is ever inheritable or ambient.
fn sets(held: u64, bounding: u64) -> String {
    format!(
        "CapInh:\t{:016x}\nCapPrm:\t{held:016x}\nCapEff:\t{held:016x}\nCapBnd:\t{bounding:016x}\nCapAmb:\t{:016x}\n",
        0, 0
    )
}

fn sets_of(host: &Host, flags: &[&str]) -> String {
    host.sh(flags, "grep ^Cap /proc/self/status")
}

fn filter_of(host: &Host, flags: &[&str]) -> String {
    host.sh(flags, "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status")
}

#[test]
fn root_has_docker_s_fourteen_capabilities_with_and_without_the_init() {
    let host = Host::new();
    assert_eq!(sets_of(&host, &[]), sets(DEFAULT, DEFAULT));
    assert_eq!(sets_of(&host, &["--no-init"]), sets(DEFAULT, DEFAULT));
}

#[test]
fn an_ordinary_user_has_none_but_may_gain_them_by_a_set_uid_program() {
    let host = Host::new();
    assert_eq!(sets_of(&host, &["-u", "1000"]), sets(0, DEFAULT));
    assert_eq!(
        sets_of(&host, &["-u", "app", "--cap-add", "net_admin"]),
        sets(0, DEFAULT | NET_ADMIN)
    );
}

#[test]
fn capabilities_are_added_and_dropped_by_name() {
    let host = Host::new();
    let all = this_host::capabilities();
    for (flags, expected) in [
        (
            &["--cap-add", "CAP_NET_ADMIN", "--cap-drop", "mknod"][..],
            DEFAULT & !MKNOD | NET_ADMIN,
        ),
        (&["--cap-drop", "ALL"], 0),
        (&["--cap-drop", "ALL", "--cap-add", "MKNOD"], MKNOD),
        (&["--cap-add", "ALL"], all),
        (
            &["--cap-add", "ALL", "--cap-drop", "NET_ADMIN"],
            all & !NET_ADMIN,
        ),
    ] {
        assert_eq!(sets_of(&host, flags), sets(expected, expected), "{flags:?}");
    }
}

#[test]
fn a_privileged_payload_has_all_that_this_host_can_give() {
    let host = Host::new();
    let all = this_host::capabilities();
    assert_eq!(sets_of(&host, &["--privileged"]), sets(all, all));
    assert_eq!(
        sets_of(&host, &["--privileged", "-u", "1000"]),
        sets(0, all)
    );
    assert_eq!(
        filter_of(&host, &["--privileged"]),
        "NoNewPrivs:\t0\nSeccomp:\t0\n"
    );
}

#[test]
fn an_unknown_capability_is_refused_with_the_nearest() {
    let host = Host::new();
    host.run(&["--cap-add", "NET_ADMN", "busybox:test", "true"])
        .refused(&["NET_ADMN", "did you mean NET_ADMIN?"]);
}

#[test]
fn system_calls_are_filtered_and_privileges_may_be_gained_unless_asked_otherwise() {
    let host = Host::new();
    assert_eq!(filter_of(&host, &[]), "NoNewPrivs:\t0\nSeccomp:\t2\n");
    for user in ["root", "1000"] {
        let flags = ["-u", user, "--security-opt", "no-new-privileges"];
        assert_eq!(filter_of(&host, &flags), "NoNewPrivs:\t1\nSeccomp:\t2\n");
    }
    let unconfined = ["--security-opt", "seccomp=unconfined"];
    assert_eq!(
        filter_of(&host, &unconfined),
        "NoNewPrivs:\t0\nSeccomp:\t0\n"
    );
}

/// (busybox gives up a set-user-ID bit by itself, so a copy of python has it.)
#[test]
fn a_set_user_id_program_makes_root_unless_new_privileges_are_refused() {
    let host = Host::with(&["python"]);
    let script = "cp /usr/bin/python3.11 /tmp/py; chmod 4755 /tmp/py
        su app -c '/tmp/py -c \"import os; print(os.geteuid())\"'";
    let command = ["python:test", "sh", "-c", script];
    assert_eq!(host.run(&command).ok(), "0\n");
    let flags = ["--security-opt", "no-new-privileges"];
    assert_eq!(host.run(&[&flags[..], &command].concat()).ok(), "1000\n");
}

/// Each call with arguments that are harmless when it is let through. The numbers are those of
/// x86-64 and of arm64.
const CALLS: &str = r#"
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
arm = os.uname().machine == "aarch64"
calls = {
    "keyctl": (250, 219, 0, -3, 0),
    "add_key": (248, 217, 0, 0, 0, 0, 0),
    "bpf": (321, 280, 9999, 0, 0),
    "perf_event_open": (298, 241, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 282, -1),
    "io_uring_setup": (425, 425, 0, 0),
    "unshare": (272, 97, 0x10000000),
    "setns": (308, 268, -1, 0),
    "open_by_handle_at": (304, 265, -1, 0, 0),
    "mount": (165, 40, 0, 0, 0, 0, 0),
    "personality(query)": (135, 92, 0xffffffff),
    "personality(no randomisation)": (135, 92, 0x0040000),
    "clone3": (435, 435, 0, 0),
    "socket(AF_VSOCK)": (41, 198, 40, 1, 0),
    "socket(AF_ALG)": (41, 198, 38, 5, 0),
    "socket(AF_UNIX)": (41, 198, 1, 1, 0),
}
for name in sys.argv[1:]:
    x86, aarch64, *arguments = calls[name]
    ctypes.set_errno(0)
    libc.syscall(aarch64 if arm else x86, *map(ctypes.c_long, arguments))
    denied = ctypes.get_errno()
    print(name, "denied" if denied == errno.EPERM else "absent" if denied == errno.ENOSYS else "allowed")
"#;

#[test]
fn the_calls_docker_documents_as_blocked_are_and_a_capability_frees_those_it_is_for() {
    let host = Host::with(&["python"]);
    let answers = |flags: &[&str], calls: &[&str]| {
        let command = ["python:test", "python3", "-c", CALLS];
        host.run(&[flags, &command, calls].concat()).ok()
    };
    let blocked = [
        "keyctl",
        "add_key",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "unshare",
        "setns",
        "open_by_handle_at",
        "mount",
        "personality(no randomisation)",
        "socket(AF_VSOCK)",
        "socket(AF_ALG)",
    ];
    let all = |calls: &[&str], word: &str| -> String {
        calls
            .iter()
            .map(|call| format!("{call} {word}\n"))
            .collect()
    };
    assert_eq!(answers(&[], &blocked), all(&blocked, "denied"));
    assert_eq!(answers(&[], &["clone3"]), "clone3 absent\n");
    let open = ["personality(query)", "socket(AF_UNIX)"];
    assert_eq!(answers(&[], &open), all(&open, "allowed"));

    let admin = ["unshare", "setns", "mount"];
    assert_eq!(
        answers(&["--cap-add", "SYS_ADMIN"], &admin),
        all(&admin, "allowed")
    );
    assert_eq!(
        answers(&["--cap-add", "SYS_ADMIN"], &["keyctl"]),
        "keyctl denied\n"
    );
    let search = ["--cap-add", "DAC_READ_SEARCH"];
    assert_eq!(
        answers(&search, &["open_by_handle_at"]),
        "open_by_handle_at allowed\n"
    );
    let unconfined = ["--security-opt", "seccomp=unconfined"];
    let free = ["unshare", "personality(no randomisation)"];
    assert_eq!(answers(&unconfined, &free), all(&free, "allowed"));
}

#[test]
fn a_user_s_own_profile_takes_the_place_of_ours() {
    let host = Host::new();
    let file = host.path("profile.json");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&file, profile).unwrap();
    let option = format!("seccomp={}", file.display());
    let output = host.sh(
        &["--security-opt", &option],
        "mkdir /x 2>&1; unshare -U echo unshared",
    );
    assert_eq!(
        output,
        "mkdir: can't create directory '/x': Operation not permitted\nunshared\n"
    );

    std::fs::write(&file, "{\n\"defaultAction\": \"ALLOW\"}").unwrap();
    host.run(&["--security-opt", &option, "busybox:test", "true"])
        .refused(&["profile.json", "line 2"]);
    host.run(&[
        "--security-opt",
        "seccomp=/nonexistent",
        "busybox:test",
        "true",
    ])
    .refused(&["/nonexistent"]);
}
