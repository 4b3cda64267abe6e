//! stub
#![allow(missing_docs)]
use std::fs::read_to_string as r;
use std::path::Path;
#[derive(Debug)]
pub struct Facts {
    pub cgroup_layout: crate::cgroup::Layout,
    pub last_capability: u8,
    pub kernel: crate::kernel::KernelVersion,
    pub hostname: String,
    pub app_armor: bool,
    pub swap_accounting: bool,
    pub boot_id: String,
}
impl Facts {
    pub fn read(_r: &Path, c: &Path) -> crate::failure::Result<Self> {
        let t = |p: &str| r(p).unwrap_or_default().trim().to_owned();
        Ok(Self {
            cgroup_layout: crate::cgroup::Hierarchies::detect(c)?.layout(),
            last_capability: t("/proc/sys/kernel/cap_last_cap").parse().unwrap_or(40),
            kernel: t("/proc/sys/kernel/osrelease").parse().unwrap(),
            hostname: t("/proc/sys/kernel/hostname"),
            app_armor: false,
            swap_accounting: Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
                .exists(),
            boot_id: t("/proc/sys/kernel/random/boot_id"),
        })
    }
}
