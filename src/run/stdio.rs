//! What the payload's descriptors 0, 1 and 2 are.
//!
//! Pipes, sockets and `/dev/null` are handed over as they are. A terminal or a file is not (its
//! reader could type into the one and rewrite the other): a pipe goes in, and a thread copies. The
//! copying ends when every writer inside is gone, so nothing is lost.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread;

use nix::sys::stat::fstat;
use nix::unistd::pipe2;
use nix::{errno::Errno, fcntl::OFlag};
use tokio::sync::{Notify, oneshot};

use crate::failure::{Context, Kind, Result};
use crate::leash::inherited;
use crate::plan::Process;
use crate::survey::{Descriptor, Survey};

use super::viewers::Viewers;

/// The ends for the payload, and the threads that copy.
#[derive(Debug)]
pub struct Stdio {
    /// To be handed over as 0, 1 and 2; ours are closed by dropping them.
    pub inside: [OwnedFd; 3],
    /// To wait for at the end.
    pub copies: Vec<Copy>,
}

/// Output that does not go to its reader by itself.
#[derive(Debug, Default)]
pub struct Output {
    /// To wait for at the end.
    pub copies: Vec<Copy>,
    /// Told when the reader of a copy is gone and the payload cannot learn it by itself.
    pub reader_gone: Arc<Notify>,
    /// Where what a terminal of the payload's shows goes, where that is not our stdout.
    pub screen: Option<File>,
    /// Who sees it beside that.
    pub viewers: Viewers,
}

impl Output {
    /// Adds a copy from what gives its writers no EPIPE. When its reader is gone, that is told, and the
    /// rest goes nowhere: until the writers are ended, they shall not block.
    pub fn relay(&mut self, from: File, to: File) -> io::Result<()> {
        self.relay_to(from, to, |_| {})
    }

    /// The same for what a terminal shows, which others may see.
    pub fn relay_terminal(&mut self, from: File, to: File) -> io::Result<()> {
        let viewers = self.viewers.clone();
        self.relay_to(from, to, move |bytes| viewers.show(bytes))
    }

    fn relay_to(
        &mut self,
        mut from: File,
        mut to: File,
        mut also: impl FnMut(&[u8]) + Send + 'static,
    ) -> io::Result<()> {
        let reader_gone = self.reader_gone.clone();
        let copy = Copy::spawn(move || {
            let both = |bytes: &[u8]| {
                also(bytes);
                write_all(&mut to, bytes)
            };
            if copy_with(&mut from, both) == Ended::Target {
                reader_gone.notify_one();
                copy_with(&mut from, |bytes| {
                    also(bytes);
                    Ok(())
                });
            }
        })?;
        self.copies.push(copy);
        Ok(())
    }
}

/// Which side ended a copy.
#[derive(PartialEq, Eq)]
pub enum Ended {
    /// Nothing more comes.
    Source,
    /// Nothing more is taken.
    Target,
}

/// A thread that copies output; it ends when the last writer is gone or our reader is.
#[derive(Debug)]
pub struct Copy(oneshot::Receiver<()>);

impl Copy {
    /// Starts the thread.
    fn spawn(copy: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (done, finished) = oneshot::channel();
        thread::Builder::new()
            .name("output".into())
            .spawn(move || {
                copy();
                // Nobody may be waiting any more.
                let _ = done.send(());
            })?;
        Ok(Self(finished))
    }

    /// Resolves when everything is copied.
    pub async fn finish(&mut self) {
        // An error means that the thread is gone: also an end.
        let _ = (&mut self.0).await;
    }
}

impl Stdio {
    /// Prepares the three for a payload without a terminal.
    pub fn prepare(process: &Process, survey: &Survey) -> Result<Self> {
        let cannot = || "cannot prepare the payload's stdin, stdout and stderr";
        let as_it_is = |fd| match survey.descriptor(fd) {
            Some(Descriptor::Passable) => true,
            Some(Descriptor::File) => process.pass_fds.contains(&fd),
            _ => false,
        };
        let mut copies = Vec::new();
        let stdin = if !process.interactive || survey.descriptor(0).is_none() {
            null()
        } else if as_it_is(0) {
            io::stdin().as_fd().try_clone_to_owned()
        } else {
            copy_in()
        };
        let stdin = stdin.or_fail(Kind::Host, cannot)?;
        let mut output = |fd: i32| -> io::Result<OwnedFd> {
            match survey.descriptor(fd) {
                None => null(),
                Some(_) if as_it_is(fd) => ours(fd),
                Some(_) => {
                    let (inside, copy) = copy_out(File::from(ours(fd)?))?;
                    copies.push(copy);
                    Ok(inside)
                }
            }
        };
        let stdout = output(1).or_fail(Kind::Host, cannot)?;
        // One pipe for both keeps the order of lines where both end in one place.
        let stderr = if !as_it_is(1) && same_file() {
            stdout.try_clone()
        } else {
            output(2)
        };
        let stderr = stderr.or_fail(Kind::Host, cannot)?;
        Ok(Self {
            inside: [stdin, stdout, stderr],
            copies,
        })
    }
}

/// Takes the descriptors to be passed beside 0, 1 and 2, under their own numbers: when they are handed
/// over, only the payload has them.
pub fn passed(numbers: &[RawFd]) -> Result<Vec<(RawFd, OwnedFd)>> {
    let others: BTreeSet<_> = numbers.iter().filter(|number| **number > 2).collect();
    let take = |&number: &RawFd| {
        let taken = inherited::take(number)
            .or_fail(Kind::Usage, || format!("cannot pass descriptor {number}"))?;
        Ok((number, taken))
    };
    others.into_iter().map(take).collect()
}

fn ours(fd: i32) -> io::Result<OwnedFd> {
    if fd == 1 {
        io::stdout().as_fd().try_clone_to_owned()
    } else {
        io::stderr().as_fd().try_clone_to_owned()
    }
}

fn same_file() -> bool {
    match (fstat(io::stdout()), fstat(io::stderr())) {
        (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
        _ => false,
    }
}

fn null() -> io::Result<OwnedFd> {
    Ok(File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into())
}

/// Our stdin through a pipe. The thread is never waited for: it may be in a read of a terminal.
fn copy_in() -> io::Result<OwnedFd> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    copy_in_thread(
        File::from(io::stdin().as_fd().try_clone_to_owned()?),
        File::from(write),
    )?;
    Ok(read)
}

/// A thread that copies input and is never waited for.
pub fn copy_in_thread(mut from: File, to: File) -> io::Result<()> {
    thread::Builder::new().name("stdin".into()).spawn(move || {
        copy(&mut from, to);
    })?;
    Ok(())
}

/// A pipe whose content is copied to `to`.
fn copy_out(to: File) -> io::Result<(OwnedFd, Copy)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    let mut from = File::from(read);
    // Dropping `from` at the end gives the writer EPIPE, as it would have had without us.
    let copy = Copy::spawn(move || {
        copy(&mut from, to);
    })?;
    Ok((write, copy))
}

/// Copies until the end of `from` or until `to` takes no more.
pub fn copy(from: &mut File, mut to: File) -> Ended {
    copy_with(from, |bytes| write_all(&mut to, bytes))
}

/// The same, to whatever takes it.
fn copy_with(from: &mut File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Ended {
    let mut buffer = [0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ended::Source,
            Ok(read) => read,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            // A pseudo-terminal answers EIO when its last user is gone: its end of file.
            Err(_) => return Ended::Source,
        };
        // Within bounds: read() returns at most the buffer's length.
        if take(&buffer[..read]).is_err() {
            return Ended::Target;
        }
    }
}

/// Like `Write::write_all`, and waits where the other side was made non-blocking by someone else (a
/// terminal shared with another program).
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => writable(to)?,
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

fn writable(to: &File) -> io::Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    match poll(
        &mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)],
        PollTimeout::NONE,
    ) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_written_is_copied_before_the_end() {
        let mut target = tempfile::tempfile().unwrap();
        let (inside, mut copy) = copy_out(target.try_clone().unwrap()).unwrap();
        File::from(inside).write_all(&[7; 300_000]).unwrap();
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(copy.finish());
        io::Seek::rewind(&mut target).unwrap();
        let mut bytes = Vec::new();
        target.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, vec![7; 300_000]);
    }

    #[test]
    fn a_writer_learns_that_the_reader_is_gone() {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        drop(read);
        let (inside, mut copy) = copy_out(File::from(write)).unwrap();
        let mut inside = File::from(inside);
        inside.write_all(b"x").unwrap();
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(copy.finish());
        assert_eq!(
            inside.write(b"x").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
