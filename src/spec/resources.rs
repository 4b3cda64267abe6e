//! The cgroup's part of the OCI spec (config-linux.md, "Control groups").

use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources,
};

use crate::failure::{Context, Kind, Result};
use crate::plan::Resources;

/// Limits that are not set are left out: the runtime then leaves the kernel's own.
pub(super) fn document(planned: &Resources) -> Result<LinuxResources> {
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(planned.memory)
        .set_swap(planned.memory_swap)
        .set_reservation(planned.memory_reservation)
        .set_disable_oom_killer(planned.oom_kill_disable);

    let mut cpu = LinuxCpu::default();
    cpu.set_shares(planned.cpu_shares)
        .set_quota(planned.cpu_quota)
        .set_period(planned.cpu_period)
        .set_cpus(planned.cpuset_cpus.clone())
        .set_mems(planned.cpuset_mems.clone());

    let mut resources = LinuxResources::default();
    resources.set_devices(Some(planned.devices.clone()));
    resources.set_memory((memory != LinuxMemory::default()).then_some(memory));
    resources.set_cpu((cpu != LinuxCpu::default()).then_some(cpu));
    resources.set_pids(planned.pids.map(|limit| {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        pids
    }));
    resources.set_block_io(planned.blkio_weight.map(block_io).transpose()?);
    Ok(resources)
}

fn block_io(weight: u16) -> Result<LinuxBlockIo> {
    LinuxBlockIoBuilder::default()
        .weight(weight)
        .build()
        .or_fail(Kind::Usage, || "invalid --blkio-weight")
}
