//! Who else sees what a payload's terminal shows: commands that have attached themselves to the run.
//!
//! In: what it shows. Out: a pipe for each viewer. One that reads nothing for a while is shown nothing more: a
//! stopped viewer must not stop the payload for good.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a viewer that takes nothing holds up the payload.
const PATIENCE: Duration = Duration::from_secs(5);

/// All of them; a clone has the same.
#[derive(Debug, Default, Clone)]
pub struct Viewers(Arc<Mutex<Vec<File>>>);

impl Viewers {
    /// One more: from now on it can read what is shown.
    pub fn admit(&self) -> io::Result<PipeReader> {
        let (reader, writer) = pipe()?;
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(File::from(OwnedFd::from(writer)));
        Ok(reader)
    }

    /// Shows it to each. Those that have gone are forgotten.
    pub fn show(&self, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain_mut(|viewer| write_all(viewer, bytes).is_ok());
    }
}

fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) if why.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                let left = until.saturating_duration_since(Instant::now());
                let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                let mut watched = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut watched, left) {
                    Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                    Err(why) => return Err(why.into()),
                }
            }
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn each_viewer_sees_what_is_shown_after_it_came() {
        let viewers = Viewers::default();
        let mut first = viewers.admit().unwrap();
        viewers.show(b"a");
        let mut second = viewers.admit().unwrap();
        viewers.show(b"b");
        drop(viewers);
        let mut text = String::new();
        first.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ab");
        text.clear();
        second.read_to_string(&mut text).unwrap();
        assert_eq!(text, "b");
    }

    #[test]
    fn a_viewer_that_has_gone_is_in_nobodys_way() {
        let viewers = Viewers::default();
        drop(viewers.admit().unwrap());
        let mut other = viewers.admit().unwrap();
        viewers.show(b"a");
        drop(viewers);
        let mut text = String::new();
        other.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
    }
}
