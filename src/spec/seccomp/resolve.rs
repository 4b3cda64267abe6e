//! Decides a profile's conditions for one container on one host.
//!
//! In go a [`Profile`], the container's capabilities, the host's architecture and kernel; out comes
//! the OCI form. Conditions mean what they mean to Docker: `includes` must all hold, of `excludes`
//! none may, and capabilities are those of the bounding set, so that a container that runs as an
//! ordinary user gets the same filter.

use std::collections::HashSet;

use oci_spec::image::Arch as HostArch;
use oci_spec::runtime::{Arch, Capabilities, LinuxSeccomp, LinuxSyscall};

use super::profile::{Architectures, Conditions, Profile, Rule};
use crate::kernel::KernelVersion;

/// The filter of a container whose bounding set is `caps`, on a host of `arch` with `kernel`.
pub fn resolve(
    profile: &Profile,
    caps: &Capabilities,
    arch: &HostArch,
    kernel: KernelVersion,
) -> LinuxSeccomp {
    let host = Host {
        caps,
        arch: arch.to_string(),
        kernel,
    };
    let mut filter = LinuxSeccomp::default();
    filter
        .set_default_action(profile.default_action)
        .set_default_errno_ret(profile.default_errno.map(u32::from))
        .set_architectures(architectures(&profile.architectures, arch))
        .set_flags(non_empty(profile.flags.clone()))
        .set_listener_path(profile.listener_path.clone())
        .set_listener_metadata(profile.listener_metadata.clone())
        .set_syscalls(non_empty(syscalls(profile, &host)));
    filter
}

/// What conditions are decided by.
struct Host<'a> {
    caps: &'a Capabilities,
    arch: String,
    kernel: KernelVersion,
}

impl Host<'_> {
    fn admits(&self, rule: &Rule) -> bool {
        self.meets_all(&rule.includes) && !self.meets_any(&rule.excludes)
    }

    fn meets_all(&self, conditions: &Conditions) -> bool {
        let arches = &conditions.arches;
        conditions.caps.iter().all(|cap| self.caps.contains(cap))
            && (arches.is_empty() || arches.contains(&self.arch))
            && conditions.min_kernel.is_none_or(|min| self.kernel >= min)
    }

    fn meets_any(&self, conditions: &Conditions) -> bool {
        conditions.caps.iter().any(|cap| self.caps.contains(cap))
            || conditions.arches.contains(&self.arch)
            || conditions.min_kernel.is_some_and(|min| self.kernel >= min)
    }
}

/// The rules that apply; those that differ in nothing but names become one, each name once.
fn syscalls(profile: &Profile, host: &Host<'_>) -> Vec<LinuxSyscall> {
    let mut merged: Vec<Rule> = Vec::new();
    for rule in profile.rules.iter().filter(|rule| host.admits(rule)) {
        match merged
            .iter_mut()
            .find(|other| same_but_for_names(other, rule))
        {
            Some(other) => other.names.extend(rule.names.iter().cloned()),
            None => merged.push(rule.clone()),
        }
    }
    for rule in &mut merged {
        let mut seen = HashSet::new();
        rule.names.retain(|name| seen.insert(name.clone()));
    }
    merged.retain(|rule| !rule.names.is_empty());
    merged.into_iter().map(syscall).collect()
}

/// Whether two rules do the same to calls with the same arguments.
fn same_but_for_names(one: &Rule, other: &Rule) -> bool {
    (one.action, one.errno, &one.arguments) == (other.action, other.errno, &other.arguments)
}

fn syscall(rule: Rule) -> LinuxSyscall {
    let mut syscall = LinuxSyscall::default();
    syscall
        .set_names(rule.names)
        .set_action(rule.action)
        .set_errno_ret(rule.errno.map(u32::from))
        .set_args(non_empty(rule.arguments));
    syscall
}

/// Absent means the runtime's own architecture alone.
fn architectures(architectures: &Architectures, host: &HostArch) -> Option<Vec<Arch>> {
    match architectures {
        Architectures::Fixed(fixed) => Some(fixed.clone()),
        Architectures::ByHost(map) => {
            let own = native(host)?;
            let entry = map.iter().find(|entry| entry.architecture == own)?;
            let further = entry.sub_architectures.iter().copied();
            Some(std::iter::once(own).chain(further).collect())
        }
    }
}

/// libseccomp's name for an architecture that Linux runs on.
fn native(host: &HostArch) -> Option<Arch> {
    Some(match host {
        HostArch::i386 => Arch::ScmpArchX86,
        HostArch::Amd64 => Arch::ScmpArchX86_64,
        HostArch::ARM => Arch::ScmpArchArm,
        HostArch::ARM64 => Arch::ScmpArchAarch64,
        HostArch::LoongArch64 => Arch::ScmpArchLoongarch64,
        HostArch::Mips => Arch::ScmpArchMips,
        HostArch::Mipsle => Arch::ScmpArchMipsel,
        HostArch::Mips64 => Arch::ScmpArchMips64,
        HostArch::Mips64le => Arch::ScmpArchMipsel64,
        HostArch::Mips64p32 => Arch::ScmpArchMips64n32,
        HostArch::Mips64p32le => Arch::ScmpArchMipsel64n32,
        HostArch::PowerPC => Arch::ScmpArchPpc,
        HostArch::PowerPC64 => Arch::ScmpArchPpc64,
        HostArch::PowerPC64le => Arch::ScmpArchPpc64le,
        HostArch::RISCV64 => Arch::ScmpArchRiscv64,
        HostArch::s390 => Arch::ScmpArchS390,
        HostArch::s390x => Arch::ScmpArchS390x,
        _ => return None,
    })
}

fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::base::Base;
    use oci_spec::runtime::{Capability, LinuxSeccompAction};
    use std::collections::BTreeSet;

    const KERNEL: KernelVersion = KernelVersion::new(6, 1, 0);

    fn builtin(more: &[Capability], arch: HostArch, kernel: KernelVersion) -> LinuxSeccomp {
        let mut caps = Base::builtin().capabilities;
        caps.extend(more);
        resolve(&Profile::builtin(), &caps, &arch, kernel)
    }

    fn rules<'a>(filter: &'a LinuxSeccomp, name: &str) -> Vec<&'a LinuxSyscall> {
        let all = filter.syscalls().as_deref().unwrap_or_default();
        let named = |rule: &&LinuxSyscall| rule.names().iter().any(|n| n == name);
        all.iter().filter(named).collect()
    }

    fn allows_always(filter: &LinuxSeccomp, name: &str) -> bool {
        rules(filter, name)
            .iter()
            .any(|rule| rule.action() == LinuxSeccompAction::ScmpActAllow && rule.args().is_none())
    }

    fn conditions(filter: &LinuxSeccomp, name: &str) -> Vec<(usize, u64)> {
        let args = |rule: &LinuxSyscall| rule.args().clone().unwrap_or_default();
        let rules = rules(filter, name).into_iter().flat_map(args);
        rules.map(|arg| (arg.index(), arg.value())).collect()
    }

    #[test]
    fn what_docker_documents_as_blocked_is_blocked() {
        let filter = builtin(&[], HostArch::Amd64, KERNEL);
        let blocked = "acct add_key bpf clock_settime create_module delete_module finit_module \
            get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register \
            io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie \
            mbind mount move_pages nfsservctl open_by_handle_at perf_event_open pivot_root \
            query_module quotactl reboot request_key set_mempolicy setns settimeofday stime \
            swapoff swapon sysfs _sysctl umount umount2 unshare uselib userfaultfd ustat vm86 \
            vm86old";
        for name in blocked.split(' ') {
            assert!(rules(&filter, name).is_empty(), "{name}");
        }
        for name in ["chroot", "openat2", "futex_waitv", "execve", "arch_prctl"] {
            assert!(allows_always(&filter, name), "{name}");
        }
    }

    #[test]
    fn clone_may_not_make_namespaces_and_clone3_looks_absent() {
        let filter = builtin(&[], HostArch::Amd64, KERNEL);
        assert_eq!(conditions(&filter, "clone"), [(0, 0x7e02_0000)]);
        let clone3 = rules(&filter, "clone3");
        assert_eq!(clone3.len(), 1);
        assert_eq!(clone3[0].action(), LinuxSeccompAction::ScmpActErrno);
        assert_eq!(clone3[0].errno_ret(), Some(38));
    }

    #[test]
    fn cap_sys_admin_frees_clone_and_clone3() {
        let filter = builtin(&[Capability::SysAdmin], HostArch::Amd64, KERNEL);
        for name in ["clone", "clone3", "mount", "unshare", "setns", "bpf"] {
            assert_eq!(rules(&filter, name).len(), 1, "{name}");
            assert!(allows_always(&filter, name), "{name}");
        }
    }

    #[test]
    fn the_flags_of_clone_are_its_second_argument_on_ibm_z() {
        let filter = builtin(&[], HostArch::s390x, KERNEL);
        assert_eq!(conditions(&filter, "clone"), [(1, 0x7e02_0000)]);
        assert!(allows_always(&filter, "s390_runtime_instr"));
    }

    #[test]
    fn ptrace_needs_linux_4_8_or_its_capability() {
        let old = KernelVersion::new(4, 7, 10);
        assert!(allows_always(
            &builtin(&[], HostArch::Amd64, KERNEL),
            "ptrace"
        ));
        assert!(!allows_always(
            &builtin(&[], HostArch::Amd64, old),
            "ptrace"
        ));
        let tracer = builtin(&[Capability::SysPtrace], HostArch::Amd64, old);
        assert!(allows_always(&tracer, "ptrace"));
    }

    #[test]
    fn no_socket_reaches_the_hypervisor_or_the_kernels_crypto() {
        let filter = builtin(&[], HostArch::Amd64, KERNEL);
        assert_eq!(conditions(&filter, "socket"), [(0, 38), (0, 39), (0, 40)]);
        assert!(!allows_always(&filter, "socket"));
    }

    #[test]
    fn only_harmless_personalities_are_allowed() {
        let filter = builtin(&[], HostArch::Amd64, KERNEL);
        let values: BTreeSet<u64> = conditions(&filter, "personality")
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].into());
    }

    #[test]
    fn calls_of_another_architecture_are_left_out() {
        let amd = builtin(&[], HostArch::Amd64, KERNEL);
        let arm = builtin(&[], HostArch::ARM64, KERNEL);
        assert!(rules(&amd, "arm_fadvise64_64").is_empty());
        assert!(allows_always(&arm, "arm_fadvise64_64"));
        assert!(rules(&arm, "modify_ldt").is_empty());
    }

    #[test]
    fn the_filter_covers_what_else_the_kernel_runs() {
        let arches = |host| builtin(&[], host, KERNEL).architectures().clone();
        assert_eq!(
            arches(HostArch::Amd64),
            Some(vec![
                Arch::ScmpArchX86_64,
                Arch::ScmpArchX86,
                Arch::ScmpArchX32
            ])
        );
        assert_eq!(arches(HostArch::RISCV64), Some(vec![Arch::ScmpArchRiscv64]));
        assert_eq!(arches(HostArch::PowerPC64le), None);
    }

    #[test]
    fn every_name_stands_once_in_a_rule_and_equal_rules_are_one() {
        let every = [Capability::SysAdmin, Capability::Bpf, Capability::SysPtrace];
        let filter = builtin(&every, HostArch::Amd64, KERNEL);
        let all = filter.syscalls().as_deref().unwrap();
        for rule in all {
            let distinct: BTreeSet<&String> = rule.names().iter().collect();
            assert_eq!(distinct.len(), rule.names().len());
        }
        let unconditional = all.iter().filter(|rule| rule.args().is_none());
        assert_eq!(unconditional.count(), 1);
    }

    #[test]
    fn a_plain_profile_comes_through_unchanged() {
        let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":13,
            "architectures":["SCMP_ARCH_ARM"],"flags":["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath":"/run/agent.sock","listenerMetadata":"x",
            "syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#;
        let profile: Profile = serde_json::from_str(text).unwrap();
        let filter = resolve(&profile, &Capabilities::new(), &HostArch::Amd64, KERNEL);
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&filter).unwrap(), expected);
    }
}
