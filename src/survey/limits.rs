//! Which resource limits can be had on this host.
//!
//! Raising a hard limit takes CAP_SYS_RESOURCE (setrlimit(2)). A host that is itself a container may
//! lack it; limits then go no higher than our own.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::PosixRlimitType;

/// CAP_SYS_RESOURCE's number (linux/capability.h).
const CAP_SYS_RESOURCE: u32 = 24;

const RESOURCES: [(PosixRlimitType, Resource); 16] = [
    (PosixRlimitType::RlimitAs, Resource::RLIMIT_AS),
    (PosixRlimitType::RlimitCore, Resource::RLIMIT_CORE),
    (PosixRlimitType::RlimitCpu, Resource::RLIMIT_CPU),
    (PosixRlimitType::RlimitData, Resource::RLIMIT_DATA),
    (PosixRlimitType::RlimitFsize, Resource::RLIMIT_FSIZE),
    (PosixRlimitType::RlimitLocks, Resource::RLIMIT_LOCKS),
    (PosixRlimitType::RlimitMemlock, Resource::RLIMIT_MEMLOCK),
    (PosixRlimitType::RlimitMsgqueue, Resource::RLIMIT_MSGQUEUE),
    (PosixRlimitType::RlimitNice, Resource::RLIMIT_NICE),
    (PosixRlimitType::RlimitNofile, Resource::RLIMIT_NOFILE),
    (PosixRlimitType::RlimitNproc, Resource::RLIMIT_NPROC),
    (PosixRlimitType::RlimitRss, Resource::RLIMIT_RSS),
    (PosixRlimitType::RlimitRtprio, Resource::RLIMIT_RTPRIO),
    (PosixRlimitType::RlimitRttime, Resource::RLIMIT_RTTIME),
    (
        PosixRlimitType::RlimitSigpending,
        Resource::RLIMIT_SIGPENDING,
    ),
    (PosixRlimitType::RlimitStack, Resource::RLIMIT_STACK),
];

/// The highest hard limits that can be set; nothing where any can.
pub(super) fn highest() -> Vec<(PosixRlimitType, u64)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if may_raise(&status) {
        return Vec::new();
    }
    let hard = |(kind, resource)| Some((kind, getrlimit(resource).ok()?.1));
    RESOURCES.into_iter().filter_map(hard).collect()
}

fn may_raise(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    effective.is_some_and(|mask| mask >> CAP_SYS_RESOURCE & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capability_is_looked_for_in_the_effective_set() {
        assert!(may_raise("CapPrm:\t0\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_raise(
            "CapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\n"
        ));
        assert!(!may_raise(""));
    }
}
