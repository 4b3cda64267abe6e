//! Which CPUs and memory nodes this host has, from the kernel's lists below `/sys`.
//!
//! The lists may have holes: a CPU can be taken offline.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

/// A list such as `0-3,7` (cpuset(7), "List format").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberList {
    text: String,
    numbers: BTreeSet<u32>,
}

impl NumberList {
    /// What the kernel's file `path` lists; 0 alone where there is none, as on a kernel without NUMA.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        Self::parse(text.trim()).unwrap_or_else(|| Self {
            text: "0".to_owned(),
            numbers: [0].into(),
        })
    }

    /// Nothing unless `text` is such a list.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (from.parse::<u16>().ok()?, to.parse::<u16>().ok()?);
            numbers.extend((from..=to).map(u32::from));
        }
        Some(Self {
            text: text.to_owned(),
            numbers,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The first of `wanted` that is not among them.
    pub fn lacks(&self, wanted: &Self) -> Option<u32> {
        wanted.numbers.difference(&self.numbers).next().copied()
    }
}

impl fmt::Display for NumberList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> NumberList {
        NumberList::parse(text).unwrap()
    }

    #[test]
    fn a_list_has_ranges_and_holes() {
        let host = list("0,2-3,7");
        assert_eq!((host.count(), host.to_string().as_str()), (4, "0,2-3,7"));
        assert_eq!(host.lacks(&list("2,7")), None);
        assert_eq!(host.lacks(&list("2-7")), Some(4));
        for bad in ["", "a", "1-", "-1", "70000"] {
            assert_eq!(NumberList::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_kernel_without_the_file_has_number_0() {
        assert_eq!(NumberList::read(Path::new("/nonexistent")), list("0"));
    }
}
