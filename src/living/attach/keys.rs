//! What is typed, handed on until the keys come with which one leaves (`docker attach --detach-keys`).

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::thread;

use tokio::sync::oneshot::{self, Receiver};

use crate::failure::{Context, Kind, Result};

/// docker's.
pub const DEFAULT: &str = "ctrl-p,ctrl-q";

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

/// Copies our stdin to `to`; resolves when the keys were typed.
pub fn hand_on(mut to: File, keys: DetachKeys) -> Result<Receiver<()>> {
    let cannot = || "cannot hand on what is typed";
    let from = io::stdin().as_fd().try_clone_to_owned();
    let mut from = File::from(from.or_fail(Kind::Host, cannot)?);
    let (typed, receiver) = oneshot::channel();
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            if copy(&mut from, &mut to, keys) {
                // Nobody may be waiting any more.
                let _ = typed.send(());
            }
        })
        .or_fail(Kind::Host, cannot)?;
    Ok(receiver)
}

/// True when the keys were typed, false at the end of either side.
fn copy(from: &mut impl Read, to: &mut impl Write, keys: DetachKeys) -> bool {
    let mut filter = Filter {
        keys,
        held: Vec::new(),
    };
    let mut buffer = [0; 4096];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => {
                // The end counts for nothing where there is nobody to be told of it.
                let _ = to.write_all(&filter.held);
                return false;
            }
            Ok(read) => read,
            Err(why) if why.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        let mut rest = Vec::with_capacity(read);
        let typed = filter.pass(buffer.get(..read).unwrap_or_default(), &mut rest);
        if to.write_all(&rest).is_err() {
            return false;
        }
        if typed {
            return true;
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
    use super::*;

    fn copied(keys: &str, typed: &[u8]) -> (bool, Vec<u8>) {
        let mut out = Vec::new();
        let left = copy(&mut &*typed, &mut out, keys.parse().unwrap());
        (left, out)
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
    fn the_keys_end_it_and_nothing_of_them_is_handed_on() {
        assert_eq!(copied(DEFAULT, b"ls\n\x10\x11rm"), (true, b"ls\n".into()));
        assert_eq!(copied("a,a,b", b"xaaab!"), (true, b"xa".into()));
    }

    #[test]
    fn a_beginning_of_the_keys_is_handed_on_with_what_follows() {
        assert_eq!(copied(DEFAULT, b"\x10x\x10"), (false, b"\x10x\x10".into()));
        assert_eq!(copied("", b"\x10\x11"), (false, b"\x10\x11".into()));
    }
}
