//! A command line as words, as `shlex.split` of Python makes them.
//!
//! In: text. Out: words, or why there are none. No variable, glob or operator means anything here:
//! Airflow starts its commands without a shell.

use thiserror::Error;

/// Why a text is no command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Unsplittable {
    #[error("a quotation is not closed")]
    OpenQuote,
    #[error("it ends in a backslash")]
    OpenEscape,
}

/// Splits `text`.
pub(super) fn split(text: &str) -> Result<Vec<String>, Unsplittable> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => until_single_quote(&mut rest, word.get_or_insert_default())?,
            '"' => until_double_quote(&mut rest, word.get_or_insert_default())?,
            '\\' => {
                let next = rest.next().ok_or(Unsplittable::OpenEscape)?;
                word.get_or_insert_default().push(next);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn until_single_quote(rest: &mut std::str::Chars, word: &mut String) -> Result<(), Unsplittable> {
    loop {
        match rest.next().ok_or(Unsplittable::OpenQuote)? {
            '\'' => return Ok(()),
            c => word.push(c),
        }
    }
}

fn until_double_quote(rest: &mut std::str::Chars, word: &mut String) -> Result<(), Unsplittable> {
    loop {
        match rest.next().ok_or(Unsplittable::OpenQuote)? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or(Unsplittable::OpenEscape)? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            split("a 'b c' \"d \\\" \\n\" e\\ f ''").unwrap(),
            ["a", "b c", "d \" \\n", "e f", ""]
        );
    }

    #[test]
    fn what_does_not_end_is_refused() {
        assert_eq!(split("'a").unwrap_err(), Unsplittable::OpenQuote);
        assert_eq!(split("a\\").unwrap_err(), Unsplittable::OpenEscape);
    }
}
