//! Which system calls a payload may make.
//!
//! In goes a [`Profile`], our own or a user's file; [`resolve`] decides its conditions for one
//! container on one host, and out comes the OCI form, which knows no conditions. Whether a
//! container has a filter at all is the planner's decision.

mod profile;
mod resolve;
mod text;

pub use profile::{ArchitectureMapping, Architectures, Conditions, Profile, Rule};
pub use resolve::resolve;
