//! Reading the records of a log across its files, while they may still be written and removed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::files;
use super::record::MAX_RECORD;

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the file.
    pub number: u64,
    /// In it.
    pub offset: u64,
}

/// Where a reader of a log is.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    at: Option<(u64, BufReader<File>)>,
    offset: u64,
    /// The beginning of a record whose end is not written yet.
    half: Vec<u8>,
}

impl Reader {
    /// At the beginning of the log in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            at: None,
            offset: 0,
            half: Vec::new(),
        }
    }

    /// At `place`, or at the beginning where its file has been removed.
    pub fn at(dir: &Path, place: Place) -> io::Result<Self> {
        let mut reader = Self::new(dir);
        match File::open(files::path(dir, place.number)) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(place.offset))?;
                reader.at = Some((place.number, BufReader::new(file)));
                reader.offset = place.offset;
            }
            Err(why) if why.kind() == ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
        Ok(reader)
    }

    /// Behind everything that is written.
    pub fn at_end(dir: &Path) -> io::Result<Self> {
        let Some(number) = files::numbers(dir)?.last().copied() else {
            return Ok(Self::new(dir));
        };
        let offset = std::fs::metadata(files::path(dir, number)).map_or(0, |file| file.len());
        Self::at(dir, Place { number, offset })
    }

    /// Appends the next record to `line`, and says where it begins; `None` where there is no further one
    /// at the moment.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Place>> {
        loop {
            if let Some(place) = self.next_here(line)? {
                return Ok(Some(place));
            }
            let Some(following) = self.following()? else {
                return Ok(None);
            };
            // It may have grown before the other one was made.
            if let Some(place) = self.next_here(line)? {
                return Ok(Some(place));
            }
            self.half.clear();
            self.offset = 0;
            match File::open(files::path(&self.dir, following)) {
                Ok(file) => self.at = Some((following, BufReader::new(file))),
                // Removed a moment ago; there is a newer one.
                Err(why) if why.kind() == ErrorKind::NotFound => {}
                Err(why) => return Err(why),
            }
        }
    }

    fn next_here(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Place>> {
        let Some((number, file)) = &mut self.at else {
            return Ok(None);
        };
        loop {
            let missing = MAX_RECORD.saturating_sub(self.half.len());
            // No writer of ours makes longer ones: what is there is no log, and is not to fill memory.
            let read =
                io::Read::take(&mut *file, missing as u64).read_until(b'\n', &mut self.half)?;
            let whole = self.half.ends_with(b"\n");
            if whole || self.half.len() >= MAX_RECORD {
                let place = Place {
                    number: *number,
                    offset: self.offset,
                };
                self.offset += self.half.len() as u64;
                line.append(&mut self.half);
                return Ok(Some(place));
            }
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// The file behind the present one.
    fn following(&self) -> io::Result<Option<u64>> {
        let present = self.at.as_ref().map_or(0, |(number, _)| *number);
        let numbers = match files::numbers(&self.dir) {
            // The run was removed, as with --rm at its end; what is open is read all the same.
            Err(why) if why.kind() == ErrorKind::NotFound => Vec::new(),
            numbers => numbers?,
        };
        Ok(numbers.into_iter().find(|number| *number > present))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn rest(reader: &mut Reader) -> String {
        let mut all = Vec::new();
        while reader.next(&mut all).unwrap().is_some() {}
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn files_are_read_in_their_order_and_on_from_where_they_ended() {
        let dir = tempfile::tempdir().unwrap();
        let write = |number, text: &str| {
            let path = files::path(dir.path(), number);
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write(9, "a\nb\n");
        write(10, "c\nhal");
        let mut reader = Reader::new(dir.path());
        assert_eq!(rest(&mut reader), "a\nb\nc\n");
        assert_eq!(rest(&mut reader), "");
        write(10, "f\nd\n");
        write(11, "e\n");
        assert_eq!(rest(&mut reader), "half\nd\ne\n");
    }

    #[test]
    fn a_file_that_was_removed_is_read_to_its_end_if_it_was_open() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(files::path(dir.path(), 1), "a\nb\n").unwrap();
        let mut reader = Reader::new(dir.path());
        reader.next(&mut Vec::new()).unwrap();
        fs::remove_file(files::path(dir.path(), 1)).unwrap();
        fs::write(files::path(dir.path(), 3), "c\n").unwrap();
        assert_eq!(rest(&mut reader), "b\nc\n");
    }

    #[test]
    fn a_reader_begins_at_a_place() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(files::path(dir.path(), 1), "a\nb\n").unwrap();
        let place = |offset, number| Place { number, offset };
        let from = |place| rest(&mut Reader::at(dir.path(), place).unwrap());
        assert_eq!(from(place(2, 1)), "b\n");
        assert_eq!(from(place(2, 7)), "a\nb\n");
    }
}
