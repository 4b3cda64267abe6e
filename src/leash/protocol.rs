//! The messages on the leash.
