//! Which lines of a log are wanted, and how a record of them is shown.
//!
//! A line may be several records, between which the other stream has its own: it counts, and has the time,
//! as it began.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::reader::{Place, Reader};
use super::record::{self, Part, Record, Stream};

/// What is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// No earlier lines.
    pub since: Option<SystemTime>,
    /// No later lines.
    pub until: Option<SystemTime>,
    /// Of those, so many at the end; none is all.
    pub tail: Option<usize>,
}

/// Whether lines are shown with their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// In front of each.
    Shown,
    /// As they were written.
    Hidden,
}

/// A line that has begun and not ended, in each stream: whether it is wanted.
type Open = [Option<bool>; 2];

/// Lines of both streams, as their records come.
#[derive(Debug, Clone)]
pub struct Selection {
    wanted: Wanted,
    open: Open,
}

/// What a record is in its line.
struct Seen {
    begins: bool,
    wanted: bool,
}

impl Selection {
    /// The lines that `wanted` asks of the log in `dir`, and the reader for them.
    pub fn of(dir: &Path, wanted: Wanted) -> io::Result<(Self, Reader)> {
        let mut all = Self {
            wanted,
            open: Open::default(),
        };
        let Some(tail) = wanted.tail else {
            return Ok((all, Reader::new(dir)));
        };
        if tail == 0 {
            return Ok((all, Reader::at_end(dir)?));
        }
        let mut last: VecDeque<(Place, Open)> = VecDeque::new();
        let mut reader = Reader::new(dir);
        let mut line = Vec::new();
        let mut end = None;
        while let Some(place) = reader.next(&mut line)? {
            let before = all.open;
            if Record::read(&line).is_some_and(|record| {
                let seen = all.see(&record);
                seen.begins && seen.wanted
            }) {
                last.push_back((place, before));
                if last.len() > tail {
                    last.pop_front();
                }
            }
            end = Some(Place {
                offset: place.offset + line.len() as u64,
                ..place
            });
            line.clear();
        }
        let (place, mut open) = match (last.front(), end) {
            (Some((place, open)), _) => (*place, *open),
            // None of what there is, but perhaps what comes.
            (None, Some(end)) => (end, all.open),
            (None, None) => return Ok((all, reader)),
        };
        for one in open.iter_mut().flatten() {
            *one = false;
        }
        all.open = open;
        Ok((all, Reader::at(dir, place)?))
    }

    /// Appends to `out` what is shown of `record`; nothing, where it is not wanted.
    pub fn show(&mut self, record: &Record<'_>, times: Times, out: &mut Vec<u8>) {
        let seen = self.see(record);
        if !seen.wanted {
            return;
        }
        if seen.begins && times == Times::Shown {
            out.extend_from_slice(record::time(record.time).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(record.text);
        if record.part == Part::Full {
            out.push(b'\n');
        }
    }

    fn see(&mut self, record: &Record<'_>) -> Seen {
        let Wanted { since, until, .. } = self.wanted;
        let [out, err] = &mut self.open;
        let open = match record.stream {
            Stream::Stdout => out,
            Stream::Stderr => err,
        };
        let in_time = || {
            since.is_none_or(|since| record.time >= since)
                && until.is_none_or(|until| record.time <= until)
        };
        let begins = open.is_none();
        let wanted = open.unwrap_or_else(in_time);
        *open = (record.part == Part::Partial).then_some(wanted);
        Seen { begins, wanted }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::log::files;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    /// A log in two files, whose times are seconds.
    fn log() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let records = [
            (1, Stream::Stdout, Part::Full, "a"),
            (2, Stream::Stdout, Part::Partial, "b"),
            (3, Stream::Stderr, Part::Full, "c"),
            (4, Stream::Stdout, Part::Full, "B"),
            (5, Stream::Stdout, Part::Full, "d"),
        ];
        let mut texts = [Vec::new(), Vec::new()];
        for (number, (second, stream, part, text)) in records.into_iter().enumerate() {
            let file = &mut texts[usize::from(number > 2)];
            record::write(
                file,
                &record::time(at(second)),
                stream,
                part,
                text.as_bytes(),
            );
        }
        for (number, text) in (1..).zip(texts) {
            fs::write(files::path(dir.path(), number), text).unwrap();
        }
        dir
    }

    fn shown(wanted: Wanted, times: Times) -> String {
        let dir = log();
        let (mut selection, mut reader) = Selection::of(dir.path(), wanted).unwrap();
        let mut out = Vec::new();
        let mut line = Vec::new();
        while reader.next(&mut line).unwrap().is_some() {
            selection.show(&Record::read(&line).unwrap(), times, &mut out);
            line.clear();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_counted_from_the_end_whatever_files_and_records_they_are_in() {
        let tail = |count| {
            let wanted = Wanted {
                tail: count,
                ..Wanted::default()
            };
            shown(wanted, Times::Hidden)
        };
        assert_eq!(tail(None), "a\nbc\nB\nd\n");
        assert_eq!(tail(Some(9)), tail(None));
        assert_eq!(tail(Some(3)), "bc\nB\nd\n");
        assert_eq!(tail(Some(2)), "c\nd\n");
        assert_eq!(tail(Some(1)), "d\n");
        assert_eq!(tail(Some(0)), "");
    }

    #[test]
    fn a_line_belongs_to_the_time_at_which_it_began() {
        let between = |since, until, tail| {
            let wanted = Wanted {
                since: Some(at(since)),
                until: Some(at(until)),
                tail,
            };
            shown(wanted, Times::Hidden)
        };
        assert_eq!(between(2, 3, None), "bc\nB\n");
        assert_eq!(between(3, 4, None), "c\n");
        assert_eq!(between(0, 4, Some(1)), "c\n");
        assert_eq!(between(6, 9, Some(1)), "");
    }

    #[test]
    fn a_time_stands_before_a_line_and_not_in_it() {
        let wanted = Wanted {
            until: Some(at(2)),
            ..Wanted::default()
        };
        assert_eq!(
            shown(wanted, Times::Shown),
            "1970-01-01T00:00:01.000000000Z a\n1970-01-01T00:00:02.000000000Z bB\n"
        );
    }
}
