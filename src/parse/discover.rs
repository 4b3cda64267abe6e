//! Finds the DAG files in a folder, as Airflow does.
//!
//! In: a folder, the root of the bundle it belongs to, what airflow.cfg says. Out: paths, sorted, and what
//! could not be looked into, which as with Airflow keeps nothing else from being found. Read in
//! Airflow 2.11.2 and 3.3.2 (`utils/file.py`, `_shared/module_loading/file_discovery.py`): Python files and
//! zip archives which no `.airflowignore` on the way excludes, and whose text speaks of Airflow and of DAGs or
//! assets (`dag_discovery_safe_mode`). Nothing of a file is executed.

mod ignore_file;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ignore::Match;
use nix::errno::Errno;

use self::ignore_file::Ignored;
pub use self::ignore_file::Syntax;
use crate::config::airflow_cfg::AirflowConfig;
use crate::failure::{Context, Failure, Kind, Result};
use crate::regular_file;

/// Of a larger file, Airflow reads all to look for two words; nobody writes one.
const MAX_SIZE: u64 = 16 << 20;

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

/// What a search came to.
#[derive(Debug, Default)]
pub struct Found {
    /// The DAG files.
    pub files: Vec<PathBuf>,
    /// Why there may be more of them.
    pub skipped: Vec<Failure>,
}

/// The DAG files below `folder`, which is in the bundle `root` or is it.
pub fn dag_files(folder: &Path, root: &Path, rules: Rules) -> Result<Found> {
    let mut search = Search {
        root,
        rules,
        seen: BTreeSet::new(),
        found: Found::default(),
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
        ignored.extend(Ignored::in_folder(directory, rules.syntax)?);
    }
    // What somebody named has to be there.
    let entries = search.enter(folder);
    let entries = entries.or_fail(Kind::Usage, || cannot_read(folder))?;
    search.walk(folder, entries, &ignored)?;
    search.found.files.sort();
    Ok(search.found)
}

struct Search<'a> {
    root: &'a Path,
    rules: Rules,
    /// Real paths of folders: links may lead in a circle.
    seen: BTreeSet<PathBuf>,
    found: Found,
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

impl Search<'_> {
    /// What is in `folder`; nothing the second time.
    fn enter(&mut self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.seen.insert(folder.canonicalize()?) {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    fn walk(&mut self, folder: &Path, entries: Vec<PathBuf>, above: &[Ignored]) -> Result<()> {
        let mut ignored = above.to_vec();
        ignored.extend(Ignored::in_folder(folder, self.rules.syntax)?);
        for path in entries {
            let found = match fs::metadata(&path) {
                Ok(found) => found,
                Err(why) => {
                    self.skip(&path, why);
                    continue;
                }
            };
            if self.is_ignored(&path, found.is_dir(), &ignored) {
                continue;
            }
            if found.is_dir() {
                match self.enter(&path) {
                    Ok(entries) => self.walk(&path, entries, &ignored)?,
                    Err(why) => self.skip(&path, why),
                }
            } else if found.is_file() && self.may_hold_a_dag(&path) {
                self.found.files.push(path);
            }
        }
        Ok(())
    }

    fn skip(&mut self, path: &Path, why: io::Error) {
        // A link that leads nowhere is no file, and what has gone meanwhile is none any more.
        let errno = why.raw_os_error().map(Errno::from_raw);
        if matches!(errno, Some(Errno::ENOENT | Errno::ELOOP)) {
            return;
        }
        let skipped = Failure::usage(cannot_read(path)).because(why);
        self.found.skipped.push(skipped);
    }

    /// The last word counts.
    fn is_ignored(&self, path: &Path, is_dir: bool, ignored: &[Ignored]) -> bool {
        let below_root = path.strip_prefix(self.root).unwrap_or(path);
        let below_root = below_root.to_string_lossy();
        for one in ignored.iter().rev() {
            match one.says_of(path, &below_root, is_dir) {
                Match::Ignore(()) => return true,
                Match::Whitelist(()) => return false,
                Match::None => {}
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
mod tests;
