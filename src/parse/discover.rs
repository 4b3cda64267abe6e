//! Finds the DAG files in a folder, as Airflow does.
//!
//! In: a folder, the root of the bundle it belongs to, what airflow.cfg says. Out: paths, sorted. Read in
//! Airflow 2.11.2 and 3.3.2 (`utils/file.py`, `_shared/module_loading/file_discovery.py`): Python files and
//! zip archives which no `.airflowignore` on the way excludes, and whose text speaks of Airflow and of DAGs or
//! assets (`dag_discovery_safe_mode`). Nothing of a file is executed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::Regex;

use crate::config::airflow_cfg::AirflowConfig;
use crate::failure::{Context, Failure, Kind, Result};
use crate::regular_file;

const IGNORE_FILE: &str = ".airflowignore";

/// Of a larger file, Airflow reads all to look for two words; nobody writes one.
const MAX_SIZE: u64 = 16 << 20;

/// How `.airflowignore` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// As `.gitignore`: Airflow 3's default.
    Glob,
    /// Regular expressions, searched in paths: Airflow 2's default.
    Regexp,
}

/// Which files of a folder count.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// `dag_ignore_file_syntax`.
    pub syntax: Syntax,
    /// `dag_discovery_safe_mode`: whether a file has to speak of Airflow.
    pub safe_mode: bool,
}

impl Rules {
    /// What airflow.cfg says; else what Airflow 3 does.
    pub fn of(config: &AirflowConfig) -> Result<Self> {
        let syntax = config.get("core", "dag_ignore_file_syntax")?;
        let syntax = match syntax.as_ref().map(|value| value.text.trim()) {
            None | Some("" | "glob") => Syntax::Glob,
            Some("regexp") => Syntax::Regexp,
            Some(_) => {
                let refuse = |value: crate::config::airflow_cfg::Value| {
                    value.refuse("it must be glob or regexp")
                };
                return Err(syntax.map_or_else(|| Failure::usage("no syntax"), refuse));
            }
        };
        let safe_mode = match config.get("core", "dag_discovery_safe_mode")? {
            Some(value) => value.boolean()?,
            None => true,
        };
        Ok(Self { syntax, safe_mode })
    }
}

/// The DAG files below `folder`, which is in the bundle `root` or is it.
pub fn dag_files(folder: &Path, root: &Path, rules: Rules) -> Result<Vec<PathBuf>> {
    let mut search = Search {
        root,
        rules,
        seen: BTreeSet::new(),
        found: Vec::new(),
    };
    let mut ignored = Vec::new();
    // What the folders above say of it counts, but for whether it is looked at: somebody named it.
    let mut above: Vec<&Path> = folder
        .ancestors()
        .skip(1)
        .take_while(|path| path.starts_with(root))
        .collect();
    above.reverse();
    for directory in above {
        ignored.extend(search.ignored_in(directory)?);
    }
    search.walk(folder, &ignored)?;
    search.found.sort();
    Ok(search.found)
}

struct Search<'a> {
    root: &'a Path,
    rules: Rules,
    /// Real paths of folders: links may lead in a circle.
    seen: BTreeSet<PathBuf>,
    found: Vec<PathBuf>,
}

/// What one `.airflowignore` says.
#[derive(Debug, Clone)]
enum Ignored {
    Globs(Gitignore),
    Patterns(Vec<Regex>),
}

impl Search<'_> {
    fn walk(&mut self, folder: &Path, above: &[Ignored]) -> Result<()> {
        let cannot = || format!("cannot read the folder {}", folder.display());
        let real = folder.canonicalize().or_fail(Kind::Usage, cannot)?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        let mut ignored = above.to_vec();
        ignored.extend(self.ignored_in(folder)?);
        for entry in fs::read_dir(folder).or_fail(Kind::Usage, cannot)? {
            let entry = entry.or_fail(Kind::Usage, cannot)?;
            let path = entry.path();
            // A link that leads nowhere is no file.
            let Ok(found) = fs::metadata(&path) else {
                continue;
            };
            if self.is_ignored(&path, found.is_dir(), &ignored) {
                continue;
            }
            if found.is_dir() {
                self.walk(&path, &ignored)?;
            } else if found.is_file() && self.may_hold_a_dag(&path) {
                self.found.push(path);
            }
        }
        Ok(())
    }

    fn ignored_in(&self, folder: &Path) -> Result<Option<Ignored>> {
        let path = folder.join(IGNORE_FILE);
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(None);
        };
        // Airflow takes everything behind a # for a comment.
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim_end())
            .filter(|line| !line.is_empty());
        let wrong = |line: &str| format!("{}: cannot understand {line:?}", path.display());
        Ok(Some(match self.rules.syntax {
            Syntax::Glob => {
                let mut globs = GitignoreBuilder::new(folder);
                for line in lines {
                    globs
                        .add_line(None, line)
                        .or_fail(Kind::Usage, || wrong(line))?;
                }
                let globs = globs.build();
                Ignored::Globs(globs.or_fail(Kind::Usage, || wrong(""))?)
            }
            Syntax::Regexp => {
                let patterns = lines
                    .map(|line| Regex::new(line).or_fail(Kind::Usage, || wrong(line)))
                    .collect::<Result<_>>();
                Ignored::Patterns(patterns?)
            }
        }))
    }

    /// The last word counts.
    fn is_ignored(&self, path: &Path, is_dir: bool, ignored: &[Ignored]) -> bool {
        let below_root = path.strip_prefix(self.root).unwrap_or(path);
        let below_root = below_root.to_string_lossy();
        for one in ignored.iter().rev() {
            match one {
                Ignored::Globs(globs) => match globs.matched(path, is_dir) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                },
                Ignored::Patterns(patterns) => {
                    if patterns.iter().any(|pattern| pattern.is_match(&below_root)) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// One that cannot be read is looked at in its container, and the reason is shown.
    fn may_hold_a_dag(&self, path: &Path) -> bool {
        let is_python = path.extension().is_some_and(|extension| extension == "py");
        let bytes = match regular_file::read(path, MAX_SIZE) {
            Ok(bytes) => bytes,
            Err(_) => return is_python,
        };
        if bytes.starts_with(b"PK\x03\x04") {
            return true;
        }
        is_python && (!self.rules.safe_mode || speaks_of_dags(&bytes))
    }
}

/// `might_contain_dag_via_default_heuristic` of Airflow 3; Airflow 2 asks for `dag` alone.
fn speaks_of_dags(bytes: &[u8]) -> bool {
    let lower = bytes.to_ascii_lowercase();
    let has = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    has(b"airflow") && (has(b"dag") || has(b"asset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAG: &str = "from airflow import DAG\n";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                let path = folder.0.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            folder
        }

        fn found(&self, below: &str, syntax: Syntax) -> Vec<String> {
            let rules = Rules {
                syntax,
                safe_mode: true,
            };
            let root = self.0.path();
            let found = dag_files(&root.join(below), root, rules).unwrap();
            let names = found.iter().map(|path| path.strip_prefix(root).unwrap());
            names.map(|name| name.display().to_string()).collect()
        }
    }

    #[test]
    fn python_files_that_speak_of_dags_and_archives_are_found() {
        let folder = Folder::with(&[
            ("a.py", DAG),
            ("deep/er/b.py", "import AIRFLOW # an Asset\n"),
            ("helper.py", "import os\n"),
            ("c.txt", DAG),
            ("d.zip", "PK\x03\x04"),
            ("__pycache__/a.pyc", DAG),
        ]);
        assert_eq!(
            folder.found("", Syntax::Glob),
            ["a.py", "d.zip", "deep/er/b.py"]
        );
    }

    #[test]
    fn what_airflowignore_says_in_glob_syntax_does_not_count() {
        let folder = Folder::with(&[
            (
                ".airflowignore",
                "# all of these\nold_*  # once\n/x/y.py\nteam/\n!old_but_good.py\n",
            ),
            ("old_a.py", DAG),
            ("old_but_good.py", DAG),
            ("x/y.py", DAG),
            ("z/x/y.py", DAG),
            ("team/a.py", DAG),
            ("z/.airflowignore", "b.py"),
            ("z/b.py", DAG),
            ("b.py", DAG),
        ]);
        assert_eq!(
            folder.found("", Syntax::Glob),
            ["b.py", "old_but_good.py", "z/x/y.py"]
        );
    }

    #[test]
    fn what_airflowignore_says_in_regular_expressions_does_not_count() {
        let folder = Folder::with(&[
            (".airflowignore", "^x/.*_old\\.py$\nteam_[ab]\n"),
            ("x/a_old.py", DAG),
            ("a_old.py", DAG),
            ("team_a/b.py", DAG),
            ("team_c/b.py", DAG),
        ]);
        assert_eq!(
            folder.found("", Syntax::Regexp),
            ["a_old.py", "team_c/b.py"]
        );
    }

    #[test]
    fn what_the_folders_above_say_counts_within_a_folder_that_somebody_names() {
        let folder = Folder::with(&[
            (".airflowignore", "a.py\nteam\n"),
            ("team/a.py", DAG),
            ("team/b.py", DAG),
        ]);
        assert_eq!(folder.found("team", Syntax::Glob), ["team/b.py"]);
        assert!(folder.found("", Syntax::Glob).is_empty());
    }

    #[test]
    fn a_link_in_a_circle_is_followed_once() {
        let folder = Folder::with(&[("x/a.py", DAG)]);
        std::os::unix::fs::symlink("..", folder.0.path().join("x/up")).unwrap();
        assert_eq!(folder.found("", Syntax::Glob), ["x/a.py"]);
    }
}
