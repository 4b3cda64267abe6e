//! The container's cgroup, explicitly at `<mount path>/<controller…>/<subpath>/<id>`.
//!
//! In go the operator's two settings ([`Hierarchies`] is what is mounted, [`Subpath`] where below)
//! and a container's id; out comes a [`Group`]: that container's directories in all hierarchies,
//! made before the runtime needs them, read ([`Usage`]), killed and removed. Works on v1, hybrid and
//! v2 hosts. Limits are the runtime's to set, from the OCI spec. Never touched: a directory that
//! somebody else made, and a process outside the group.
//!
//! cgroups-rs gives the freezer of both versions and what a v1 cpuset needs before anything can live
//! in it (`controls.rs`). By hand is what it cannot do or gets wrong (version 0.5):
//! - detection: it looks at `/sys/fs/cgroup` and mountinfo only, so another mount path, a hybrid
//!   host's `unified` and the `misc` controller do not exist for it; parsing mountinfo also takes
//!   milliseconds on a host with many mounts;
//! - creation: `create_dir_all` cannot tell which parents are ours to remove, and its errors name no
//!   path;
//! - removal: it sleeps 10 to 80 ms after each refusal; ours waits for the kernel's notice;
//! - usage: a file that is missing reads as 0;
//! - killing: refused on hybrid hosts, absent on v1; and a pid it cannot parse becomes 0, which
//!   kill(2) takes for our own process group.

mod controls;
mod current;
#[cfg(test)]
mod fixture;
mod group;
mod hierarchies;
mod kill;
mod mark;
mod membership;
mod parents;
mod subpath;
mod tree;
mod usage;
mod wait;

pub use current::Current;
pub use group::Group;
pub use hierarchies::{FileSystem, Hierarchies, Hierarchy, Layout, Version};
pub use mark::all_below as marks_below;
pub use membership::{Membership, own_membership};
pub use subpath::Subpath;
pub use usage::Usage;
