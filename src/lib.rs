//! airtight runs one task in one sealed container by talking to containerd directly.
//!
//! The modules below are the rooms of `docs/design.md`, in the direction data flows:
//! settings are merged ([`config`]), decided ([`plan`]), written as an OCI spec ([`spec`]),
//! launched, supervised and cleaned up ([`run`]), and what a dead owner left is undone ([`reap`]).

pub mod containerd;
pub mod failure;
pub mod id;
#[allow(unsafe_code, reason = "descriptor passing and process handles")]
pub mod leash;
