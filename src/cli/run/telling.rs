//! How a run ended, told to people on standard error and to programs in a file.
//!
//! In: a verdict. Nothing goes to standard output, which is the payload's.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use crate::cli::{out, print_failure};
use crate::failure::{Context, Failure, Kind, Result};
use crate::run::verdict::{Cause, Verdict};

/// On standard error.
pub(super) fn report(verdict: &Verdict, failure: Option<Failure>, verbose: bool) {
    match failure {
        Some(failure) => print_failure(&failure),
        None if matches!(
            verdict.cause,
            Cause::StartFailed { .. } | Cause::Lost { .. }
        ) =>
        {
            out::tell(&verdict.cause)
        }
        None => {}
    }
    for leftover in &verdict.leftovers {
        out::tell(format_args!(
            "left over, to be undone by a later airtight command: {leftover}"
        ));
    }
    if verbose {
        out::tell(verdict);
    }
}

/// Where the verdict goes: opened before the run, so that a path that cannot be written is known then.
pub(super) struct VerdictFile {
    path: PathBuf,
    file: File,
}

impl VerdictFile {
    /// Makes it.
    pub fn create(path: &PathBuf) -> Result<Self> {
        if path.as_os_str() == "-" {
            return Err(Failure::usage(
                "--verdict needs a file: stdout is the payload's",
            ));
        }
        let file = File::create(path).or_fail(Kind::Usage, || {
            format!("cannot write the verdict to {}", path.display())
        })?;
        Ok(Self {
            path: path.clone(),
            file,
        })
    }

    /// Writes it.
    pub fn write(mut self, verdict: &Verdict) -> Result<()> {
        let cannot = || format!("cannot write the verdict to {}", self.path.display());
        let mut json = serde_json::to_vec_pretty(verdict).or_fail(Kind::Host, cannot)?;
        json.push(b'\n');
        self.file.write_all(&json).or_fail(Kind::Host, cannot)
    }
}
