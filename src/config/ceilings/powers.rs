//! Values of three keys that reach beyond the container: each says which, and why.

use super::super::layer::Merged;
use super::super::values::Ulimit;
use crate::spec::base::Base;
use crate::spec::capabilities::CapabilityName;
use oci_spec::runtime::PosixRlimitType;

/// One that every container has, unless the operator takes it from every container: to add it again
/// would undo that.
pub(super) fn is_harmless_capability(text: &str, operator: &Merged) -> bool {
    let Ok(CapabilityName::One(capability)) = text.parse() else {
        return false;
    };
    let takes = |dropped: &str| match dropped.parse() {
        Ok(CapabilityName::All) => true,
        Ok(CapabilityName::One(dropped)) => dropped == capability,
        // What cannot be parsed is refused elsewhere.
        Err(_) => false,
    };
    let taken = operator.all("cap_drop").any(|item| takes(&item.text));
    Base::builtin().capabilities.contains(&capability) && !taken
}

/// Priorities count on the whole host: real-time scheduling is not bound by the cgroup's share of the
/// CPUs (sched(7)), and without a share of its own neither is a nice value. Every other limit bounds a
/// process; what it then uses counts in the cgroup, locked memory as well (kernel, cgroup-v2).
pub(super) fn is_priority(text: &str) -> bool {
    text.parse::<Ulimit>().is_ok_and(|limit| {
        matches!(
            limit.kind,
            PosixRlimitType::RlimitRtprio | PosixRlimitType::RlimitNice
        )
    })
}

/// Names that others act upon: containerd's runtimes and CRI, and nerdctl, which removes the directory
/// that a label names. (Worse ones nobody can set: `containerd.io/` is refused by
/// [`Label`](crate::config::values::Label) itself.)
const ACTED_UPON: [&str; 3] = ["io.containerd.", "io.cri-containerd", "nerdctl/"];

/// Whether somebody acts upon the label.
pub(super) fn is_acted_upon(text: &str) -> bool {
    let name = text.split('=').next().unwrap_or_default();
    ACTED_UPON.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::super::Ceilings;
    use super::super::tests::{ceilings, check, check_against, operator};

    #[test]
    fn labels_that_somebody_acts_upon_need_consent() {
        let acted_upon = [
            "io.containerd.runc.v2.group=x",
            "io.cri-containerd.kind=container",
            "nerdctl/state-dir=/etc",
            "nerdctl/log-uri=binary:///bin/sh",
        ];
        for label in acted_upon {
            let failure = check(&Ceilings::default(), &format!("labels: ['{label}']"));
            let failure = failure.expect_err(label);
            assert!(
                failure.hints()[0].contains("add labels to ALLOWED_KEYS"),
                "{failure:?}"
            );
            check(
                &ceilings(&[("ALLOWED_KEYS", "labels")]),
                &format!("labels: ['{label}']"),
            )
            .unwrap();
        }
        check(&Ceilings::default(), "labels: {team: a, org.example/x: b}").unwrap();
    }

    #[test]
    fn priorities_need_consent_and_other_limits_do_not() {
        for limit in ["rtprio=1", "RTPRIO=1:99", "nice=40"] {
            check(&Ceilings::default(), &format!("ulimits: [{limit}]")).expect_err(limit);
        }
        check(
            &Ceilings::default(),
            "ulimits: [memlock=-1, nofile=65536, core=0]",
        )
        .unwrap();
        check(
            &ceilings(&[("ALLOWED_KEYS", "ulimits")]),
            "ulimits: [rtprio=1]",
        )
        .unwrap();
    }

    #[test]
    fn what_the_operator_drops_stays_dropped() {
        for dropped in ["ALL", "all", "CHOWN", "cap_chown"] {
            let operator = operator(&[("cap_drop", dropped)]);
            check_against(&Ceilings::default(), "cap_add: [CHOWN]", &operator).expect_err(dropped);
        }
        let operator = operator(&[("cap_drop", "NET_RAW")]);
        check_against(&Ceilings::default(), "cap_add: [CHOWN]", &operator).unwrap();
    }
}
