//! What the cgroup allows, checked as docker checks it.

use oci_spec::runtime::LinuxDeviceCgroup;
use serde::Serialize;

use crate::cgroup::Layout;
use crate::config::Settings;
use crate::config::settings::Limits;
use crate::config::values::{Bytes, PidsLimit, SwapLimit};
use crate::failure::{Failure, Result};
use crate::spec::base::Base;
use crate::survey::{NumberList, Survey};

/// Limits as the OCI spec takes them; `None` leaves the kernel's default.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(
    missing_docs,
    reason = "runtime-specs/keys.yaml says what each key means"
)]
pub struct Resources {
    pub memory: Option<i64>,
    /// Memory and swap together; -1 is unlimited.
    pub memory_swap: Option<i64>,
    pub memory_reservation: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    /// Microseconds per period.
    pub cpu_quota: Option<i64>,
    pub cpu_period: Option<u64>,
    pub cpu_shares: Option<u64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub pids: Option<i64>,
    pub blkio_weight: Option<u16>,
    /// Which devices may be used, in order.
    pub devices: Vec<LinuxDeviceCgroup>,
}

/// The kernel's default period in microseconds (scheduler/sched-bwc).
const PERIOD: u64 = 100_000;

pub(super) fn plan(
    settings: &Settings,
    survey: &Survey,
    base: &Base,
    warnings: &mut Vec<String>,
) -> Result<Resources> {
    let limits = &settings.limits;
    let given = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0).filter(|bytes| *bytes > 0);
    let (memory, reservation) = (given(limits.memory), given(limits.memory_reservation));
    check_cpus(limits, survey)?;
    let quota = limits.cpus.map(|cpus| cpus.thousandths * PERIOD / 1000);
    let devices = if settings.privileged {
        vec![all_devices()]
    } else {
        device_rules(base, survey)
    };
    Ok(Resources {
        memory: memory.map(signed),
        memory_swap: swap(limits, memory, survey, warnings),
        memory_reservation: reservation.map(signed),
        oom_kill_disable: oom_kill_disable(limits, survey, warnings)?,
        cpu_quota: quota.map(signed),
        cpu_period: quota.map(|_| PERIOD),
        cpu_shares: limits.cpu_shares.map(|shares| shares.0),
        cpuset_cpus: limits.cpuset_cpus.clone(),
        cpuset_mems: limits.cpuset_mems.clone(),
        pids: match limits.pids {
            Some(PidsLimit::Most(most)) => Some(i64::from(most)),
            Some(PidsLimit::Unlimited) => Some(-1),
            None => None,
        },
        blkio_weight: blkio_weight(limits, survey, warnings),
        devices,
    })
}

/// docker's default is twice the memory.
fn swap(
    limits: &Limits,
    memory: Option<u64>,
    survey: &Survey,
    warnings: &mut Vec<String>,
) -> Option<i64> {
    let swap = match (limits.memory_swap, memory) {
        (None | Some(SwapLimit::Total(Bytes(0))), None) => return None,
        (None | Some(SwapLimit::Total(Bytes(0))), Some(memory)) => {
            return survey
                .facts
                .swap_accounting
                .then(|| signed(memory.saturating_mul(2)));
        }
        (Some(SwapLimit::Unlimited), _) => -1,
        (Some(SwapLimit::Total(Bytes(total))), _) => signed(total),
    };
    if !survey.facts.swap_accounting {
        warnings.push("--memory-swap has no effect: this kernel does not count swap".into());
        return None;
    }
    Some(swap)
}

fn oom_kill_disable(
    limits: &Limits,
    survey: &Survey,
    warnings: &mut Vec<String>,
) -> Result<Option<bool>> {
    if !limits.oom_kill_disable {
        return Ok(None);
    }
    if survey.facts.cgroup_layout == Layout::Unified {
        return Err(
            Failure::usage("--oom-kill-disable cannot be honoured on this host")
                .because("cgroup v2 has no such setting")
                .hint("leave it out, and raise --memory instead"),
        );
    }
    if limits.memory.is_none_or(|memory| memory.0 == 0) {
        warnings.push("--oom-kill-disable without --memory may hang the whole host".into());
    }
    Ok(Some(true))
}

fn check_cpus(limits: &Limits, survey: &Survey) -> Result<()> {
    let count = survey.cpus.count();
    if let Some(cpus) = limits.cpus
        && u128::from(cpus.thousandths) > count as u128 * 1000
    {
        return Err(Failure::usage(format!(
            "--cpus must not be above {count}: this host has no more"
        )));
    }
    for (flag, wanted, host) in [
        ("--cpuset-cpus", &limits.cpuset_cpus, &survey.cpus),
        ("--cpuset-mems", &limits.cpuset_mems, &survey.memory_nodes),
    ] {
        let wanted = wanted.as_deref().and_then(NumberList::parse);
        if let Some(absent) = wanted.and_then(|wanted| host.lacks(&wanted)) {
            return Err(Failure::usage(format!(
                "{flag} names {absent}, and this host has {host}"
            )));
        }
    }
    Ok(())
}

/// docker discards it too, with a warning: it never was more than a hint to the kernel.
fn blkio_weight(limits: &Limits, survey: &Survey, warnings: &mut Vec<String>) -> Option<u16> {
    let weight = limits.blkio_weight?.0;
    if weight > 0 && !survey.weighs_block_io {
        warnings.push("--blkio-weight has no effect: this kernel does not weigh block I/O".into());
        return None;
    }
    (weight > 0).then_some(weight)
}

/// docker's rule for `--privileged`.
fn all_devices() -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true).set_access(Some("rwm".to_owned()));
    rule
}

fn device_rules(base: &Base, survey: &Survey) -> Vec<LinuxDeviceCgroup> {
    let mut rules = base.devices.clone();
    rules.extend(survey.devices.iter().map(crate::survey::DeviceNode::rule));
    rules
}

/// Bytes and shares are parsed below 2^63; doubling saturates.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{plan, plan_on, refusal, survey};
    use super::*;

    #[test]
    fn swap_is_twice_the_memory_unless_it_is_said_or_not_counted() {
        let swap = |flags: &[(&str, &str)]| plan(flags).resources.memory_swap;
        assert_eq!(swap(&[]), None);
        assert_eq!(swap(&[("memory", "64m")]), Some(128 << 20));
        assert_eq!(swap(&[("memory", "64m"), ("memory_swap", "-1")]), Some(-1));
        assert_eq!(swap(&[("memory", "9223372036854774784")]), Some(i64::MAX));

        let mut host = survey();
        host.facts.swap_accounting = false;
        let quiet = plan_on(&host, &[("memory", "64m")]).unwrap();
        assert_eq!(
            (quiet.resources.memory_swap, quiet.warnings.len()),
            (None, 0)
        );
        let asked = plan_on(&host, &[("memory", "64m"), ("memory_swap", "96m")]).unwrap();
        assert_eq!(asked.resources.memory_swap, None);
        assert!(asked.warnings[0].contains("--memory-swap has no effect"));
    }

    #[test]
    fn a_limit_of_0_is_none() {
        let zeros = [
            ("memory", "0"),
            ("memory_reservation", "0"),
            ("blkio_weight", "0"),
        ];
        let resources = plan(&zeros).resources;
        assert_eq!(resources.memory, None);
        assert_eq!(resources.memory_reservation, None);
        assert_eq!(resources.blkio_weight, None);
        assert_eq!(plan(&[("pids_limit", "0")]).resources.pids, Some(-1));
    }

    #[test]
    fn cpus_become_a_share_of_the_kernel_s_period() {
        let resources = plan(&[("cpus", "1.5")]).resources;
        assert_eq!(
            (resources.cpu_quota, resources.cpu_period),
            (Some(150_000), Some(100_000))
        );
        assert!(plan_on(&survey(), &[("cpus", "4")]).is_ok());
        assert!(refusal(&[("cpus", "4.001")]).contains("above 4"));
    }

    #[test]
    fn cpus_and_memory_nodes_must_be_online() {
        let mut host = survey();
        host.cpus = NumberList::parse("0,2-3").unwrap();
        assert!(plan_on(&host, &[("cpuset_cpus", "0,2-3")]).is_ok());
        let refused = plan_on(&host, &[("cpuset_cpus", "0-3")]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "--cpuset-cpus names 1, and this host has 0,2-3"
        );
        assert!(plan_on(&host, &[("cpus", "3.5")]).is_err());
        assert!(refusal(&[("cpuset_mems", "0-1")]).contains("--cpuset-mems names 1"));
    }

    #[test]
    fn a_weight_of_block_io_is_dropped_with_a_warning_where_the_kernel_has_none() {
        assert_eq!(
            plan(&[("blkio_weight", "300")]).resources.blkio_weight,
            Some(300)
        );
        let mut host = survey();
        host.weighs_block_io = false;
        let plan = plan_on(&host, &[("blkio_weight", "300")]).unwrap();
        assert_eq!(plan.resources.blkio_weight, None);
        assert!(plan.warnings[0].contains("--blkio-weight has no effect"));
    }

    #[test]
    fn the_oom_killer_can_be_disabled_on_v1_alone() {
        let flags = [("oom_kill_disable", "true")];
        assert!(refusal(&flags).contains("--oom-kill-disable"));
        let mut host = survey();
        host.facts.cgroup_layout = Layout::Legacy;
        let plan = plan_on(&host, &flags).unwrap();
        assert_eq!(plan.resources.oom_kill_disable, Some(true));
        assert!(plan.warnings[0].contains("without --memory"));
    }

    #[test]
    fn devices_are_denied_first_and_those_asked_for_allowed_last() {
        let mut host = survey();
        host.devices.push(crate::survey::DeviceNode {
            target: "/dev/x".into(),
            block: true,
            major: 7,
            minor: 0,
            mode: 0o600,
            uid: 0,
            gid: 0,
            access: "r".into(),
        });
        let devices = plan_on(&host, &[]).unwrap().resources.devices;
        assert!(!devices.first().unwrap().allow());
        let last = devices.last().unwrap();
        assert_eq!(
            (last.major(), last.access().as_deref()),
            (Some(7), Some("r"))
        );
        let privileged = plan(&[("privileged", "true")]).resources.devices;
        assert_eq!(privileged, [all_devices()]);
    }
}
