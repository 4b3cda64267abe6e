//! Facts of this machine that the plan needs, gathered from a handful of small files.
//!
//! A root directory goes in (`/`, or a fixture), [`Facts`] come out. Only what the kernel answers at
//! once is read; nothing is started, nothing is changed. What is absent because the kernel was built
//! without it is a fact; what every Linux has is an error when it cannot be read.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use oci_spec::image::Arch;
use serde::Serialize;

use crate::cgroup::{Hierarchies, Layout};
use crate::failure::{Context, Kind, Result};
use crate::kernel::KernelVersion;

/// What this machine is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The running kernel.
    pub kernel: KernelVersion,
    /// Our processor architecture, by Go's name, which is OCI's and seccomp profiles' too.
    pub architecture: Arch,
    /// The number of the kernel's last capability.
    pub last_capability: u8,
    /// How cgroup hierarchies are arranged.
    pub cgroup_layout: Layout,
    /// Memory and swap together can be limited.
    pub swap_accounting: bool,
    /// AppArmor confines processes.
    pub app_armor: bool,
    /// SELinux is active.
    pub selinux: bool,
    /// The kernel takes seccomp filters.
    pub seccomp: bool,
    /// The host's name.
    pub hostname: String,
}

impl Facts {
    /// Reads them below `root`; `cgroup_mount` is absolute, as the operator set it.
    pub fn read(root: &Path, cgroup_mount: &Path) -> Result<Self> {
        let mount = root.join(cgroup_mount.strip_prefix("/").unwrap_or(cgroup_mount));
        Self::with(root, &Hierarchies::detect(&mount)?)
    }

    /// The same, where the hierarchies are known already.
    pub fn with(root: &Path, hierarchies: &Hierarchies) -> Result<Self> {
        let proc = root.join("proc/sys/kernel");
        Ok(Self {
            kernel: parsed(&proc.join("osrelease"))?,
            architecture: Arch::default(),
            last_capability: parsed(&proc.join("cap_last_cap"))?,
            cgroup_layout: hierarchies.layout(),
            swap_accounting: swap_accounting(root, hierarchies),
            app_armor: text(&root.join("sys/module/apparmor/parameters/enabled"))
                .is_some_and(|enabled| enabled == "Y"),
            // The file system is mounted only where SELinux is on (selinux(8)).
            selinux: root.join("sys/fs/selinux/enforce").exists(),
            seccomp: text(&proc.join("seccomp/actions_avail"))
                .is_some_and(|actions| actions.split(' ').any(|action| action == "errno")),
            hostname: parsed(&proc.join("hostname"))?,
        })
    }
}

/// The kernel's id of this boot.
pub fn boot_id() -> Result<String> {
    parsed(Path::new("/proc/sys/kernel/random/boot_id"))
}

/// v1 has a file for it in the root group. v2 has none there: any group below tells, and without one
/// the kernel has it if it can swap at all.
fn swap_accounting(root: &Path, hierarchies: &Hierarchies) -> bool {
    if let Some(v1) = hierarchies.v1("memory") {
        return v1.root().join("memory.memsw.limit_in_bytes").exists();
    }
    let groups = hierarchies.v2().and_then(|v2| fs::read_dir(v2.root()).ok());
    let limited = groups
        .into_iter()
        .flatten()
        .flatten()
        .map(|group| group.path())
        .find(|group| group.join("memory.max").exists());
    match limited {
        Some(group) => group.join("memory.swap.max").exists(),
        None => root.join("proc/swaps").exists(),
    }
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn parsed<T>(path: &Path) -> Result<T>
where
    T: FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let what = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(path).or_fail(Kind::Host, what)?;
    text.trim().parse().or_fail(Kind::Host, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::FileSystem;

    struct Machine(tempfile::TempDir);

    impl Machine {
        /// A v2 host with all that is required.
        fn new() -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.write("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n");
            machine.write("proc/sys/kernel/cap_last_cap", "40\n");
            machine.write("proc/sys/kernel/hostname", "worker-1\n");
            machine.write("sys/fs/cgroup/cgroup.procs", "");
            machine
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn facts(&self) -> Result<Facts> {
            let mount = self.0.path().join("sys/fs/cgroup");
            let v2 = Hierarchies::detect_with(&mount, |_| Ok(FileSystem::Cgroup2)).unwrap();
            Facts::with(self.0.path(), &v2)
        }
    }

    #[test]
    fn facts_come_from_proc_and_sys() {
        let facts = Machine::new().facts().unwrap();
        assert_eq!(facts.kernel, KernelVersion::new(6, 1, 0));
        assert_eq!(facts.last_capability, 40);
        assert_eq!(facts.hostname, "worker-1");
        assert_eq!(facts.cgroup_layout, Layout::Unified);
    }

    #[test]
    fn what_the_kernel_was_built_without_is_absent() {
        let facts = Machine::new().facts().unwrap();
        assert!(!facts.app_armor && !facts.selinux && !facts.seccomp);
    }

    #[test]
    fn security_modules_and_seccomp_are_recognised() {
        let machine = Machine::new();
        machine.write("sys/module/apparmor/parameters/enabled", "Y\n");
        machine.write("sys/fs/selinux/enforce", "0");
        machine.write(
            "proc/sys/kernel/seccomp/actions_avail",
            "kill trap errno allow\n",
        );
        let facts = machine.facts().unwrap();
        assert!(facts.app_armor && facts.selinux && facts.seccomp);
    }

    #[test]
    fn an_apparmor_that_is_switched_off_does_not_count() {
        let machine = Machine::new();
        machine.write("sys/module/apparmor/parameters/enabled", "N\n");
        assert!(!machine.facts().unwrap().app_armor);
    }

    #[test]
    fn swap_is_accounted_when_a_group_with_a_memory_limit_has_its_file() {
        let machine = Machine::new();
        assert!(!machine.facts().unwrap().swap_accounting);
        machine.write("proc/swaps", "");
        assert!(machine.facts().unwrap().swap_accounting);
        machine.write("sys/fs/cgroup/init.scope/memory.max", "max");
        assert!(!machine.facts().unwrap().swap_accounting);
        machine.write("sys/fs/cgroup/init.scope/memory.swap.max", "max");
        assert!(machine.facts().unwrap().swap_accounting);
    }

    #[test]
    fn what_every_linux_has_is_an_error_that_names_the_file() {
        let machine = Machine::new();
        machine.write("proc/sys/kernel/cap_last_cap", "many\n");
        let why = machine.facts().unwrap_err();
        assert!(why.to_string().contains("cap_last_cap"), "{why}");
    }

    #[test]
    fn the_facts_of_this_host_can_be_read() {
        let facts = Facts::read(Path::new("/"), Path::new("/sys/fs/cgroup")).unwrap();
        assert!(facts.last_capability >= 37, "{facts:?}");
    }
}
