//! The command line: one file per verb, and how things are printed.
//!
//! Nothing here decides anything about containers.

pub mod human;
pub mod image;
pub mod out;
