//! The real binary against a real, private containerd (`scripts/with-containerd` starts one).
//!
//! Every test has a [`Host`](support::Host): a containerd namespace, a state directory and a cgroup
//! subpath of its own, and a ledger of everything in them, which must be the same after the test as
//! before.

mod bad_values;
mod bundle;
mod connection;
mod dag_file;
mod dry_run;
mod first;
mod habits;
mod help;
mod images;
mod support;
mod verdict;
