//! From decisions to the OCI runtime specification: who the payload runs as, what it may do and
//! what it sees.
//!
//! In go plain data and the files of `runtime-specs/`; out come the types of the OCI runtime
//! specification. Nothing here talks to containerd or to a network.

pub mod base;
pub mod capabilities;
mod data_file;
mod document;
mod files;
mod resources;
pub mod rootfs_files;
pub mod seccomp;
pub mod user;

pub use document::{Places, Settled, SettledMounts, document, stable_json};
pub use files::write_files;
