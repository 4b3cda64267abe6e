//! `--cidfile`: a file with the id, which must not have been there, as docker has it. That of a run which
//! does not start goes again.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;

/// The file.
pub struct CidFile {
    path: PathBuf,
    file: File,
    keep: Cell<bool>,
}

impl CidFile {
    /// Makes it.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).map_err(|why| {
            let failure = Failure::usage(format!("cannot make the file {}", path.display()));
            failure
                .because(why)
                .hint("--cidfile never writes over a file: it may belong to another run")
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            keep: Cell::new(false),
        })
    }

    /// Writes the id.
    pub fn write(&self, id: &ContainerId) -> Result<()> {
        let mut file = &self.file;
        file.write_all(id.as_str().as_bytes())
            .or_fail(Kind::Host, || {
                format!("cannot write {}", self.path.display())
            })
    }

    /// The run has started.
    pub fn keep(&self) {
        self.keep.set(true);
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if !self.keep.get() {
            // It is empty or names nothing; somebody else may have removed it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
