//! What a long piece of work is doing, for whoever wants to show it.

use super::digest::Digest;

/// One step of an import, a pull or an unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A pull knows what the image consists of.
    Resolved {
        /// What its name points to.
        target: Digest,
        /// How many layers it has.
        layers: usize,
        /// What they take in all.
        bytes: u64,
    },
    /// A layer is in the content store.
    Layer {
        /// Which.
        digest: Digest,
        /// Its size.
        bytes: u64,
        /// Whether it had to be fetched.
        fetched: Fetched,
    },
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

/// Whether something came from a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was here.
    Already,
    /// It came now.
    Now,
}

/// Who is told.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);
