//! airtight runs one task in one sealed container by talking to containerd directly.
//!
//! The modules below are the rooms of `docs/design.md`, in the direction data flows:
//! settings are merged ([`config`]), decided ([`plan`]), written as an OCI spec ([`spec`]),
//! launched, supervised and cleaned up ([`run`]), and what a dead owner left is undone ([`reap`]).

pub mod cgroup {
    #[derive(Debug, Clone)]
    pub struct Subpath(pub String);
    impl std::str::FromStr for Subpath {
        type Err = crate::failure::Failure;
        fn from_str(s: &str) -> Result<Self, Self::Err> {
            Ok(Self(s.into()))
        }
    }
}
pub mod config;
pub mod containerd;
pub mod failure;
pub mod id;
pub mod kernel;
#[allow(unsafe_code, reason = "descriptors that arrive over a socket")]
pub mod leash;
pub mod plan;
pub mod spec;
