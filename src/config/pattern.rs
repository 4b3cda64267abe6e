//! Shell patterns: `*` is any text, `?` any character. Nothing else is special.

/// Whether `pattern` matches the whole of `text`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // The place behind the last star, and where in the text it was tried last: on a mismatch the star
    // takes one character more. No more than pattern times text steps.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some('*'), _) => {
                star = Some((p + 1, t));
                p += 1;
            }
            (Some('?'), Some(_)) => (p, t) = (p + 1, t + 1),
            (Some(a), Some(b)) if a == b => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((behind, tried)) => {
                    star = Some((behind, tried + 1));
                    (p, t) = (behind, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abbc"),
            ("AIRFLOW_*", "AIRFLOW_HOME"),
            ("a?c", "abc"),
            ("*b*b*", "abab"),
            ("x", "x"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a*c", "ab"),
            ("a?", "a"),
            ("x", "xy"),
            ("*b", "bc"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_any_end_of_it_behind_a_star(text in "[a-c]{0,12}", cut in 0usize..12) {
            prop_assert!(matches(&text, &text));
            let cut = cut.min(text.len());
            let ending = format!("*{}", &text[cut..]);
            prop_assert!(matches(&ending, &text));
        }
    }
}
