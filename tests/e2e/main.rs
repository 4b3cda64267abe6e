//! The real binary against a real, private containerd (`scripts/with-containerd` starts one).
//!
//! Every test has a [`Host`](support::Host): a containerd namespace, a state directory and a cgroup
//! subpath of its own, and a ledger of everything in them, which must be the same after the test as
//! before.

mod capabilities;
mod devices;
mod environment;
mod exit_codes;
mod first;
mod identity;
mod images;
mod kernel_files;
mod killed;
mod limits;
mod mounts;
mod process;
mod runtimes;
mod stop;
mod streams;
mod support;
mod users;
mod volumes;
