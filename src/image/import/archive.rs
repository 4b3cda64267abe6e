//! The table of contents of a tar archive: where each entry's bytes are.
//!
//! Only headers are read, by offset; content is read when asked for, straight from the archive's
//! file. No name in an archive ever touches a file system: names are keys of a map, and one that
//! would leave the archive is refused. Read by ourselves rather than by the tar crate's iterator,
//! which keeps extension headers of any length in memory and forgets offsets of long entries.

mod index;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::source::Source;
use crate::failure::{Context, Failure, Kind, Result};
use index::{index, normalize};

/// How many links may follow each other (Linux, MAXSYMLINKS).
const MAX_LINKS: usize = 40;

/// An archive, opened and indexed.
#[derive(Debug)]
pub struct Archive {
    file: File,
    name: String,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    File(Extent),
    /// Another entry, by its full name.
    Link(String),
    Other,
}

/// Where an entry's bytes are in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    offset: u64,
    /// How many there are.
    pub size: u64,
}

impl Archive {
    /// Opens and indexes what `source` gives. Blocks until standard input has ended.
    pub fn open(source: &Source) -> Result<Self> {
        let file = source.open()?;
        let name = source.to_string();
        let entries = index(&file).or_fail(Kind::Image, || format!("cannot import {name}"))?;
        Ok(Self {
            file,
            name,
            entries,
        })
    }

    /// Whether there is an entry of this name.
    pub(super) fn has(&self, entry: &str) -> bool {
        self.entries.contains_key(entry)
    }

    /// Where the bytes of a file are; links are followed.
    pub(super) fn locate(&self, entry: &str) -> Result<Extent> {
        let mut at = normalize("", entry).unwrap_or_default();
        for _ in 0..MAX_LINKS {
            match self.entries.get(&at) {
                Some(Entry::File(extent)) => return Ok(*extent),
                Some(Entry::Link(target)) => at.clone_from(target),
                Some(Entry::Other) => return Err(self.fail(entry, "it is not a regular file")),
                None if at == entry => return Err(self.fail(entry, "it is missing")),
                None => return Err(self.fail(entry, format!("it links to {at}, which is missing"))),
            }
        }
        Err(self.fail(entry, "its links form a loop"))
    }

    /// The whole content of a file of at most `limit` bytes.
    pub(super) fn read(&self, entry: &str, limit: usize) -> Result<Vec<u8>> {
        let extent = self.locate(entry)?;
        match usize::try_from(extent.size) {
            Ok(size) if size <= limit => self.read_part(entry, extent, 0, size),
            _ => Err(self.fail(
                entry,
                format!("it has {} bytes, {limit} are the limit", extent.size),
            )),
        }
    }

    /// At most `length` bytes of a file, from `position` in it.
    pub(super) fn read_part(
        &self,
        entry: &str,
        extent: Extent,
        position: u64,
        length: usize,
    ) -> Result<Vec<u8>> {
        let left = extent.size.saturating_sub(position);
        let mut bytes = vec![0; usize::try_from(left).map_or(length, |left| left.min(length))];
        self.file
            .read_exact_at(&mut bytes, extent.offset + position)
            .map_err(|error| self.fail(entry, error))?;
        Ok(bytes)
    }

    /// A failure that names the archive and the entry.
    pub(super) fn fail(
        &self,
        entry: &str,
        why: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Failure {
        let what = format!("cannot import {}: entry {entry}", self.name);
        Failure::new(Kind::Image, what).because(why)
    }

    /// A failure that names the archive.
    pub(super) fn fail_whole(&self, why: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::new(Kind::Image, format!("cannot import {}", self.name)).because(why)
    }
}

#[cfg(test)]
mod tests;
