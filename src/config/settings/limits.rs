//! What the cgroup is to allow, and which of its values exclude each other on any host.

use super::super::layer::Merged;
use super::super::values::{Bytes, SwapLimit, cpu_list};
use super::Limits;
use super::read::{optional, optional_with, switch, unless_zero};
use crate::failure::Result;

/// docker's minimum: below it, runc cannot start anything.
const MIN_MEMORY: Bytes = Bytes(6 << 20);

/// All limits; none of them where limit_resource is off.
pub(super) fn limits(merged: &Merged) -> Result<Limits> {
    // What is no limit is a mistake also where limits are off.
    let limits = Limits {
        memory: unless_zero(merged, "memory")?,
        memory_swap: optional(merged, "memory_swap")?,
        memory_reservation: unless_zero(merged, "memory_reservation")?,
        oom_kill_disable: switch(merged, "oom_kill_disable")?,
        cpus: unless_zero(merged, "cpus")?,
        cpu_shares: unless_zero(merged, "cpu_shares")?,
        cpuset_cpus: optional_with(merged, "cpuset_cpus", cpu_list)?,
        cpuset_mems: optional_with(merged, "cpuset_mems", cpu_list)?,
        pids: optional(merged, "pids_limit")?,
        blkio_weight: optional(merged, "blkio_weight")?,
    };
    if !switch(merged, "limit_resource")? {
        return Ok(Limits::default());
    }
    for (name, bytes) in [
        ("memory", limits.memory),
        ("memory_reservation", limits.memory_reservation),
    ] {
        if let (Some(item), Some(bytes)) = (merged.one(name), bytes)
            && (1..MIN_MEMORY.0).contains(&bytes.0)
        {
            return Err(item.refuse(format!("it must be at least 6m: nothing starts in {bytes}")));
        }
    }
    reservation_and_swap(&limits, merged)?;
    Ok(limits)
}

/// docker's rules: a reservation is not above the limit, and swap needs a memory limit, since it says
/// both together.
fn reservation_and_swap(limits: &Limits, merged: &Merged) -> Result<()> {
    let memory = limits
        .memory
        .map(|bytes| bytes.0)
        .filter(|bytes| *bytes > 0);
    if let (Some(item), Some(reservation), Some(memory)) = (
        merged.one("memory_reservation"),
        limits.memory_reservation,
        memory,
    ) && reservation.0 > memory
    {
        return Err(item.refuse("it must not be above the memory limit"));
    }
    let (Some(item), Some(SwapLimit::Total(Bytes(total @ 1..)))) =
        (merged.one("memory_swap"), limits.memory_swap)
    else {
        return Ok(());
    };
    match memory {
        None => Err(item.refuse("it needs --memory: it is memory and swap together")),
        Some(memory) if total < memory => {
            Err(item.refuse("it must not be below --memory: it is memory and swap together"))
        }
        Some(_) => Ok(()),
    }
}
