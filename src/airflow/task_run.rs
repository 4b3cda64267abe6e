//! `airflow tasks run … --local`, read as Airflow's own parser reads it.
//!
//! In: the arguments of `airflow`. Out: what is needed of them, and the arguments for the `airflow` in the
//! container. What is wrong with the rest of the command line is for Airflow to say.
//!
//! Options as in airflow/cli/cli_config.py of 2.10.5 and 2.11.2. Python's argparse takes the beginning of a
//! long option for the whole, and values behind `=` or, of a letter, directly behind it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Long options with a value, and their letters.
const WITH_VALUE: [(&str, Option<char>); 7] = [
    (SUBDIR, Some('S')),
    ("cfg-path", None),
    ("depends-on-past", Some('d')),
    ("job-id", Some('j')),
    ("map-index", None),
    ("pickle", Some('p')),
    ("pool", None),
];

/// Those without, as far as they have to be told from others.
const ALONE: [(&str, Option<char>); 17] = [
    (LOCAL, Some('l')),
    (HELP, Some('h')),
    (DOCKER, None),
    ("raw", Some('r')),
    ("force", Some('f')),
    ("ignore-all-dependencies", Some('A')),
    ("ignore-dependencies", Some('i')),
    ("ignore-depends-on-past", Some('I')),
    ("interactive", Some('N')),
    ("mark-success", Some('m')),
    ("no-shut-down-logging", None),
    ("read-from-db", None),
    ("ship-dag", None),
    ("verbose", Some('v')),
    // These two are taken by name only: their beginnings are ambiguous in no version.
    ("donot-pickle", Some('x')),
    ("color", None),
    ("no-color", None),
];

const LOCAL: &str = "local";
const HELP: &str = "help";
const DOCKER: &str = "docker";
const SUBDIR: &str = "subdir";

/// What Airflow puts in place of its DAGs folder (`process_subdir` in airflow/utils/cli.py).
const DAGS_FOLDER: &str = "DAGS_FOLDER";

/// A task that is to run here and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRun {
    /// AIP-46's `--docker` was there.
    pub docker: bool,
    /// The arguments for the real Airflow, without it.
    pub arguments: Vec<OsString>,
    subdir: Option<OsString>,
}

/// One option of the command line, with its value.
struct Said {
    name: &'static str,
    value: Option<OsString>,
}

impl TaskRun {
    /// The task run that `arguments` ask for; nothing if they ask for anything else.
    pub fn of(arguments: &[OsString]) -> Option<Self> {
        let [verb, action, rest @ ..] = arguments else {
            return None;
        };
        if verb != "tasks" || action != "run" {
            return None;
        }
        let mut run = Self {
            docker: false,
            arguments: vec![verb.clone(), action.clone()],
            subdir: None,
        };
        let (mut local, mut options) = (false, true);
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            options &= word != "--";
            let mut value = None;
            for said in options.then(|| options_of(word)).into_iter().flatten() {
                value = match (&said.value, takes_value(said.name)) {
                    (None, true) => words.next(),
                    _ => None,
                };
                match said.name {
                    HELP => return None,
                    LOCAL => local = true,
                    DOCKER => run.docker = true,
                    SUBDIR => run.subdir = value.cloned().or(said.value),
                    _ => {}
                }
            }
            if !(options && name_of(word) == Some(DOCKER)) {
                run.arguments.push(word.clone());
                run.arguments.extend(value.cloned());
            }
        }
        local.then_some(run)
    }

    /// The DAG file that it names; `dags` is Airflow's DAGs folder. Of a DAG in a zip archive, that is the
    /// archive: its metadata file stands beside it.
    pub fn dag_file(&self, dags: &Path) -> Result<PathBuf> {
        let Some(subdir) = &self.subdir else {
            return Err(Failure::usage("cannot tell which DAG file the task is of")
                .because("--subdir is not given")
                .hint(format!(
                    "--subdir {DAGS_FOLDER}/FILE names it, as Airflow's executors do"
                )));
        };
        let cannot = || Failure::usage(format!("cannot find the DAG file {}", subdir.display()));
        let (Some(text), Some(dags)) = (subdir.to_str(), dags.to_str()) else {
            return Err(cannot().because("its path is not UTF-8"));
        };
        let path = text.replace(DAGS_FOLDER, dags);
        let path = std::path::absolute(path).map_err(|why| cannot().because(why))?;
        let there = path.ancestors().find(|path| path.exists());
        match there.filter(|path| path.is_file()) {
            Some(file) => Ok(file.to_owned()),
            None if path.is_dir() => Err(cannot().because("it is a directory")),
            None => Err(cannot().because("there is no such file")),
        }
    }
}

fn takes_value(name: &str) -> bool {
    WITH_VALUE.iter().any(|(known, _)| *known == name)
}

fn known() -> impl Iterator<Item = (&'static str, Option<char>)> {
    WITH_VALUE.into_iter().chain(ALONE)
}

/// The long option that `word` is, whatever its value.
fn name_of(word: &OsString) -> Option<&'static str> {
    let text = word.to_str()?.strip_prefix("--")?;
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    if let Some((exact, _)) = known().find(|(known, _)| *known == name) {
        return Some(exact);
    }
    let mut begun = known().filter(|(known, _)| !name.is_empty() && known.starts_with(name));
    match (begun.next(), begun.next()) {
        (Some((only, _)), None) => Some(only),
        _ => None,
    }
}

/// All options in one word: one long one, or letters.
fn options_of(word: &OsString) -> Vec<Said> {
    if let Some(name) = name_of(word) {
        let value = word.to_str().and_then(|text| text.split_once('='));
        let value = value.map(|(_, value)| value.into());
        return vec![Said { name, value }];
    }
    if word.as_bytes().starts_with(b"--") {
        return Vec::new();
    }
    let Some(letters) = word.to_str().and_then(|text| text.strip_prefix('-')) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for (at, letter) in letters.char_indices() {
        let Some((name, _)) = known().find(|(_, known)| *known == Some(letter)) else {
            break;
        };
        let behind = letters.get(at + letter.len_utf8()..).unwrap_or_default();
        let behind = behind.strip_prefix('=').unwrap_or(behind);
        if takes_value(name) {
            let value = (!behind.is_empty()).then(|| behind.into());
            said.push(Said { name, value });
            break;
        }
        said.push(Said { name, value: None });
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Option<TaskRun> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        TaskRun::of(&words)
    }

    #[test]
    fn only_a_local_run_of_a_task_is_one() {
        for line in [
            "tasks run d t r --raw --subdir x",
            "tasks run d t r",
            "tasks run d t r --pool --local",
            "tasks run d t r -- --local",
            "tasks run --local --help",
            "tasks list --local",
            "dags list",
            "version",
            "",
        ] {
            assert_eq!(run(line), None, "{line}");
        }
    }

    #[test]
    fn options_are_taken_as_python_s_argparse_takes_them() {
        for line in [
            "tasks run d t r --local --subdir a.py",
            "tasks run d t r --loc --sub=a.py",
            "tasks run -l -S a.py d t r",
            "tasks run -fl -Sa.py d t r",
            "tasks run d t r -lS a.py --pool --docker",
        ] {
            let run = run(line).unwrap();
            assert_eq!(run.subdir, Some("a.py".into()), "{line}");
            assert!(!run.docker, "{line}");
            let same: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(run.arguments, same, "{line}");
        }
    }

    #[test]
    fn docker_is_not_handed_on() {
        let run = run("tasks run d --docker t r --local --pool p").unwrap();
        assert!(run.docker);
        let rest: Vec<_> = "tasks run d t r --local --pool p".split(' ').collect();
        assert_eq!(run.arguments, rest);
    }

    #[test]
    fn the_dag_file_is_below_the_dags_folder_and_may_be_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.py"), "").unwrap();
        let file = |name: &str| {
            let line = format!("tasks run d t r --local --subdir DAGS_FOLDER/{name}");
            run(&line).unwrap().dag_file(dir.path())
        };
        assert_eq!(file("a.py").unwrap(), dir.path().join("a.py"));
        assert_eq!(file("a.py/in/archive.py").unwrap(), dir.path().join("a.py"));
        for (name, why) in [("b.py", "no such file"), ("", "a directory")] {
            let failure = file(name).unwrap_err().to_string();
            assert!(failure.contains(why), "{failure}");
        }
        let nowhere = run("tasks run d t r --local").unwrap();
        let failure = nowhere.dag_file(dir.path()).unwrap_err();
        assert!(failure.to_string().contains("--subdir"), "{failure}");
    }
}
