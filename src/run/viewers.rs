//! Who else sees what a payload's terminal shows: commands that have attached themselves to the run.
//!
//! In: what it shows. Out: a pipe for each viewer. None is ever waited for: one whose pipe is full has its pipe
//! closed, and may come again for a new one.

use std::fs::File;
use std::io::{self, PipeReader, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a viewer may be behind, where the kernel grants it (`fs.pipe-max-size`); else it is 64 KiB (pipe(7)).
const BEHIND: i32 = 1 << 20;
/// How many there may be.
const MOST: usize = 64;

/// All of them; a clone has the same.
#[derive(Debug, Default, Clone)]
pub struct Viewers(Arc<Mutex<Vec<File>>>);

impl Viewers {
    /// One more: from now on it can read what is shown.
    pub fn admit(&self) -> io::Result<PipeReader> {
        let mut all = self.all();
        all.retain(has_reader);
        if all.len() >= MOST {
            return Err(io::Error::other(format!("there are {MOST}")));
        }
        let (reader, writer) = pipe()?;
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(BEHIND));
        all.push(File::from(OwnedFd::from(writer)));
        Ok(reader)
    }

    /// Shows it to each. Those that have gone, or are too far behind, are forgotten.
    pub fn show(&self, bytes: &[u8]) {
        self.all()
            .retain_mut(|viewer| viewer.write_all(bytes).is_ok());
    }

    /// Held for as long as a write that does not wait takes.
    fn all(&self) -> MutexGuard<'_, Vec<File>> {
        // What was shown may have been shown to some only, as always.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody can read from the pipe that `writer` is the end of (poll(2): POLLERR where nobody can).
fn has_reader(writer: &File) -> bool {
    let mut watched = [PollFd::new(writer.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::ZERO) == Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn read(mut viewer: PipeReader) -> String {
        let mut text = String::new();
        viewer.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_viewer_sees_what_is_shown_after_it_came() {
        let viewers = Viewers::default();
        let first = viewers.admit().unwrap();
        viewers.show(b"a");
        let second = viewers.admit().unwrap();
        viewers.show(b"b");
        drop(viewers);
        assert_eq!((read(first), read(second)), ("ab".into(), "b".into()));
    }

    #[test]
    fn one_that_reads_nothing_is_not_waited_for_and_keeps_what_fits() {
        let viewers = Viewers::default();
        let stuck = viewers.admit().unwrap();
        let chunk = vec![b'x'; 64 << 10];
        for _ in 0..40 {
            viewers.show(&chunk);
        }
        assert!(viewers.all().is_empty());
        assert!(read(stuck).len() >= chunk.len());
    }

    #[test]
    fn those_that_have_gone_take_no_place() {
        let viewers = Viewers::default();
        for _ in 0..3 * MOST {
            drop(viewers.admit().unwrap());
        }
        let present: Vec<_> = (0..MOST).map(|_| viewers.admit().unwrap()).collect();
        assert!(viewers.admit().is_err());
        drop(present);
    }
}
