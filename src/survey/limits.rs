//! Which resource limits can be had on this host.
//!
//! Raising a hard limit takes CAP_SYS_RESOURCE (setrlimit(2)). A host that is itself a container may
//! lack it; limits then go no higher than our own.

use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::{Capabilities, Capability, PosixRlimitType};

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

/// The highest hard limits that a holder of `capabilities` can set; nothing where any can.
pub(super) fn highest(capabilities: &Capabilities) -> Vec<(PosixRlimitType, u64)> {
    if capabilities.contains(&Capability::SysResource) {
        return Vec::new();
    }
    let hard = |(kind, resource)| Some((kind, getrlimit(resource).ok()?.1));
    RESOURCES.into_iter().filter_map(hard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_without_the_capability_are_limits_as_high_as_our_own() {
        assert_eq!(highest(&[Capability::SysResource].into()), []);
        let ours = highest(&Capabilities::new());
        assert_eq!(ours.len(), RESOURCES.len());
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(ours.contains(&(PosixRlimitType::RlimitNofile, hard)));
    }
}
