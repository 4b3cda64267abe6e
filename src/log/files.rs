//! The numbered files of one log, as their writer sees them: records go to the newest; when that is full,
//! the next one begins and the oldest is removed.
//!
//! A disk that is full keeps nobody from writing to it: what could not be written is counted, and said in
//! the log as soon as there is room again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::limits::Limits;
use super::record::{self, Part, Stream};

/// What the names of files end with.
const SUFFIX: &str = ".log";

/// The files of one log and what is about to be written.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    limits: Limits,
    number: u64,
    /// The newest; none where it could not be made.
    file: Option<File>,
    /// Of it, without `waiting`.
    size: u64,
    waiting: Vec<u8>,
    /// Bytes of records that could not be written.
    lost: u64,
}

impl Files {
    /// Begins a log in `dir`, which exists.
    pub fn begin(dir: &Path, limits: Limits) -> io::Result<Self> {
        let number = numbers(dir)?.last().map_or(1, |last| last + 1);
        Ok(Self {
            dir: dir.to_owned(),
            limits,
            number,
            file: Some(make(dir, number)?),
            size: 0,
            waiting: Vec::new(),
            lost: 0,
        })
    }

    /// Adds a record; it is written by [`Files::flush`] at the latest.
    pub fn add(&mut self, time: &str, stream: Stream, part: Part, text: &[u8]) {
        let before = self.waiting.len();
        record::write(&mut self.waiting, time, stream, part, text);
        let with_it = self.size + self.waiting.len() as u64;
        let is_first = self.size == 0 && before == 0;
        if !is_first && self.limits.max_size.is_some_and(|most| with_it > most) {
            let record = self.waiting.split_off(before);
            self.flush();
            self.next_file();
            self.waiting = record;
        }
    }

    /// Writes what has been added.
    pub fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.lost > 0 {
            let said = format!(
                "airtight: {} bytes of this log could not be written",
                self.lost
            );
            let mut whole = Vec::new();
            let now = record::time(SystemTime::now());
            record::write(
                &mut whole,
                &now,
                Stream::Stderr,
                Part::Full,
                said.as_bytes(),
            );
            whole.append(&mut self.waiting);
            self.waiting = whole;
        }
        let bytes = std::mem::take(&mut self.waiting);
        match self.write(&bytes) {
            Ok(()) => {
                self.size += bytes.len() as u64;
                self.lost = 0;
            }
            Err(_) => self.lost += bytes.len() as u64,
        }
        // The room is used again.
        self.waiting = bytes;
        self.waiting.clear();
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(make(&self.dir, self.number)?);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(bytes).inspect_err(|_| {
            // Half a record would spoil the next one.
            let _ = file.set_len(self.size);
        })
    }

    fn next_file(&mut self) {
        let numbers = numbers(&self.dir).unwrap_or_default();
        let most = usize::try_from(self.limits.max_files.get()).unwrap_or(usize::MAX);
        // Room for the new one.
        let too_many = (numbers.len() + 1).saturating_sub(most);
        for number in numbers.into_iter().take(too_many) {
            // One that cannot be removed is tried again with the next.
            let _ = fs::remove_file(path(&self.dir, number));
        }
        self.number += 1;
        self.size = 0;
        self.file = make(&self.dir, self.number).ok();
    }
}

/// The numbers of the files that there are, the oldest first.
pub fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Where file `number` is.
pub fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}{SUFFIX}"))
}

fn make(dir: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path(dir, number))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(max_size: u64, max_files: u32) -> Limits {
        Limits {
            max_size: Some(max_size),
            max_files: NonZeroU32::new(max_files).unwrap(),
        }
    }

    /// Writes the lines 0 to `count`; a record of one digit has 41 bytes.
    fn written(limits: Limits, count: u32) -> (tempfile::TempDir, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::begin(dir.path(), limits).unwrap();
        for line in 0..count {
            let time = record::time(SystemTime::UNIX_EPOCH);
            let text = line.to_string();
            files.add(&time, Stream::Stdout, Part::Full, text.as_bytes());
        }
        files.flush();
        let numbers = numbers(dir.path()).unwrap().into_iter();
        let texts = numbers.map(|number| {
            let text = fs::read_to_string(path(dir.path(), number)).unwrap();
            let lines = text.lines().map(|line| line.rsplit(' ').next().unwrap());
            lines.collect::<Vec<_>>().join(",")
        });
        let texts = texts.collect();
        (dir, texts)
    }

    #[test]
    fn a_full_file_is_followed_by_the_next_one_and_the_oldest_is_removed() {
        assert_eq!(written(limits(100, 3), 2).1, ["0,1"]);
        assert_eq!(written(limits(100, 3), 5).1, ["0,1", "2,3", "4"]);
        assert_eq!(written(limits(100, 3), 9).1, ["4,5", "6,7", "8"]);
        assert_eq!(written(limits(100, 1), 9).1, ["8"]);
    }

    #[test]
    fn no_file_is_longer_than_its_limit_but_for_one_record() {
        assert_eq!(written(limits(1, 2), 4).1, ["2", "3"]);
    }

    #[test]
    fn without_a_limit_there_is_one_file() {
        let unlimited = Limits {
            max_size: None,
            ..limits(0, 1)
        };
        assert_eq!(written(unlimited, 3).1, ["0,1,2"]);
    }

    #[test]
    fn a_log_that_is_begun_again_keeps_what_there_is() {
        let (dir, _) = written(limits(100, 3), 2);
        Files::begin(dir.path(), limits(100, 3)).unwrap();
        assert_eq!(numbers(dir.path()).unwrap(), [1, 2]);
    }

    #[test]
    fn what_could_not_be_written_is_counted_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::begin(dir.path(), limits(1000, 3)).unwrap();
        let time = record::time(SystemTime::UNIX_EPOCH);
        files.file = Some(File::open("/dev/null").unwrap());
        files.add(&time, Stream::Stdout, Part::Full, b"lost");
        files.flush();
        files.file = None;
        files.add(&time, Stream::Stdout, Part::Full, b"kept");
        files.flush();
        let text = fs::read_to_string(path(dir.path(), 1)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("stderr F airtight: 45 bytes of this log could not be written"));
        assert!(lines[1].ends_with("stdout F kept"));
        assert_eq!(lines.len(), 2);
    }
}
