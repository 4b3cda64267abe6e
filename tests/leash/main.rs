//! The real init and the owner's end of the leash, without containerd: as PID 1 of a new pid
//! namespace, and as an ordinary process in ours.
//!
//! Needs root (for namespaces), util-linux and coreutils. A payload's standard output doubles as
//! the sign of life of its whole family: it ends when the last process that holds it is dead.

mod commands;
mod descriptors;
mod ends;
mod inside;
mod signals;
mod terminals;
