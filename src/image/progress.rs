//! What a long piece of work is doing, for whoever wants to show it.

use super::digest::Digest;

/// One step of an import or an unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A blob goes into the content store.
    Storing {
        /// Which.
        digest: Digest,
        /// Bytes stored.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A layer becomes a snapshot.
    Unpacking {
        /// Which, from 1.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
}

/// Who is told.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);
