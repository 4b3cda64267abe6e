//! Reads a JSON data file that a user may hand us, and says where it is wrong.
//!
//! In goes a path; out comes a value, or a failure naming file, line and column. It must never
//! hang on a FIFO or fill the memory from an endless file.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::failure::{Context, Kind, Result};
use crate::regular_file;

/// Far above any data file of ours: the largest, the seccomp profile, has 17 KiB.
const MAX_BYTES: u64 = 4 << 20;

/// Reads `path`, which the messages call `what`.
pub fn read<T: DeserializeOwned>(what: &str, path: &Path) -> Result<T> {
    let bytes = regular_file::read(path, MAX_BYTES).or_fail(Kind::Usage, || {
        format!("cannot read the {what} {}", path.display())
    })?;
    parse(&bytes).or_fail(Kind::Usage, || {
        format!("cannot use the {what} {}", path.display())
    })
}

/// Parses the text of a data file; the error's text ends in line and column.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_file_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.json");
        std::fs::write(&path, "[1,\n  true]").unwrap();
        let message = read::<Vec<u8>>("list", &path).unwrap_err().to_string();
        assert!(message.contains("list.json"), "{message}");
        assert!(message.contains("line 2 column 6"), "{message}");
    }

    #[test]
    fn a_huge_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("huge.json");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(MAX_BYTES + 1).unwrap();
        let message = read::<Vec<u8>>("list", &path).unwrap_err().to_string();
        assert!(message.ends_with("larger than 4 MiB"), "{message}");
    }
}
