//! What Python takes for white space, since the reader has to strip exactly that.
//!
//! In: text. Out: parts of it. Compared with `str.isspace` for every character there is.

/// `str.isspace` of one character: Unicode's white space and the four information separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.rstrip()`.
pub(super) fn strip_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// The lines of a file opened in text mode: `\n`, `\r\n` and `\r` end a line, nothing else does.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) = text.find(['\n', '\r']).map(|at| text.split_at(at)) else {
            rest = None;
            return Some(text);
        };
        let after = after.strip_prefix("\r\n").or_else(|| after.get(1..));
        rest = after.filter(|after| !after.is_empty());
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_ends_a_line() {
        let found: Vec<_> = lines("a\nb\r\nc\rd\n\r\ne\u{2028}f\x0b").collect();
        assert_eq!(found, ["a", "b", "c", "d", "", "e\u{2028}f\x0b"]);
        assert_eq!(lines("a\n").count(), 1);
        assert_eq!(lines("").count(), 0);
    }

    #[test]
    fn only_what_python_strips_is_stripped() {
        assert_eq!(strip("\u{a0}\x1f a\u{200b} \u{85}"), "a\u{200b}");
        assert_eq!(strip_end(" a\x1c"), " a");
    }
}
