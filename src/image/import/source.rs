//! Where an archive comes from: a file or standard input, plain or compressed with gzip.
//!
//! Out comes a seekable file with a plain tar in it. What is neither seekable nor plain is first
//! copied into a temporary file without a name, so that nothing is left however we end. An archive
//! says nowhere how large it unpacks, so the copy is bounded by what the file system has: it never
//! takes the last of it from others.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use nix::sys::statvfs::fstatvfs;

use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;

/// Where large temporary files go unless TMPDIR says otherwise (Filesystem Hierarchy Standard,
/// 5.15: /tmp may be memory).
pub const DEFAULT_TMPDIR: &str = "/var/tmp";

/// How much is copied at a time.
const CHUNK: usize = 1 << 18;

/// What a copy leaves of a file system that others write to: one part in so many, which is what ext4
/// keeps back for root (mke2fs(8), `-m`), and of a large one no more than this.
const RESERVE_SHARE: u64 = 20;
const RESERVE_MOST: u64 = 1 << 30;

/// How the compressions begin that archives are found in (RFC 1952, RFC 8878, and the formats'
/// own documents).
const MAGICS: [(&[u8], Compression); 4] = [
    (b"\x1f\x8b", Compression::Gzip),
    (b"\x28\xb5\x2f\xfd", Compression::Other("zstd")),
    (b"\xfd7zXZ\0", Compression::Other("xz")),
    (b"BZh", Compression::Other("bzip2")),
];

/// Where an archive comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, or whatever can be opened like one.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// How the bytes of something are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Other(&'static str),
}

impl Compression {
    /// How content beginning with `head` is compressed.
    pub(super) fn of(head: &[u8]) -> Self {
        let known = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
        known.map_or(Self::None, |(_, compression)| *compression)
    }
}

/// `-` is standard input, anything else a path.
impl From<&OsStr> for Source {
    fn from(argument: &OsStr) -> Self {
        if argument == "-" {
            Self::Stdin
        } else {
            Self::File(argument.into())
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

impl Source {
    /// Opens the archive as a plain, seekable file.
    pub(super) fn open(&self) -> Result<File> {
        let unreadable = || format!("cannot read {self}");
        let mut file = self.raw().or_fail(Kind::Image, unreadable)?;
        let metadata = file.metadata().or_fail(Kind::Image, unreadable)?;
        if metadata.is_dir() {
            return Err(Failure::new(Kind::Image, unreadable())
                .because("it is a directory")
                .hint(format!("tar -C {self} -c . | airtight image import -")));
        }
        let seekable = metadata.is_file() && file.stream_position().is_ok_and(|at| at == 0);
        let mut head = Vec::new();
        (&mut file)
            .take(6)
            .read_to_end(&mut head)
            .or_fail(Kind::Image, unreadable)?;
        let compression = Compression::of(&head);
        let whole = io::Cursor::new(head).chain(&file);
        match compression {
            Compression::None if seekable => Ok(file),
            Compression::None => self.spool(whole),
            Compression::Gzip => self.spool(MultiGzDecoder::new(whole)),
            Compression::Other(name) => Err(Failure::new(Kind::Image, unreadable())
                .because(format!("it is compressed with {name}, only gzip is read"))
                .hint(format!("{name} -dc ARCHIVE | airtight image import -"))),
        }
    }

    fn raw(&self) -> io::Result<File> {
        match self {
            Self::File(path) => File::open(path),
            Self::Stdin => Ok(io::stdin().as_fd().try_clone_to_owned()?.into()),
        }
    }

    /// Copies all of `from` into a file without a name.
    fn spool(&self, mut from: impl Read) -> Result<File> {
        let directory = std::env::var_os("TMPDIR")
            .filter(|dir| !dir.is_empty())
            .map_or_else(|| PathBuf::from(DEFAULT_TMPDIR), PathBuf::from);
        let unwritable = |error: io::Error| {
            let what = format!("cannot keep {self} in {}", directory.display());
            Failure::host(what)
                .because(error)
                .hint("TMPDIR names the directory for temporary files")
        };
        let mut file = unnamed_file(&directory).map_err(unwritable)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.or_fail(Kind::Image, || format!("cannot read {self}"))?,
            };
            match buffer.get(..count) {
                None | Some([]) => break,
                Some(data) if has_room(&file, data.len()) => {
                    file.write_all(data).map_err(unwritable)?
                }
                Some(_) => {
                    let full = io::Error::other("it would fill the file system");
                    return Err(unwritable(full).hint("is the archive as large as you expect?"));
                }
            }
        }
        Ok(file)
    }
}

/// Whether `count` more bytes in `file` leave enough to others.
fn has_room(file: &File, count: usize) -> bool {
    // A file system that cannot say it says so when it is full.
    let Ok(stat) = fstatvfs(file) else {
        return true;
    };
    let unit = stat.fragment_size();
    let free = stat.blocks_available().saturating_mul(unit);
    let reserve = stat.blocks().saturating_mul(unit) / RESERVE_SHARE;
    stat.blocks() == 0 || free >= reserve.min(RESERVE_MOST).saturating_add(count as u64)
}

/// A file that vanishes with its descriptor. Where the file system has no O_TMPFILE (NFS, some
/// overlays) it has a name for a moment.
fn unnamed_file(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let unnamed = options
        .clone()
        .custom_flags(libc::O_TMPFILE)
        .open(directory);
    match unnamed {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            let name = ContainerId::random().map_err(io::Error::other)?;
            let path = directory.join(format!("airtight-{name}"));
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;

    fn written(bytes: &[u8]) -> (tempfile::NamedTempFile, Source) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = Source::from(file.path().as_os_str());
        (file, source)
    }

    fn content(source: &Source) -> Vec<u8> {
        let mut file = source.open().unwrap();
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_hyphen_is_standard_input() {
        assert_eq!(Source::from(OsStr::new("-")), Source::Stdin);
        assert_eq!(Source::from(OsStr::new("./-")).to_string(), "./-");
    }

    #[test]
    fn gzip_is_unpacked_even_in_several_members() {
        let gzip = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let (_file, source) = written(&[gzip(b"air"), gzip(b"tight")].concat());
        assert_eq!(content(&source), b"airtight");
        let (_file, source) = written(b"airtight");
        assert_eq!(content(&source), b"airtight");
    }

    #[test]
    fn a_damaged_gzip_and_other_compressions_are_refused() {
        let (_file, source) = written(b"\x1f\x8b\x08\0\0\0\0\0\0\0garbage");
        let failure = source.open().unwrap_err().to_string();
        assert!(failure.contains("cannot read /"), "{failure}");
        let (_file, source) = written(b"\x28\xb5\x2f\xfd....");
        assert!(source.open().unwrap_err().to_string().contains("zstd"));
    }

    #[test]
    fn a_directory_is_refused_with_the_command_that_packs_it() {
        let directory = tempfile::tempdir().unwrap();
        let failure = Source::from(directory.path().as_os_str())
            .open()
            .unwrap_err();
        assert!(failure.hints()[0].starts_with("tar -C"));
    }
}
