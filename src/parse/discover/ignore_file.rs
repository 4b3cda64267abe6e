//! `.airflowignore`: what a folder says does not count.
//!
//! In: a folder, the syntax of its file. Out: what the file says of paths below. Authors write it: it is
//! never waited for, read without bound, or taken for none where there is one that cannot be understood.

use std::io::ErrorKind;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::Regex;

use crate::failure::{Context, Failure, Kind, Result};
use crate::regular_file::{self, Refusal};

const NAME: &str = ".airflowignore";

/// Nobody writes a longer one.
const MAX_SIZE: u64 = 1 << 20;

/// How `.airflowignore` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// As `.gitignore`: Airflow 3's default.
    Glob,
    /// Regular expressions, searched in paths: Airflow 2's default.
    Regexp,
}

/// What one of them says.
#[derive(Debug, Clone)]
pub(super) enum Ignored {
    Globs(Gitignore),
    Patterns(Vec<Regex>),
}

impl Ignored {
    /// What `folder` says, if anything.
    pub fn in_folder(folder: &Path, syntax: Syntax) -> Result<Option<Self>> {
        let path = folder.join(NAME);
        let cannot = || format!("cannot read {}", path.display());
        let bytes = match regular_file::read(&path, MAX_SIZE) {
            Err(Refusal::System(why)) if why.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.or_fail(Kind::Usage, cannot)?,
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::usage(cannot()).because("it is not UTF-8"))?;
        // Airflow takes everything behind a # for a comment.
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim_end())
            .filter(|line| !line.is_empty());
        let wrong = |line: &str| format!("{}: cannot understand {line:?}", path.display());
        Ok(Some(match syntax {
            Syntax::Glob => {
                let mut globs = GitignoreBuilder::new(folder);
                for line in lines {
                    globs
                        .add_line(None, line)
                        .or_fail(Kind::Usage, || wrong(line))?;
                }
                let globs = globs.build();
                Self::Globs(globs.or_fail(Kind::Usage, || wrong(""))?)
            }
            Syntax::Regexp => {
                let patterns = lines
                    .map(|line| Regex::new(line).or_fail(Kind::Usage, || wrong(line)))
                    .collect::<Result<_>>();
                Self::Patterns(patterns?)
            }
        }))
    }

    /// What it says of `path`, which is `below_root` seen from the root of the bundle.
    pub fn says_of(&self, path: &Path, below_root: &str, is_dir: bool) -> Match<()> {
        match self {
            Self::Globs(globs) => globs.matched(path, is_dir).map(|_| ()),
            Self::Patterns(patterns) => {
                match patterns.iter().any(|pattern| pattern.is_match(below_root)) {
                    true => Match::Ignore(()),
                    false => Match::None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[track_caller]
    fn refused(make: impl FnOnce(&Path), why: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        make(&path);
        let failure = Ignored::in_folder(folder.path(), Syntax::Glob).unwrap_err();
        let said = failure.to_string();
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn what_is_no_text_file_is_refused_without_waiting() {
        let fifo = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused(fifo, "not a regular file");
        refused(
            |path| symlink("/dev/zero", path).unwrap(),
            "not a regular file",
        );
        refused(|path| fs::create_dir(path).unwrap(), "not a regular file");
        refused(|path| fs::write(path, b"a\xff\n").unwrap(), "not UTF-8");
        let large = vec![b'#'; (1 << 20) + 1];
        refused(|path| fs::write(path, &large).unwrap(), "larger than 1 MiB");
    }

    #[test]
    fn a_folder_without_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let said = Ignored::in_folder(folder.path(), Syntax::Glob).unwrap();
        assert!(said.is_none());
    }
}
