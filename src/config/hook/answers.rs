//! Answers of the image hook that are good for a moment: one that reads settings for many DAG files would
//! start a Python for each (70 ms; 1.5 s where the module imports Airflow).
//!
//! In: which file was asked for which image. Out: what it said, failures included. A file that has
//! changed is asked anew.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Heard;
use crate::failure::{Failure, Result};

/// How long an answer is good: the function may ask others, whom nobody watches. An operator who tries
/// out a change waits no longer than for the next round of the DAG processor.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// Remembers answers, or by default none; copies share them.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    known: Option<Arc<Mutex<HashMap<Question, Known>>>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Question {
    file: PathBuf,
    /// Device, inode, size, seconds and nanoseconds of the last change.
    state: Option<(u64, u64, u64, i64, i64)>,
    image: String,
}

#[derive(Debug)]
struct Known {
    at: Instant,
    heard: Result<Heard, Refused>,
}

/// A failure's words.
#[derive(Debug, Clone)]
struct Refused {
    what: String,
    hints: Vec<String>,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let failure = Self::usage(refused.what);
        refused.hints.into_iter().fold(failure, Self::hint)
    }
}

impl Answers {
    /// Remembers each for a moment.
    pub fn remembered() -> Self {
        Self {
            known: Some(Arc::default()),
        }
    }

    /// Nothing is known any more.
    pub fn forget(&self) {
        if let Some(known) = &self.known {
            known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// What is known, or what `ask` says; whoever comes meanwhile waits for it.
    pub(super) fn of(
        &self,
        file: &Path,
        image: &str,
        ask: impl FnOnce() -> Result<Heard>,
    ) -> Result<Heard> {
        let Some(known) = &self.known else {
            return ask();
        };
        // Nothing is left half done by a panic of `ask`.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known.at.elapsed() < GOOD_FOR);
        let question = Question {
            file: file.to_owned(),
            state: state(file),
            image: image.to_owned(),
        };
        if let Some(known) = known.get(&question) {
            return known.heard.clone().map_err(Failure::from);
        }
        let heard = ask().map_err(|failure| Refused {
            what: failure.to_string(),
            hints: failure.hints().to_vec(),
        });
        let answer = heard.clone();
        let at = Instant::now();
        known.insert(question, Known { at, heard });
        answer.map_err(Failure::from)
    }
}

fn state(file: &Path) -> Option<(u64, u64, u64, i64, i64)> {
    let found = std::fs::metadata(file).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.ctime(),
        found.ctime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn heard(what: &str) -> Result<Heard> {
        Ok(Heard {
            image: None,
            said: vec![what.to_owned()],
        })
    }

    #[test]
    fn the_same_question_is_asked_once_and_others_for_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let (file, answers) = (dir.path().join("f"), Answers::remembered());
        let times = Cell::new(0);
        let ask = |image: &str| {
            let counted = || {
                times.set(times.get() + 1);
                heard("x")
            };
            answers.of(&file, image, counted).unwrap();
            times.get()
        };
        assert_eq!([ask("a"), ask("a"), ask("b"), ask("b")], [1, 1, 2, 2]);
        std::fs::write(&file, "changed").unwrap();
        assert_eq!([ask("a"), ask("a")], [3, 3]);
        answers.forget();
        assert_eq!(ask("a"), 4);
    }

    #[test]
    fn a_refusal_is_remembered_with_its_hints() {
        let answers = Answers::remembered();
        let refuse = || Err(Failure::usage("no").because("of this").hint("do that"));
        for ask in [&refuse as &dyn Fn() -> Result<Heard>, &|| heard("x")] {
            let failure = answers.of(Path::new("/no"), "a", ask).unwrap_err();
            assert_eq!(failure.to_string(), "no: of this");
            assert_eq!(failure.hints(), ["do that"]);
        }
    }

    #[test]
    fn by_default_nothing_is_remembered() {
        let answers = Answers::default();
        for what in ["x", "y"] {
            let heard = answers.of(Path::new("/no"), "a", || heard(what)).unwrap();
            assert_eq!(heard.said, [what]);
        }
    }
}
