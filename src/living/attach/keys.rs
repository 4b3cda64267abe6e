//! What is typed, handed on until the keys come with which one leaves (`docker attach --detach-keys`).
//!
//! In: our stdin, and where it goes. Out: whether the keys were typed. A payload that reads nothing keeps nobody from
//! leaving, and whoever stops listening here leaves nothing open.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot::{self, Receiver};

use crate::failure::{Context, Kind, Result};

/// docker's.
pub const DEFAULT: &str = "ctrl-p,ctrl-q";

/// What is written at once: a pipe or terminal that is ready takes some of it without waiting (pipe(7), PIPE_BUF).
const AT_ONCE: usize = 512;
/// What is typed ahead of a payload that does not read.
const AHEAD: usize = 64 << 10;

/// The keys with which one leaves, as the bytes that a terminal sends; none is never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl FromStr for DetachKeys {
    type Err = String;

    /// `ctrl-p,ctrl-q`, `a`; nothing turns it off.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }
}

fn key(text: &str) -> Result<u8, String> {
    let byte = match (
        text.as_bytes(),
        text.strip_prefix("ctrl-").map(str::as_bytes),
    ) {
        ([byte], _) if byte.is_ascii() => Some(*byte),
        // The caret notation: 64 below (ascii(7)).
        (_, Some([letter @ b'a'..=b'z'])) => Some(letter - b'a' + 1),
        (_, Some([other @ b'@'..=b'_'])) => Some(other - b'@'),
        _ => None,
    };
    byte.ok_or_else(|| {
        format!(
            "{text:?} is no key: it must be a character, or ctrl- and one of a to z, @ [ \\ ] ^ _"
        )
    })
}

/// A thread that hands on what is typed. Dropped, it has ended, and nothing that it had is open.
#[derive(Debug)]
pub struct Keyboard {
    typed: Receiver<()>,
    /// Closed, it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Keyboard {
    /// Copies our stdin to `to`.
    pub fn hand_on(to: File, keys: DetachKeys) -> Result<Self> {
        let cannot = || "cannot hand on what is typed";
        let from = io::stdin().as_fd().try_clone_to_owned();
        let from = File::from(from.or_fail(Kind::Host, cannot)?);
        let (stopped, stop) = pipe().or_fail(Kind::Host, cannot)?;
        let (tell, typed) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("stdin".into())
            .spawn(move || {
                if let Ok(true) = copy(from, to, &stopped, keys) {
                    // Nobody may be waiting any more.
                    let _ = tell.send(());
                }
            })
            .or_fail(Kind::Host, cannot)?;
        Ok(Self {
            typed,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Resolves when the keys are typed, and never where they are not.
    pub async fn left(&mut self) {
        if self.thread.is_none() || (&mut self.typed).await.is_err() {
            // It says one thing only.
            self.thread = None;
            std::future::pending().await
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but what was just closed.
            let _ = thread.join();
        }
    }
}

/// True when the keys were typed, false at the end of what is typed, or when `stopped` has no writer any more. A payload
/// that takes no more is no end of the keys.
fn copy(mut from: File, to: File, stopped: &PipeReader, keys: DetachKeys) -> io::Result<bool> {
    let has_keys = !keys.0.is_empty();
    let mut filter = Filter {
        keys,
        held: Vec::new(),
    };
    let mut to = Some(to);
    let mut waiting = Vec::new();
    let mut is_open = true;
    let mut buffer = [0; 4096];
    while is_open || !waiting.is_empty() {
        let reads = is_open && (waiting.len() < AHEAD || has_keys);
        let writes = match waiting.is_empty() {
            true => PollFlags::empty(),
            false => PollFlags::POLLOUT,
        };
        let nothing = || PollFd::new(stopped.as_fd(), PollFlags::empty());
        let [stop, output, input] = ready([
            nothing(),
            to.as_ref()
                .map_or_else(nothing, |to| PollFd::new(to.as_fd(), writes)),
            match reads {
                true => PollFd::new(from.as_fd(), PollFlags::POLLIN),
                false => nothing(),
            },
        ])?;
        if stop {
            return Ok(false);
        }
        if output
            && let Some(reader) = &mut to
            && (waiting.is_empty() || write_some(reader, &mut waiting).is_err())
        {
            to = None;
        }
        if reads && input {
            match from.read(&mut buffer) {
                Ok(0) => {
                    is_open = false;
                    waiting.append(&mut filter.held);
                }
                Ok(read) => {
                    let typed = buffer.get(..read).unwrap_or_default();
                    if filter.pass(typed, &mut waiting) {
                        // As much of what came before as is taken.
                        while let Some(reader) = &mut to
                            && !waiting.is_empty()
                            && takes_more(reader)
                        {
                            write_some(reader, &mut waiting)?;
                        }
                        return Ok(true);
                    }
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        if to.is_none() {
            waiting.clear();
        } else if has_keys {
            waiting.truncate(AHEAD);
        }
    }
    Ok(false)
}

fn write_some(to: &mut File, waiting: &mut Vec<u8>) -> io::Result<()> {
    let some = waiting.get(..AT_ONCE).unwrap_or(waiting);
    let written = match to.write(some) {
        Err(why) if why.kind() == ErrorKind::Interrupted => 0,
        written => written?,
    };
    waiting.drain(..written);
    Ok(())
}

fn takes_more(to: &File) -> bool {
    let mut watched = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

/// Which of `watched` are ready, or have ended; waits for one. One of which nothing is wanted only counts when it has
/// ended.
fn ready(mut watched: [PollFd<'_>; 3]) -> io::Result<[bool; 3]> {
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => return Ok(watched.map(|one| one.any().unwrap_or_default())),
            Err(Errno::EINTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
}

struct Filter {
    keys: DetachKeys,
    /// What could be their beginning.
    held: Vec<u8>,
}

impl Filter {
    /// Appends to `rest` what is to be handed on; true when the keys are complete.
    fn pass(&mut self, bytes: &[u8], rest: &mut Vec<u8>) -> bool {
        let DetachKeys(keys) = &self.keys;
        for byte in bytes {
            self.held.push(*byte);
            while !keys.starts_with(&self.held) {
                rest.push(self.held.remove(0));
            }
            if !keys.is_empty() && self.held.len() == keys.len() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn file(end: impl Into<OwnedFd>) -> File {
        File::from(end.into())
    }

    fn copied(keys: &str, typed: &[u8]) -> (bool, Vec<u8>) {
        let (from, mut keyboard) = pipe().unwrap();
        let (mut out, to) = pipe().unwrap();
        let (stopped, _stop) = pipe().unwrap();
        keyboard.write_all(typed).unwrap();
        drop(keyboard);
        let left = copy(file(from), file(to), &stopped, keys.parse().unwrap());
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        (left.unwrap(), rest)
    }

    #[test]
    fn keys_are_written_as_docker_has_them() {
        assert_eq!(DEFAULT.parse(), Ok(DetachKeys(vec![16, 17])));
        assert_eq!("ctrl-@,x,ctrl-]".parse(), Ok(DetachKeys(vec![0, b'x', 29])));
        assert_eq!("".parse(), Ok(DetachKeys::default()));
        for bad in ["ctrl-", "ctrl-1", "ab", "a,", "é"] {
            assert!(bad.parse::<DetachKeys>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_keys_end_it_and_are_not_handed_on() {
        assert_eq!(copied(DEFAULT, b"ls\n\x10\x11rm"), (true, b"ls\n".into()));
        assert_eq!(copied("a,a,b", b"xaaab!"), (true, b"xa".into()));
    }

    #[test]
    fn a_beginning_of_the_keys_is_handed_on_with_what_follows() {
        assert_eq!(copied(DEFAULT, b"\x10x\x10"), (false, b"\x10x\x10".into()));
        assert_eq!(copied("", b"\x10\x11"), (false, b"\x10\x11".into()));
    }

    #[test]
    fn a_payload_that_reads_nothing_keeps_nobody_from_leaving() {
        let (from, mut keyboard) = pipe().unwrap();
        let (_out, to) = pipe().unwrap();
        let (stopped, _stop) = pipe().unwrap();
        let keys = DEFAULT.parse().unwrap();
        let copying = thread::spawn(move || copy(file(from), file(to), &stopped, keys));
        keyboard.write_all(&[b'x'; 100_000]).unwrap();
        keyboard.write_all(b"\x10\x11").unwrap();
        assert!(copying.join().unwrap().unwrap());
    }

    #[test]
    fn a_payload_that_has_gone_keeps_nobody_from_leaving() {
        let (from, mut keyboard) = pipe().unwrap();
        let (out, to) = pipe().unwrap();
        let (stopped, _stop) = pipe().unwrap();
        let keys = DEFAULT.parse().unwrap();
        drop(out);
        let copying = thread::spawn(move || copy(file(from), file(to), &stopped, keys));
        keyboard.write_all(b"x\x10\x11").unwrap();
        assert!(copying.join().unwrap().unwrap());
    }

    #[test]
    fn who_stops_listening_ends_it() {
        let (from, _keyboard) = pipe().unwrap();
        let (_out, to) = pipe().unwrap();
        let (stopped, stop) = pipe().unwrap();
        let keys = DEFAULT.parse().unwrap();
        let copying = thread::spawn(move || copy(file(from), file(to), &stopped, keys));
        drop(stop);
        assert!(!copying.join().unwrap().unwrap());
    }
}
