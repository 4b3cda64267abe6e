//! From the bytes of one stream to texts of records: whole lines, and pieces of those that are long or
//! not ended yet. Never holds more than [`MAX_TEXT`] bytes.

use super::record::{MAX_TEXT, Part};

/// What is read of a line whose end is not seen yet.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes what has been read, and tells each text that is complete.
    pub fn take(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Part, &[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.text(line, &mut tell);
            tell(Part::Full, &self.0);
            self.0.clear();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.text(bytes, &mut tell);
    }

    /// Tells what there is of a line that nothing more is known of.
    pub fn give_up_waiting(&mut self, mut tell: impl FnMut(Part, &[u8])) {
        if !self.0.is_empty() {
            tell(Part::Partial, &self.0);
            self.0.clear();
        }
    }

    /// Whether there is such a line.
    pub fn is_waiting(&self) -> bool {
        !self.0.is_empty()
    }

    /// Adds text without newlines; what is more than a record holds is told.
    fn text(&mut self, mut text: &[u8], tell: &mut impl FnMut(Part, &[u8])) {
        loop {
            let (now, later) = text.split_at(text.len().min(MAX_TEXT - self.0.len()));
            self.0.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            tell(Part::Partial, &self.0);
            self.0.clear();
            text = later;
        }
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
            lines.take(piece, |part, text| told.push((part, text.to_vec())));
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
