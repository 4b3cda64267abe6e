//! One failure for several attempts at the same thing.

use crate::failure::{Failure, Kind, Result};

/// What to report when some of `tried` attempts failed; `did` says what to what, such as to remove images.
pub fn one_of(mut failures: Vec<Failure>, did: (&str, &str), tried: usize) -> Result<()> {
    let interrupted = |failure: &Failure| matches!(failure.kind(), Kind::Interrupted(_));
    // It is the same for all.
    if let Some(at) = failures.iter().position(interrupted) {
        return Err(failures.swap_remove(at));
    }
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.swap_remove(0)),
        failed => {
            let kind = failures.first().map_or(Kind::Image, Failure::kind);
            let reasons: Vec<String> = failures.iter().map(Failure::to_string).collect();
            let (act, objects) = did;
            let what = format!("cannot {act} {failed} of {tried} {objects}");
            let hints = failures.iter().flat_map(Failure::hints);
            let mut all = Failure::new(kind, what).because(reasons.join("; "));
            for hint in hints {
                if !all.hints().contains(hint) {
                    all = all.hint(hint.clone());
                }
            }
            Err(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_become_one_that_names_all() {
        let failures = vec![
            Failure::new(Kind::Image, "no a"),
            Failure::new(Kind::Image, "no b"),
        ];
        let failure = one_of(failures, ("remove", "images"), 3).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot remove 2 of 3 images: no a; no b"
        );
    }
}
