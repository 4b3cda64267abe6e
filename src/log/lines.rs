//! From the bytes of one stream to texts of records: whole lines, and pieces of those that are long or
//! not ended in time. Never holds more than [`MAX_TEXT`] bytes, and reads no clock.

use std::time::{Duration, Instant};

use super::record::{MAX_TEXT, Part};

/// How long the rest of a line is waited for: a prompt shall be seen.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is read of a line whose end is not seen yet.
#[derive(Debug, Default)]
pub struct Lines {
    text: Vec<u8>,
    /// When the first byte of it came.
    since: Option<Instant>,
}

impl Lines {
    /// Takes what has been read `now`, and tells each text that is complete.
    pub fn take(&mut self, mut bytes: &[u8], now: Instant, mut tell: impl FnMut(Part, &[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.add(line, now, &mut tell);
            tell(Part::Full, &self.text);
            self.clear();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.add(bytes, now, &mut tell);
    }

    /// Until when the rest of a line is waited for, if there is a part of one.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }

    /// Tells what there is of a line that is waited for no longer.
    pub fn give_up_waiting(&mut self, mut tell: impl FnMut(Part, &[u8])) {
        if !self.text.is_empty() {
            tell(Part::Partial, &self.text);
            self.clear();
        }
    }

    /// Adds text without newlines; what is more than a record holds is told.
    fn add(&mut self, mut text: &[u8], now: Instant, tell: &mut impl FnMut(Part, &[u8])) {
        while !text.is_empty() {
            if self.text.len() == MAX_TEXT {
                tell(Part::Partial, &self.text);
                self.clear();
            }
            let (fits, later) = text.split_at(text.len().min(MAX_TEXT - self.text.len()));
            self.text.extend_from_slice(fits);
            self.since.get_or_insert(now);
            text = later;
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(pieces: &[&[u8]]) -> Vec<(Part, Vec<u8>)> {
        let mut lines = Lines::default();
        let mut told = Vec::new();
        for piece in pieces {
            lines.take(piece, Instant::now(), |part, text| {
                told.push((part, text.to_vec()))
            });
        }
        lines.give_up_waiting(|part, text| told.push((part, text.to_vec())));
        told
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_one_record() {
        let expected = vec![
            (Part::Full, b"abc".to_vec()),
            (Part::Full, Vec::new()),
            (Part::Partial, b"d".to_vec()),
        ];
        assert_eq!(told(&[b"a", b"bc\n\n", b"d"]), expected);
    }

    #[test]
    fn a_long_line_is_several_records() {
        let long = vec![b'x'; 2 * MAX_TEXT];
        let lengths: Vec<_> = told(&[&long, b"\n"])
            .iter()
            .map(|(part, text)| (*part, text.len()))
            .collect();
        assert_eq!(lengths, [(Part::Partial, MAX_TEXT), (Part::Full, MAX_TEXT)]);
    }

    #[test]
    fn the_rest_of_a_line_is_waited_for_from_its_first_byte_that_is_not_told() {
        let mut lines = Lines::default();
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let mut told = 0;
        let mut take = |bytes: &[u8], now| {
            lines.take(bytes, at(now), |_, _| told += 1);
            lines.deadline()
        };
        assert_eq!(take(b"", 0), None);
        assert_eq!(take(b"a\n", 1), None);
        assert_eq!(take(b"b\nc", 2), Some(at(202)));
        assert_eq!(take(b"d", 150), Some(at(202)));
        assert_eq!(take(b"\ne", 160), Some(at(360)));
        assert_eq!(take(&[b'x'; MAX_TEXT], 170), Some(at(370)));
        lines.give_up_waiting(|_, _| told += 1);
        assert_eq!((lines.deadline(), told), (None, 5));
    }

    proptest! {
        #[test]
        fn nothing_is_added_and_nothing_is_lost(
            pieces in proptest::collection::vec((any::<u8>(), 0usize..40_000), 0..9)
        ) {
            let pieces: Vec<_> = pieces.into_iter().map(|(byte, length)| vec![byte; length]).collect();
            let pieces = [pieces, vec![b"\n".to_vec(), b"a\nb".to_vec()]].concat();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let mut whole = Vec::new();
            for (part, text) in told(&pieces) {
                prop_assert!(text.len() <= MAX_TEXT && !text.contains(&b'\n'));
                whole.extend(text);
                whole.extend((part == Part::Full).then_some(b'\n'));
            }
            prop_assert_eq!(whole, pieces.concat());
        }
    }
}
