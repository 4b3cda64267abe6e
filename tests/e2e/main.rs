//! The real binary against a real, private containerd (`scripts/with-containerd` starts one).
//!
//! Every test has a [`Host`](support::Host): a containerd namespace, a state directory and a cgroup
//! subpath of its own, and a ledger of everything in them, which must be the same after the test as
//! before.

mod exit_codes;
mod first;
mod init_died;
mod killed;
mod memory;
mod names;
mod pass_fd;
mod stop;
mod stopped_containerd;
mod streams;
mod support;
mod tty;
