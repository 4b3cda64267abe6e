//! Warm parsers: containers in which DAG files are parsed, a fork for each, and their keeper.
//!
//! ```text
//! client ──order──▶ keeper ──job──▶ program in a container ──fork──▶ one file
//!        ◀──end───         ◀─ended─
//! ```
//!
//! In: orders of a client's, through a socket. Out: how each ended. `docs/parsers.md` tells the protocol and
//! the life of a container. Files share a container only where image and settings are the same ([`recipe`]);
//! which container lives how long is decided in [`pool`]. For a person at
//! a shell there are a [`client`] in the same process, a search for DAG files ([`discover`]) and the programs
//! themselves ([`inside`]). Nothing here reads settings, executes Python on the host, or prints.

pub mod client;
mod container;
mod control;
mod death;
pub mod discover;
pub mod inside;
pub mod keeper;
pub mod message;
pub mod pool;
pub mod recipe;
