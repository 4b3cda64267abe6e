//! The bytes of an airflow.cfg, read safely.
//!
//! In: a path. Out: UTF-8 text. It never waits for a FIFO, reads no more than 1 MiB, and says on
//! which line the text is none.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::python;
use crate::failure::{Failure, Result};

/// Ten times the file that Airflow writes with all its comments.
const MAX_SIZE: u64 = 1 << 20;

/// Reads a regular file.
pub(super) fn read(path: &Path) -> Result<String> {
    let fail = |why: String| Failure::usage(format!("cannot read {}", path.display())).because(why);
    let bytes = bytes(path).map_err(|why| fail(why.to_string()))?;
    String::from_utf8(bytes).map_err(|why| {
        let valid = why.utf8_error().valid_up_to();
        let before = why.as_bytes().get(..valid).unwrap_or_default();
        let line = line_after(&String::from_utf8_lossy(before));
        let failure = Failure::usage(format!("cannot read {}:{line}", path.display()));
        failure.because("it is not UTF-8")
    })
}

/// The number of the line that goes on, or begins, where `text` ends.
fn line_after(text: &str) -> usize {
    let complete = text.is_empty() || text.ends_with(['\n', '\r']);
    python::lines(text).count() + usize::from(complete)
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(path: &Path) -> String {
        read(path).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_small_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [fifo.as_path(), dir.path(), Path::new("/dev/zero")] {
            assert!(why(path).ends_with("not a regular file"));
        }
        let large = dir.path().join("large");
        std::fs::File::create(&large)
            .unwrap()
            .set_len(MAX_SIZE + 1)
            .unwrap();
        assert!(why(&large).ends_with("larger than 1 MiB"));
        assert!(why(&dir.path().join("none")).contains("No such file"));
    }

    #[test]
    fn bytes_that_are_no_text_are_found_on_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cfg");
        for (bytes, line) in [(&b"\xff"[..], 1), (b"a\n\xff", 2), (b"a\r\n\r\nb\xff\n", 3)] {
            std::fs::write(&path, bytes).unwrap();
            let expected = format!("cannot read {}:{line}: it is not UTF-8", path.display());
            assert_eq!(why(&path), expected);
        }
    }
}
