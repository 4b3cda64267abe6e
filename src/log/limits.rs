//! How much of a log is kept.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// What the files of one log may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// In bytes: a file that would become longer is followed by the next one. None is unlimited.
    pub max_size: Option<u64>,
    /// So many files are kept, the one that is written included.
    pub max_files: NonZeroU32,
}
