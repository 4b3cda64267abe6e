//! The logs of detached runs: their format, who writes them, and who reads them.
//!
//! A log is a directory of numbered files, the newest with the highest number. One process writes them
//! ([`writer`]), which is neither the owner nor the payload: it goes on when the owner is stopped or dead,
//! and its lock says that more may come. Nothing here knows of containers.

pub mod files;
pub mod follow;
pub mod limits;
pub mod lines;
pub mod reader;
pub mod record;
pub mod select;
pub mod show;
pub mod writer;
