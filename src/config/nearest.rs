//! The known word that an unknown one was probably meant to be.

/// Fewer letters than these for each typing error are another word, not a slip.
const LETTERS_PER_TYPING_ERROR: usize = 3;

/// The nearest of `known`, if it is near.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A word needs at least as many typing errors as it is longer or shorter. What is compared is
    // then never longer than a known word, however long the unknown one is.
    let length = unknown.chars().count();
    let is_near = |word: &&str, errors: usize| errors * LETTERS_PER_TYPING_ERROR <= word.len();
    let (typing_errors, word) = known
        .into_iter()
        .filter(|word| is_near(word, word.len().abs_diff(length)))
        .map(|word| (strsim::osa_distance(unknown, word), word))
        .min()?;
    is_near(&word, typing_errors).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let verbs = ["run", "image"];
        assert_eq!(nearest("rnu", verbs), Some("run"));
        assert_eq!(nearest("imgae", verbs), Some("image"));
        assert_eq!(nearest("ps", verbs), None);
        assert_eq!(nearest("run", []), None);
        assert_eq!(nearest("ïmage", verbs), Some("image"));
    }
}
