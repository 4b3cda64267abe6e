//! Which capabilities a container has: the default ones, `--cap-add`, `--cap-drop`.
//!
//! In go names as people write them and the capabilities that can be had on this host; out come the
//! sets of the OCI specification. It never grants what the host cannot give.

use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use crate::config::nearest;
use crate::failure::{Failure, Result};

/// Every capability at the place of its number (linux/capability.h).
const BY_NUMBER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// What `--cap-add` or `--cap-drop` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilityName {
    /// `ALL`: every one the kernel knows.
    All,
    /// One of them.
    One(Capability),
}

/// `--cap-add` and `--cap-drop` of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilityChanges {
    /// What is added.
    pub add: Vec<CapabilityName>,
    /// What is dropped.
    pub drop: Vec<CapabilityName>,
}

/// Takes names in any case, with or without `CAP_`.
impl FromStr for CapabilityName {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            return Ok(Self::All);
        }
        Capability::from_str(name)
            .map(Self::One)
            .map_err(|_| unknown(text, name))
    }
}

fn unknown(text: &str, name: &str) -> Failure {
    let failure = Failure::usage(format!("unknown capability {text:?}"));
    let known: Vec<String> = BY_NUMBER.iter().map(Capability::to_string).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(known) => failure.hint(format!("did you mean {known}?")),
        None => failure.hint("capabilities(7) lists them; ALL means every one"),
    }
}

/// The capabilities of a mask as `/proc/self/status` shows it (proc(5)).
///
/// The mask of what our own process holds is what `--privileged` grants, as with Docker: a host that
/// is itself a container may lack some, and no runtime could set those.
pub fn of_mask(mask: u64) -> Capabilities {
    (0..)
        .zip(BY_NUMBER)
        .filter(|(number, _)| mask >> number & 1 == 1)
        .map(|(_, capability)| capability)
        .collect()
}

/// The capabilities of a container: `base`, as far as they are `available`, and the changes asked for.
///
/// Docker's rules: adding ALL means all but those dropped by name; else dropping ALL leaves those
/// added by name; else what is dropped goes first, so that what is both dropped and added stays.
pub fn granted(
    base: &Capabilities,
    changes: &CapabilityChanges,
    available: &Capabilities,
) -> Result<Capabilities> {
    let added = named(&changes.add);
    let dropped = named(&changes.drop);
    if let Some(cap) = added.difference(available).next() {
        return Err(Failure::usage(format!("cannot add the capability {cap}"))
            .because("the kernel does not know it, or this host is not allowed it itself"));
    }
    Ok(if changes.add.contains(&CapabilityName::All) {
        available - &dropped
    } else if changes.drop.contains(&CapabilityName::All) {
        added
    } else {
        &(&(base & available) - &dropped) | &added
    })
}

fn named(names: &[CapabilityName]) -> Capabilities {
    names
        .iter()
        .filter_map(|name| match name {
            CapabilityName::All => None,
            CapabilityName::One(cap) => Some(*cap),
        })
        .collect()
}

/// The sets of a process that starts as `uid` with `caps`.
///
/// As execve(2) would leave them: an ordinary user holds none, but a program that is set-uid or
/// has file capabilities may gain those of the bounding set. None are inheritable or ambient, since
/// an inheritable set lets file capabilities of any program through (CVE-2022-24769).
pub fn for_uid(caps: Capabilities, uid: u32) -> LinuxCapabilities {
    let held = if uid == 0 {
        caps.clone()
    } else {
        Capabilities::new()
    };
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(caps))
        .set_effective(Some(held.clone()))
        .set_permitted(Some(held))
        .set_inheritable(Some(Capabilities::new()))
        .set_ambient(Some(Capabilities::new()));
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::base::Base;
    use proptest::prelude::*;

    /// Every capability up to the one of this number.
    fn up_to(last: u32) -> Capabilities {
        of_mask((1 << (last + 1)) - 1)
    }

    fn names(texts: &[&str]) -> Vec<CapabilityName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn granted_with(add: &[&str], drop: &[&str]) -> Capabilities {
        let changes = CapabilityChanges {
            add: names(add),
            drop: names(drop),
        };
        granted(&Base::builtin().capabilities, &changes, &up_to(40)).unwrap()
    }

    #[test]
    fn a_name_is_taken_in_any_case_with_or_without_its_prefix() {
        for text in ["SYS_ADMIN", "sys_admin", "CAP_SYS_ADMIN", "Cap_Sys_Admin"] {
            assert_eq!(
                text.parse::<CapabilityName>().unwrap(),
                CapabilityName::One(Capability::SysAdmin)
            );
        }
        assert_eq!(names(&["all", "ALL"]), [CapabilityName::All; 2]);
    }

    #[test]
    fn every_capability_is_known_by_the_name_it_prints() {
        for cap in BY_NUMBER {
            assert_eq!(names(&[&cap.to_string()]), [CapabilityName::One(cap)]);
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one_suggested() {
        let failure = "NET_ADMN".parse::<CapabilityName>().unwrap_err();
        assert_eq!(failure.hints(), ["did you mean NET_ADMIN?"]);
        for far in ["", "CAP_", "CAP_CAP_KILL_ALL", "every one of them", "ÄÖÜ"] {
            let failure = far.parse::<CapabilityName>().unwrap_err();
            assert!(failure.hints()[0].starts_with("capabilities(7)"), "{far}");
        }
    }

    #[test]
    fn without_changes_a_container_has_the_default_ones() {
        assert_eq!(granted_with(&[], &[]), Base::builtin().capabilities);
    }

    #[test]
    fn dropping_all_leaves_what_is_added() {
        assert_eq!(
            granted_with(&["NET_ADMIN"], &["ALL"]),
            [Capability::NetAdmin].into()
        );
        assert_eq!(granted_with(&[], &["ALL"]), Capabilities::new());
    }

    #[test]
    fn adding_all_gives_all_but_what_is_dropped() {
        let caps = granted_with(&["ALL"], &["SYS_MODULE"]);
        assert_eq!(caps.len(), 40);
        assert!(!caps.contains(&Capability::SysModule));
        assert_eq!(granted_with(&["ALL"], &["ALL"]), up_to(40));
    }

    #[test]
    fn what_is_both_dropped_and_added_stays() {
        assert!(granted_with(&["MKNOD"], &["MKNOD"]).contains(&Capability::Mknod));
        assert!(!granted_with(&["KILL"], &["MKNOD"]).contains(&Capability::Mknod));
    }

    #[test]
    fn a_mask_has_a_bit_for_each_capability() {
        assert_eq!(of_mask(0), Capabilities::new());
        assert_eq!(
            of_mask(1 << 21 | 1),
            [Capability::Chown, Capability::SysAdmin].into()
        );
        assert_eq!(of_mask(u64::MAX), up_to(40));
        assert_eq!(of_mask(0xa804_25fb), Base::builtin().capabilities);
    }

    #[test]
    fn a_default_the_host_is_not_allowed_is_left_out() {
        let available = &up_to(40) - &[Capability::Mknod].into();
        let base = Base::builtin().capabilities;
        let caps = granted(&base, &CapabilityChanges::default(), &available).unwrap();
        assert_eq!(caps, &base - &[Capability::Mknod].into());
    }

    #[test]
    fn a_capability_the_host_cannot_give_is_refused_by_name() {
        let changes = CapabilityChanges {
            add: names(&["BPF"]),
            drop: Vec::new(),
        };
        let failure = granted(&Capabilities::new(), &changes, &up_to(37)).unwrap_err();
        assert!(failure.to_string().contains("BPF"), "{failure}");
    }

    #[test]
    fn root_holds_what_it_may_hold() {
        let caps = Base::builtin().capabilities;
        let sets = for_uid(caps.clone(), 0);
        for set in [sets.bounding(), sets.effective(), sets.permitted()] {
            assert_eq!(set.as_ref(), Some(&caps));
        }
        assert_eq!(sets.ambient(), &Some(Capabilities::new()));
        assert_eq!(sets.inheritable(), &Some(Capabilities::new()));
    }

    #[test]
    fn an_ordinary_user_holds_none_but_keeps_the_bounding_set() {
        let caps = Base::builtin().capabilities;
        let sets = for_uid(caps.clone(), 1000);
        assert_eq!(sets.bounding(), &Some(caps));
        let none = Some(Capabilities::new());
        for set in [
            sets.effective(),
            sets.permitted(),
            sets.inheritable(),
            sets.ambient(),
        ] {
            assert_eq!(set, &none);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_capability_or_refused(text in ".*") {
            let _ = text.parse::<CapabilityName>();
        }

        #[test]
        fn nothing_beyond_what_is_available_is_ever_granted(
            mask: u64,
            base in proptest::sample::subsequence(BY_NUMBER.to_vec(), 0..41),
            add in proptest::sample::subsequence(BY_NUMBER.to_vec(), 0..3),
            add_all: bool,
        ) {
            let mut add: Vec<_> = add.into_iter().map(CapabilityName::One).collect();
            add.extend(add_all.then_some(CapabilityName::All));
            let changes = CapabilityChanges { add, drop: Vec::new() };
            if let Ok(caps) = granted(&base.into_iter().collect(), &changes, &of_mask(mask)) {
                prop_assert!(caps.is_subset(&of_mask(mask)));
            }
        }
    }
}
