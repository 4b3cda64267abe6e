//! The program that writes a log: containerd's shim starts it beside the payload, with the payload's
//! stdout and stderr as pipes, and it ends when both have ended.
//!
//! In: the directory; descriptors 3 (stdout), 4 (stderr), and 5, whose closing says that we are ready
//! (containerd, `runtime/v2/README.md`, "Logging"). Out: the log. It must never end before the pipes do: the
//! payload would die of SIGPIPE.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::files::Files;
use super::limits::Limits;
use super::lines::Lines;
use super::record::{self, Stream};
use crate::failure::{Context, Failure, Kind, Result};
use crate::leash::inherited;

/// The verb, which is not for people.
pub const VERB: &str = "log-writer";

const STDOUT: i32 = 3;
const STDERR: i32 = 4;
const READY: i32 = 5;

const LIMITS: &str = "limits.json";
const LOCK: &str = "lock";

/// Signals that end others: the shim sends the first when the task is deleted, with what is to be written
/// still in the pipes.
const UNHEARD: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Prepares a log in `dir`, which is made; what is written there is for [`write()`].
pub fn prepare(dir: &Path, limits: Limits) -> Result<()> {
    let cannot = || format!("cannot make the log {}", dir.display());
    let json = serde_json::to_vec(&limits).or_fail(Kind::Host, cannot)?;
    DirBuilder::new()
        .mode(0o700)
        .create(dir)
        .and_then(|()| {
            let mut file = OpenOptions::new();
            file.create_new(true).write(true).mode(0o600);
            file.open(dir.join(LIMITS))?.write_all(&json)
        })
        .or_fail(Kind::Host, cannot)
}

/// What containerd has to be told so that its shim starts this program.
pub fn address(dir: &Path) -> Result<String> {
    let program = std::env::current_exe().or_fail(
        Kind::Host,
        || "cannot find our own program, to write the log",
    )?;
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| {
            Failure::host("cannot have a log written")
                .because(format!("{} is not UTF-8", path.display()))
        })
    };
    let quoted = |text: String| {
        percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let program = text(&program)?;
    let program: Vec<_> = program.split('/').map(|part| quoted(part.into())).collect();
    Ok(format!(
        "binary://{}?{VERB}={}",
        program.join("/"),
        quoted(text(dir)?)
    ))
}

/// Whether somebody writes the log in `dir`.
pub fn is_written(dir: &Path) -> bool {
    matches!(
        lock(dir, FlockArg::LockSharedNonblock),
        Err(Errno::EWOULDBLOCK)
    )
}

/// Waits until nobody writes the log in `dir` any more.
pub fn wait_for_end(dir: &Path) {
    while lock(dir, FlockArg::LockShared) == Err(Errno::EINTR) {}
}

fn lock(dir: &Path, how: FlockArg) -> Result<(), Errno> {
    // Where nobody has begun there is nothing to wait for.
    let Ok(file) = File::open(dir.join(LOCK)) else {
        return Ok(());
    };
    Flock::lock(file, how).map(drop).map_err(|(_, errno)| errno)
}

/// Writes the log in `dir` until nobody can write to the pipes any more.
pub fn write(dir: &Path) -> Result<()> {
    let cannot = || format!("cannot write the log {}", dir.display());
    // Descriptors first: a mistake in what follows shall not leave anybody waiting.
    let take = |number| inherited::take(number).or_fail(Kind::Usage, cannot);
    let pipes = [
        (Stream::Stdout, File::from(take(STDOUT)?)),
        (Stream::Stderr, File::from(take(STDERR)?)),
    ];
    let ready = take(READY)?;
    for signal in UNHEARD {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .or_fail(Kind::Host, cannot)?;
    }
    let dir = fs::canonicalize(dir).or_fail(Kind::Host, cannot)?;
    // Our directory is the shim's bundle, which is about to go.
    std::env::set_current_dir("/").or_fail(Kind::Host, cannot)?;
    let (files, _lock) = begin(&dir).or_fail(Kind::Host, cannot)?;
    drop(ready);
    copy(
        files,
        pipes.map(|(stream, pipe)| Source::new(stream, pipe)).into(),
    )
    .or_fail(Kind::Host, cannot)
}

fn begin(dir: &Path) -> io::Result<(Files, Flock<File>)> {
    let limits: Limits = serde_json::from_slice(&fs::read(dir.join(LIMITS))?)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join(LOCK))?;
    let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    Ok((Files::begin(dir, limits)?, lock))
}

/// One of the payload's streams.
struct Source {
    stream: Stream,
    pipe: File,
    lines: Lines,
}

impl Source {
    fn new(stream: Stream, pipe: File) -> Self {
        Self {
            stream,
            pipe,
            lines: Lines::default(),
        }
    }
}

/// How long poll(2) may wait: until the first of `deadlines`.
fn limit(deadlines: impl Iterator<Item = Instant>, now: Instant) -> PollTimeout {
    deadlines.min().map_or(PollTimeout::NONE, |first| {
        // What is shorter than a millisecond is waited for too, and not asked for again and again.
        let left = first.saturating_duration_since(now).as_micros();
        u16::try_from(left.div_ceil(1000)).map_or(PollTimeout::MAX, PollTimeout::from)
    })
}

/// Copies until every source has ended. Each waits for the rest of a line by itself, however busy the other is.
fn copy(mut files: Files, mut sources: Vec<Source>) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while !sources.is_empty() {
        let deadlines = sources.iter().filter_map(|source| source.lines.deadline());
        let limit = limit(deadlines, Instant::now());
        let mut watched: Vec<_> = sources
            .iter()
            .map(|source| PollFd::new(source.pipe.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut watched, limit) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(why) => return Err(why.into()),
        }
        let ready: Vec<bool> = watched
            .iter()
            .map(|one| one.any().unwrap_or(true))
            .collect();
        let time = record::time(SystemTime::now());
        let now = Instant::now();
        let mut ready = ready.into_iter();
        sources.retain_mut(|source| {
            let Source {
                stream,
                pipe,
                lines,
            } = source;
            let mut tell = |part, text: &[u8]| files.add(&time, *stream, part, text);
            let mut goes_on = true;
            if ready.next().unwrap_or(true) {
                match pipe.read(&mut buffer) {
                    Ok(read @ 1..) => {
                        lines.take(buffer.get(..read).unwrap_or_default(), now, &mut tell);
                    }
                    Err(why) if why.kind() == ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => goes_on = false,
                }
            }
            let in_time = lines.deadline().is_none_or(|deadline| now < deadline);
            if !(goes_on && in_time) {
                lines.give_up_waiting(tell);
            }
            goes_on
        });
        files.flush();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use super::*;

    #[test]
    fn nobody_is_waited_for_longer_than_until_the_first_deadline() {
        let now = Instant::now();
        let after = |microseconds| now + Duration::from_micros(microseconds);
        for (deadlines, expected) in [
            (&[][..], PollTimeout::NONE),
            (&[after(5000), after(2001)], PollTimeout::from(3u8)),
            (&[after(1)], PollTimeout::from(1u8)),
            (&[now], PollTimeout::ZERO),
        ] {
            assert_eq!(limit(deadlines.iter().copied(), now), expected);
        }
        assert_eq!(limit([now].into_iter(), after(9)), PollTimeout::ZERO);
    }

    fn log_of(out: &[u8], err: &[u8]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits {
            max_size: None,
            max_files: NonZeroU32::MIN,
        };
        let files = Files::begin(dir.path(), limits).unwrap();
        let source = |stream, bytes: &[u8]| {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(bytes).unwrap();
            Source::new(stream, File::from(OwnedFd::from(reader)))
        };
        let sources = vec![source(Stream::Stdout, out), source(Stream::Stderr, err)];
        copy(files, sources).unwrap();
        let text = fs::read_to_string(dir.path().join("1.log")).unwrap();
        text.lines()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect()
    }

    #[test]
    fn both_streams_are_written_to_their_end() {
        assert_eq!(
            log_of(b"a\nb\nc", b"d\n"),
            ["stdout F a", "stdout F b", "stderr F d", "stdout P c"]
        );
        assert_eq!(log_of(b"", b""), [""; 0]);
    }

    #[test]
    fn nobody_writes_a_log_that_was_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_written(dir.path()));
        wait_for_end(dir.path());
    }

    #[test]
    fn the_address_of_a_writer_is_quoted() {
        let address = address(Path::new("/a b/c?d=1&é")).unwrap();
        assert!(address.starts_with("binary:///"), "{address}");
        assert!(
            address.ends_with("?log-writer=%2Fa%20b%2Fc%3Fd%3D1%26%C3%A9"),
            "{address}"
        );
    }
}
