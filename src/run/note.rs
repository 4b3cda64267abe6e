//! How far the payload of a run is, noted for whoever may have to pick the run up.
//!
//! In: the run directory. Out: a small file in it. Only runs that are to be kept have one: `asked` before
//! the payload is started, `begun` and its pid when it is known to run; before that, when it was noted. How it
//! ended is in its papers.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::failure::{Context, Failure, Kind, Result};
use crate::moment::Moment;

const FILE: &str = "payload";

/// How far it is, as its owner knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It is about to be started.
    Asked,
    /// It runs, or has run; its pid in the container, where that is known.
    Begun(Option<i32>),
}

impl Note {
    /// Writes it into `dir`, in place of what was noted before.
    pub fn write(self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let half = dir.join("payload.new");
        fs::write(&half, format!("{} {}", Moment::now(), self.text()))
            .and_then(|()| fs::rename(&half, &path))
            .or_fail(Kind::Host, || format!("cannot write {}", path.display()))
    }

    /// What was noted last, and when; `None` before anything was.
    pub fn read(dir: &Path) -> Result<Option<(Self, Moment)>> {
        let path = dir.join(FILE);
        let failure = |why| Failure::host(format!("cannot read {}", path.display())).because(why);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(failure(why)),
        };
        let parsed = text
            .split_once(' ')
            .and_then(|(when, note)| Some((Self::parse(note)?, when.parse().ok()?)));
        match parsed {
            Some(noted) => Ok(Some(noted)),
            None => Err(failure(ErrorKind::InvalidData.into())),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Asked => "asked".into(),
            Self::Begun(None) => "begun".into(),
            Self::Begun(Some(pid)) => format!("begun {pid}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            None if text == "asked" => Some(Self::Asked),
            None if text == "begun" => Some(Self::Begun(None)),
            Some(("begun", pid)) => Some(Self::Begun(Some(pid.parse().ok()?))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_note_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Note::read(dir.path()).map(|noted| noted.map(|(note, _)| note));
        assert_eq!(read().unwrap(), None);
        for note in [Note::Asked, Note::Begun(None), Note::Begun(Some(7))] {
            note.write(dir.path()).unwrap();
            assert_eq!(read().unwrap(), Some(note));
        }
        for text in ["", "begun", "begun 7", "1 begun well"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert!(read().is_err(), "{text:?}");
        }
    }
}
