//! The real binary against a real, private containerd (`scripts/with-containerd` starts one).
//!
//! Every test has a [`Host`](support::Host): a containerd namespace, a state directory and a cgroup
//! subpath of its own, and a ledger of everything in them, which must be the same after the test as
//! before.

mod airflow_name;
mod bad_values;
mod bundle;
mod capabilities;
mod config_verbs;
mod confined;
mod connection;
mod dag_file;
mod devices;
mod dry_run;
mod environment;
mod events_verb;
mod exec_verb;
mod exit_codes;
mod first;
mod habits;
mod help;
mod hook;
mod hostile_files;
mod identity;
mod image_verbs;
mod images;
mod init_died;
mod kernel_files;
mod kill_verb;
mod killed;
mod limits;
mod memory;
mod mounts;
mod names;
mod parse;
mod parse_verb;
mod pass_fd;
mod process;
mod profile;
mod pull;
mod pull_access;
mod pull_broken;
mod pull_for_dags;
mod pull_hostile;
mod runtimes;
mod secrets;
mod stats_verb;
mod stop;
mod stop_verb;
mod stopped_containerd;
mod streams;
mod support;
mod tty;
mod users;
mod verdict;
mod volumes;
