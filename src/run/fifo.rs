//! The payload's stdin, stdout and stderr where there is no init: FIFOs between the shim and us.
//!
//! The shim opens both ends of each and closes them when the payload has ended, so our copies end
//! then. Without an init nothing can be handed over as it is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::sync::oneshot;

use super::stdio::{Output, copy};
use super::task::TaskStdio;
use crate::failure::{Context, Kind, Result};
use crate::plan::Streams;

/// The FIFOs of one process.
#[derive(Debug)]
pub struct Fifos {
    stdin: Option<PathBuf>,
    /// Writers of ours, so that output does not end with a shim that is given up for another.
    _kept: Vec<File>,
    /// What containerd is to be told.
    pub task: TaskStdio,
    /// To wait for at the end.
    pub output: Output,
}

impl Fifos {
    /// Makes them in `dir` and starts copying output.
    pub fn prepare(process: Streams, dir: &Path) -> Result<Self> {
        let cannot = || format!("cannot make the payload's FIFOs in {}", dir.display());
        let make = |name: &str| -> io::Result<PathBuf> {
            let path = dir.join(name);
            mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
            Ok(path)
        };
        let stdin = process
            .interactive
            .then(|| make("stdin"))
            .transpose()
            .or_fail(Kind::Host, cannot)?;
        let mut output = Output::default();
        let mut kept = Vec::new();
        let stdout = make("stdout").or_fail(Kind::Host, cannot)?;
        kept.push(relay(&stdout, io::stdout().as_fd(), &mut output).or_fail(Kind::Host, cannot)?);
        let stderr = (!process.terminal)
            .then(|| make("stderr"))
            .transpose()
            .or_fail(Kind::Host, cannot)?;
        if let Some(stderr) = &stderr {
            let relayed = relay(stderr, io::stderr().as_fd(), &mut output);
            kept.push(relayed.or_fail(Kind::Host, cannot)?);
        }
        let text = |path: Option<&PathBuf>| {
            path.map(|path| path.display().to_string())
                .unwrap_or_default()
        };
        let task = TaskStdio {
            stdin: text(stdin.as_ref()),
            stdout: text(Some(&stdout)),
            stderr: text(stderr.as_ref()),
            terminal: process.terminal,
        };
        Ok(Self {
            stdin,
            _kept: kept,
            task,
            output,
        })
    }

    /// Copies our stdin once the shim has opened its end, which may be a moment after it has made the process
    /// (containerd, `fifo.OpenFifo`); the receiver hears when our stdin has ended, for the shim then has to be
    /// told.
    pub fn feed(&self) -> Result<Option<oneshot::Receiver<()>>> {
        let Some(path) = &self.stdin else {
            return Ok(None);
        };
        let cannot = || "cannot feed the payload's stdin";
        let path = path.clone();
        let from = io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .or_fail(Kind::Host, cannot)?;
        let (done, ended) = oneshot::channel();
        thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                // Waits for the other side; nobody waits for this thread.
                if let Ok(to) = File::options().write(true).open(path) {
                    copy(&mut File::from(from), to);
                }
                // Nobody may be waiting any more.
                let _ = done.send(());
            })
            .or_fail(Kind::Host, cannot)?;
        Ok(Some(ended))
    }
}

/// Copies what comes out of the FIFO at `path`, which the shim reads too; a writer, without which it ends.
fn relay(path: &Path, to: BorrowedFd<'_>, output: &mut Output) -> io::Result<File> {
    let to = File::from(to.try_clone_to_owned()?);
    let from = open(path, false)?;
    let kept = open(path, true)?;
    output.relay(from, to)?;
    Ok(kept)
}

/// Opens without waiting for the other side, and then makes reads and writes wait.
fn open(path: &Path, write: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(!write)
        .write(write)
        .custom_flags(OFlag::O_NONBLOCK.bits());
    let file = options.open(path)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdin_is_fed_though_the_shim_has_not_opened_its_end_yet() {
        let dir = tempfile::tempdir().unwrap();
        let streams = Streams {
            interactive: true,
            terminal: false,
        };
        let fifos = Fifos::prepare(streams, dir.path()).unwrap();
        assert!(fifos.feed().unwrap().is_some());
    }
}
