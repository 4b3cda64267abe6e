//! Reading a configuration file that somebody else may have put there: bounded, and never waiting.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::failure::{Failure, Result};

/// No hand-written file comes near it.
const MAX_SIZE: u64 = 1 << 20;

/// The text of a regular file; nothing if there is none.
pub fn read(path: &Path) -> Result<Option<String>> {
    let fail = |why: String| Failure::usage(format!("cannot read {}", path.display())).because(why);
    // Non-blocking: opening a FIFO without a writer would wait for ever.
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path);
    let file = match open {
        Ok(file) => file,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(fail(why.to_string())),
    };
    if !file
        .metadata()
        .map_err(|why| fail(why.to_string()))?
        .is_file()
    {
        return Err(fail("it is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| fail(why.to_string()))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(fail("it is larger than 1 MiB".into()));
    }
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|why| {
        fail(format!(
            "it is not UTF-8 at byte {}",
            why.utf8_error().valid_up_to()
        ))
    })
}
