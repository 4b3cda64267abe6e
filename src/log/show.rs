//! Showing a log: its stdout on ours and its stderr on ours, byte for byte.
//!
//! In: a log and which lines of it are wanted. Out: those lines, and with news of it also what comes later.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::SystemTime;

use super::follow::{Following, News};
use super::reader::Reader;
use super::record::{Record, Stream};
use super::select::{Selection, Times, Wanted};

/// So much is collected before it is shown.
const AT_ONCE: usize = 64 << 10;

/// Why nothing more is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It is everything.
    All,
    /// Nobody reads it any more.
    Unread,
}

/// A log that is about to be shown, from a place in it on.
pub struct Showing {
    selection: Selection,
    reader: Reader,
    times: Times,
    until: Option<SystemTime>,
    following: Option<Following>,
    screen: Screen,
}

impl Showing {
    /// The lines of the log in `dir` that are wanted, and what comes while it is followed.
    pub fn of(
        dir: &Path,
        (wanted, times): (Wanted, Times),
        following: Option<Following>,
    ) -> io::Result<Self> {
        let (selection, reader) = Selection::of(dir, wanted)?;
        Ok(Self {
            selection,
            reader,
            times,
            until: wanted.until,
            following,
            screen: Screen::default(),
        })
    }

    /// Shows it to its end. A reader that has gone (`| head`) is an end, and no failure.
    pub fn show(mut self) -> io::Result<Shown> {
        match self.copy_all() {
            Ok(()) => Ok(Shown::All),
            Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(Shown::Unread),
            Err(why) => Err(why),
        }
    }

    fn copy_all(&mut self) -> io::Result<()> {
        let mut line = Vec::new();
        let mut news = News::Grown;
        loop {
            while self.reader.next(&mut line)?.is_some() {
                if let Some(record) = Record::read(&line) {
                    let out = self.screen.of(record.stream)?;
                    self.selection.show(&record, self.times, out);
                    self.screen.flush_if_full()?;
                }
                line.clear();
            }
            self.screen.flush()?;
            // After the end it was read once more.
            let (Some(following), News::Grown) = (&self.following, news) else {
                return Ok(());
            };
            news = following.next(self.until);
        }
    }
}

/// What is to be shown next, all of it on one stream: so both keep their order on one terminal.
#[derive(Default)]
struct Screen {
    stream: Option<Stream>,
    waiting: Vec<u8>,
}

impl Screen {
    fn of(&mut self, stream: Stream) -> io::Result<&mut Vec<u8>> {
        if self.stream != Some(stream) {
            self.flush()?;
            self.stream = Some(stream);
        }
        Ok(&mut self.waiting)
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.waiting.len() < AT_ONCE {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.stream {
            Some(Stream::Stdout) => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.waiting)?;
                stdout.flush()?;
            }
            Some(Stream::Stderr) => io::stderr().lock().write_all(&self.waiting)?,
            None => {}
        }
        self.waiting.clear();
        Ok(())
    }
}
