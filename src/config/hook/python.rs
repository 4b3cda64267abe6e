//! Which Python is the operator's: the one that runs Airflow.
//!
//! In: an [`Environment`]. Out: the path of an interpreter, as it is spelled: of a link in a virtual
//! environment, Python finds its modules by the link. Never from the working directory, which empty
//! and relative parts of PATH would name.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::airflow_cfg::Environment;
use super::super::on_path::{is_program, on_path};
use super::super::words;
use crate::failure::{Failure, Result};

/// Names the Python, by a path or by a name on PATH.
pub(super) const VARIABLE: &str = "AIRTIGHT_PYTHON";

/// The kernel reads no more than 256 bytes of a first line (BINPRM_BUF_SIZE); the path of an
/// interpreter on a second line has at most PATH_MAX.
const HEAD: u64 = 4096 + 256;

/// What the variable names; else what the first `airflow` on PATH that is a Python script is run by;
/// else `python3` on PATH.
pub(super) fn find(environment: &Environment) -> Result<PathBuf> {
    if let Some(named) = environment.get(VARIABLE) {
        return named_by_variable(named, environment).ok_or_else(|| {
            Failure::usage(format!("${VARIABLE} is {named:?}, which is no program"))
                .hint("set it to the Python that runs Airflow, or unset it")
        });
    }
    on_path("airflow", environment)
        .find_map(|script| interpreter(&script, environment))
        .or_else(|| on_path("python3", environment).next())
        .ok_or_else(|| {
            Failure::usage("there is no Python: neither an airflow nor a python3 is on PATH")
                .hint(format!("set {VARIABLE} to the Python that runs Airflow"))
        })
}

fn named_by_variable(named: &OsStr, environment: &Environment) -> Option<PathBuf> {
    if !named.as_encoded_bytes().contains(&b'/') {
        return on_path(named, environment).next();
    }
    let path = std::path::absolute(named).ok()?;
    is_program(&path).then_some(path)
}

/// The Python that a script is run by; none for a program of another sort, such as our own binary
/// under that name.
fn interpreter(script: &Path, environment: &Environment) -> Option<PathBuf> {
    let mut head = Vec::new();
    let file = File::open(script).ok()?;
    file.take(HEAD).read_to_end(&mut head).ok()?;
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let first = lines.next()?.strip_prefix("#!")?.trim();
    let (program, argument) = first.split_once([' ', '\t']).unwrap_or((first, ""));
    let named = match Path::new(program).file_name()?.to_str()? {
        "env" => {
            let mut words = argument.split_whitespace();
            let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
            on_path(name, environment).next()?
        }
        "sh" => through_shell(lines.next()?, script)?,
        _ => PathBuf::from(program),
    };
    let name = named.file_name()?.to_str()?;
    let is_python = name.starts_with("python") || name.starts_with("pypy");
    (is_python && named.is_absolute() && is_program(&named)).then_some(named)
}

/// The second line of a script whose interpreter's path is too long or has blanks: to the shell it is
/// an exec, to Python the beginning of a string. distlib (of pip) and uv write
/// `'''exec' "/path/python" "$0" "$@"`; uv, for an environment that can be moved, a path beside the
/// script's own.
fn through_shell(line: &str, script: &Path) -> Option<PathBuf> {
    const BESIDE: &str = r#""$(dirname -- "$(realpath -- "$0")")"/"#;
    let command = line.strip_prefix("'''exec' ")?;
    if let Some(name) = command.strip_prefix(BESIDE) {
        let name = words::split(name).ok()?.into_iter().next()?;
        return Some(script.canonicalize().ok()?.parent()?.join(name));
    }
    words::split(command)
        .ok()?
        .into_iter()
        .next()
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir }
        }

        fn program(&self, name: &str, text: &str) -> PathBuf {
            let path = self.dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn environment(&self, more: &[(&str, &str)]) -> Environment {
            let path = format!("{0}/a:relative::{0}/b", self.dir.path().display());
            let all = [("PATH", path.as_str())].into_iter();
            all.chain(more.iter().copied()).collect()
        }
    }

    #[test]
    fn the_variable_names_a_path_or_a_program_on_path() {
        let place = Place::new();
        let wanted = place.program("b/my-python", "");
        place.program("b/python3", "");
        let path = wanted.to_str().unwrap();
        for named in ["my-python", path] {
            let found = find(&place.environment(&[(VARIABLE, named)])).unwrap();
            assert_eq!(found, wanted, "{named}");
        }
        for named in ["", "no-such", "./no-such", "/"] {
            let failure = find(&place.environment(&[(VARIABLE, named)])).unwrap_err();
            assert!(failure.to_string().contains(VARIABLE), "{failure}");
        }
    }

    #[test]
    fn the_python_of_the_airflow_on_path_is_the_operator_s() {
        let place = Place::new();
        let dir = place.dir.path().display().to_string();
        let own = place.program("venv with blanks/bin/python3.11", "");
        let own = own.display();
        let other = place.program("b/python3", "");
        let beside = place.program("a/python", "");
        for (text, expected) in [
            (format!("#!{dir}/b/python3\nimport re"), other.clone()),
            (format!("#! {dir}/b/python3 -s\n"), other.clone()),
            ("#!/usr/bin/env python3\n".into(), other.clone()),
            ("#!/usr/bin/env -S A=b python3 -s\n".into(), other.clone()),
            (
                format!("#!/bin/sh\n'''exec' \"{own}\" \"$0\" \"$@\"\n' '''\n"),
                own.to_string().into(),
            ),
            (
                format!("#!/bin/sh\n'''exec' '{own}' \"$0\" \"$@\"\n' '''\n"),
                own.to_string().into(),
            ),
            (
                "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n".into(),
                beside,
            ),
            // No Python script: what is on PATH has to do.
            ("#!/bin/sh\nexec airflow2 \"$@\"\n".into(), other.clone()),
            ("\x7fELF\u{1}".into(), other.clone()),
            ("#!/no/such/python3\n".into(), other.clone()),
            (String::new(), other),
        ] {
            place.program("a/airflow", &text);
            assert_eq!(find(&place.environment(&[])).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn our_own_binary_under_airflow_s_name_hides_the_real_one_from_nobody() {
        let place = Place::new();
        let python = place.program("venv/bin/python", "");
        place.program("a/airflow", "\x7fELF");
        place.program("b/airflow", &format!("#!{}\n", python.display()));
        assert_eq!(find(&place.environment(&[])).unwrap(), python);
    }

    #[test]
    fn without_any_python_the_failure_names_the_variable() {
        let failure = find(&Place::new().environment(&[])).unwrap_err();
        assert!(failure.hints().iter().any(|hint| hint.contains(VARIABLE)));
    }
}
