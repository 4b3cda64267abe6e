//! One record of a log, as a line of text: the format of the Kubernetes container runtime interface, which
//! every log collector reads.
//!
//! ```text
//! 2026-11-21T18:04:05.123456789Z stdout F a whole line, without its end
//! 2026-11-21T18:04:05.223456789Z stderr P a piece of a line that goes on, or ends, without a newline
//! ```
//!
//! The text is the payload's bytes as they are, whatever they are, up to a newline; a newline was there
//! where it says `F`. So what was written can be told byte for byte.

use std::time::SystemTime;

/// The longest text of one record. A longer line is several (Kubernetes' own limit for a piece,
/// `container_log_max_line_size` of cri-o and containerd).
pub const MAX_TEXT: usize = 16 << 10;

/// The longest record: time, stream, mark, text and newline.
pub const MAX_RECORD: usize = MAX_TEXT + 64;

/// What the payload wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// Whether a newline was behind the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It was.
    Full,
    /// The line goes on in the stream's next record, or ended without one.
    Partial,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each type says what it is")]
pub struct Record<'a> {
    pub time: SystemTime,
    pub stream: Stream,
    pub part: Part,
    pub text: &'a [u8],
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A time as records have it: always of the same length, so that text sorts as time does.
pub fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_nanos(time).to_string()
}

/// Appends a record to `out`; `time` is of [`time`], and `text` has no newline.
pub fn write(out: &mut Vec<u8>, time: &str, stream: Stream, part: Part, text: &[u8]) {
    out.extend_from_slice(time.as_bytes());
    out.push(b' ');
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(match part {
        Part::Full => b" F ",
        Part::Partial => b" P ",
    });
    out.extend_from_slice(text);
    out.push(b'\n');
}

impl<'a> Record<'a> {
    /// Reads a line, which ends with its newline; `None` for what is no record.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.strip_suffix(b"\n")?.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        Some(Self {
            time: humantime::parse_rfc3339(time).ok()?,
            stream: match fields.next()? {
                b"stdout" => Stream::Stdout,
                b"stderr" => Stream::Stderr,
                _ => return None,
            },
            part: match fields.next()? {
                b"F" => Part::Full,
                b"P" => Part::Partial,
                _ => return None,
            },
            text: fields.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_a_line_that_every_collector_reads() {
        let then = SystemTime::UNIX_EPOCH + Duration::new(1_500_000_000, 7);
        let mut line = Vec::new();
        write(&mut line, &time(then), Stream::Stderr, Part::Full, b"a b");
        assert_eq!(
            String::from_utf8_lossy(&line),
            "2017-07-14T02:40:00.000000007Z stderr F a b\n"
        );
    }

    #[test]
    fn what_is_no_record_is_none() {
        for line in [
            &b""[..],
            b"\n",
            b"2017-07-14T02:40:00.000000007Z stderr F a",
            b"2017-07-14T02:40:00.000000007Z stderr F\n",
            b"2017-07-14T02:40:00.000000007Z stdin F a\n",
            b"2017-07-14T02:40:00.000000007Z stderr X a\n",
            b"yesterday stderr F a\n",
        ] {
            assert_eq!(Record::read(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_they_were_written(
            text in proptest::collection::vec(any::<u8>().prop_filter("newline", |b| *b != b'\n'), 0..80),
            seconds in 0u64..4_000_000_000, nanos in 0u32..1_000_000_000,
        ) {
            let then = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            let mut line = Vec::new();
            write(&mut line, &time(then), Stream::Stdout, Part::Partial, &text);
            let expected = Record { time: then, stream: Stream::Stdout, part: Part::Partial, text: &text };
            prop_assert_eq!(Record::read(&line), Some(expected));
        }

        #[test]
        fn any_bytes_are_a_record_or_none(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::read(&line);
        }
    }
}
