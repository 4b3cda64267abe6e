//! airtight runs one task in one sealed container by talking to containerd directly.
//!
//! The modules below are the rooms of `docs/design.md`, in the direction data flows:
//! settings are merged ([`config`]), decided ([`plan`]), written as an OCI spec ([`spec`]),
//! launched, supervised and cleaned up ([`run`]), and what a dead owner left is undone ([`reap`]).

pub mod airflow;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod containerd;
pub mod failure;
pub mod fence;
pub mod host;
pub mod id;
pub mod image;
pub mod kernel;
#[allow(
    unsafe_code,
    reason = "sockets that carry descriptors, and handles on processes"
)]
pub mod leash;
pub mod parse;
pub mod plan;
pub mod reap;
mod regular_file;
pub mod run;
pub mod secret;
pub mod signals;
pub mod spec;
pub mod survey;
