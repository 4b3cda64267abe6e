//! What this machine itself has, from which a test computes what a payload must see.

use std::fs;
use std::path::Path;

/// CAP_SYS_RESOURCE's number (linux/capability.h).
const CAP_SYS_RESOURCE: u64 = 24;

/// The capabilities that can be had here: all of them, unless this machine is itself a container.
pub fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(mask.unwrap().trim(), 16).unwrap()
}

/// Hard limits can be raised here.
pub fn can_raise_limits() -> bool {
    capabilities() >> CAP_SYS_RESOURCE & 1 == 1
}

/// The lines of a `limits` file (proc(5)) as name, soft and hard limit.
pub fn limits(text: &str) -> Vec<(String, String, String)> {
    let field = |line: &str, from, to| line.get(from..to).unwrap_or_default().trim().to_owned();
    let rows = text.lines().skip(1);
    rows.map(|line| (field(line, 0, 26), field(line, 26, 47), field(line, 47, 68)))
        .collect()
}

/// What this kernel shows among the options of every tmpfs, though nobody gave it: the width of inode
/// numbers (kernel, mm/shmem.c, shmem_show_options).
pub fn option_of_every_tmpfs() -> &'static str {
    let mounts = read("/proc/self/mounts");
    let mut tmpfs = mounts.lines().filter(|line| line.contains(" tmpfs "));
    if tmpfs.any(|line| line.contains(",inode64")) {
        ",inode64"
    } else {
        ""
    }
}

/// Those of `paths` that exist here.
pub fn existing<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    let exists = |path: &&str| Path::new(path).exists();
    paths.iter().copied().filter(exists).collect()
}

/// A line of a kernel file.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let text = fs::read_to_string(path);
    text.unwrap_or_else(|why| panic!("{}: {why}", path.display()))
        .trim_end()
        .to_owned()
}
