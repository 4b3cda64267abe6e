//! The kernel: version, swap accounting, security modules, user namespaces, limits on processes.

use std::fs;
use std::path::Path;

use super::finding::Finding;
use crate::kernel::KernelVersion;

/// pidfd_open(2): before it a process can only be named by a pid that may be reused.
const OLDEST: KernelVersion = KernelVersion::new(5, 3, 0);
/// Below this a fork-happy host runs out of pids (the kernel's own default for small machines).
const FEW_PIDS: u64 = 32768;

/// The report; /proc and /sys are below `root`.
pub fn findings(root: &Path) -> Vec<Finding> {
    vec![
        version(root),
        seccomp(root),
        app_armor(root),
        selinux(root),
        user_namespaces(root),
        processes(root),
        privileges(root),
    ]
}

fn version(root: &Path) -> Finding {
    const CHECK: &str = "kernel";
    let Some(release) = text(root, "proc/sys/kernel/osrelease") else {
        return Finding::warn(CHECK, "unknown: /proc/sys/kernel/osrelease cannot be read");
    };
    let found = format!("Linux {release}, {}", std::env::consts::ARCH);
    match release.parse::<KernelVersion>() {
        Ok(version) if version >= OLDEST => Finding::ok(CHECK, found),
        _ => Finding::warn(CHECK, found)
            .advice("older than Linux 5.3, or of unknown age: airtight is not tested there"),
    }
}

fn seccomp(root: &Path) -> Finding {
    const CHECK: &str = "seccomp";
    match text(root, "proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) => Finding::ok(CHECK, actions),
        None => Finding::missing(CHECK, "not in this kernel")
            .advice("containers start only with --security-opt seccomp=unconfined"),
    }
}

fn app_armor(root: &Path) -> Finding {
    const CHECK: &str = "apparmor";
    match text(root, "sys/module/apparmor/parameters/enabled").as_deref() {
        Some("Y") => Finding::ok(CHECK, "enabled"),
        Some(_) => Finding::missing(CHECK, "switched off").advice(NO_PROFILES),
        None => Finding::missing(CHECK, "not in this kernel").advice(NO_PROFILES),
    }
}

const NO_PROFILES: &str = "containers are not confined by it; --security-opt apparmor=… is refused";

fn selinux(root: &Path) -> Finding {
    const CHECK: &str = "selinux";
    match text(root, "sys/fs/selinux/enforce").as_deref() {
        Some("1") => Finding::warn(CHECK, "enforcing")
            .advice("airtight sets no labels: containers and their mounts keep containerd's"),
        Some(_) => Finding::ok(CHECK, "permissive"),
        None => Finding::ok(CHECK, "not active"),
    }
}

fn user_namespaces(root: &Path) -> Finding {
    const CHECK: &str = "user namespaces";
    let most = number(root, "proc/sys/user/max_user_namespaces");
    match (root.join("proc/self/ns/user").exists(), most) {
        (true, Some(most @ 1..)) => Finding::ok(CHECK, format!("up to {most}")),
        (true, _) => Finding::warn(CHECK, "limited to none")
            .advice("raise the sysctl user.max_user_namespaces if containers shall have their own"),
        (false, _) => Finding::missing(CHECK, "not in this kernel"),
    }
}

fn processes(root: &Path) -> Finding {
    const CHECK: &str = "processes";
    match number(root, "proc/sys/kernel/pid_max") {
        Some(most) if most >= FEW_PIDS => Finding::ok(CHECK, format!("up to {most}")),
        Some(most) => Finding::warn(CHECK, format!("up to {most}"))
            .advice("few for many containers: raise the sysctl kernel.pid_max"),
        None => Finding::warn(CHECK, "unknown: /proc/sys/kernel/pid_max cannot be read"),
    }
}

/// Our own: all of containerd, cgroups and mounts need root.
fn privileges(root: &Path) -> Finding {
    const CHECK: &str = "privileges";
    let status = text(root, "proc/self/status").unwrap_or_default();
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    match uid {
        Some("0") => Finding::ok(CHECK, "root"),
        Some(uid) => Finding::warn(CHECK, format!("user {uid}")).advice("airtight run needs root"),
        None => Finding::warn(CHECK, "unknown: /proc/self/status cannot be read"),
    }
}

fn text(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    Some(text.trim().to_owned())
}

fn number(root: &Path, path: &str) -> Option<u64> {
    text(root, path)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_host_that_shows_nothing_still_gets_a_report() {
        let nothing = root(&[]);
        let found = findings(nothing.path());
        assert_eq!(found.len(), 7);
        assert!(!found.iter().any(Finding::is_fatal));
    }

    #[test]
    fn an_old_kernel_is_warned_of() {
        let old = root(&[("proc/sys/kernel/osrelease", "4.18.0-553.el8\n")]);
        assert_eq!(version(old.path()).state(), State::Warn);
        let new = root(&[("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n")]);
        assert_eq!(version(new.path()).state(), State::Ok);
    }

    #[test]
    fn a_kernel_without_seccomp_says_what_that_means() {
        let finding = seccomp(root(&[]).path());
        assert_eq!(finding.state(), State::Missing);
        assert!(finding.cells()[3].contains("unconfined"));
    }

    #[test]
    fn user_namespaces_limited_to_none_are_warned_of() {
        let limited = root(&[
            ("proc/self/ns/user", ""),
            ("proc/sys/user/max_user_namespaces", "0"),
        ]);
        assert_eq!(user_namespaces(limited.path()).state(), State::Warn);
    }

    #[test]
    fn an_enforcing_selinux_is_warned_of() {
        let enforcing = root(&[("sys/fs/selinux/enforce", "1")]);
        assert_eq!(selinux(enforcing.path()).state(), State::Warn);
        assert_eq!(selinux(root(&[]).path()).state(), State::Ok);
    }

    #[test]
    fn the_effective_user_is_what_counts() {
        let user = root(&[("proc/self/status", "Name:\tx\nUid:\t0\t1000\t0\t0\n")]);
        assert_eq!(privileges(user.path()).state(), State::Warn);
    }
}
