//! Files of variables for `--env-file`, read as docker reads them: a line is a variable, taken as it
//! is (no quotes, no `export`); lines that start with `#` and empty lines do not count.

use std::fs::File;
use std::path::Path;

use super::layer::{Item, Origin};
use super::values::Variable;
use crate::failure::{Context, Kind, Result};
use crate::regular_file::{self, Refusal};

/// Beyond this it is no list of variables; execve(2) would refuse it as well.
const MAX_SIZE: u64 = 1 << 20;

/// Reads the file that `item` names.
pub fn read(item: &Item) -> Result<Vec<Variable>> {
    let bytes = bytes(item).map_err(|why| item.refuse(why))?;
    parse(&bytes).map_err(|why| item.refuse(why))
}

/// Reads the file `path` of a person's.
pub fn read_path(path: &Path) -> Result<Vec<Variable>> {
    let what = || format!("cannot read {}", path.display());
    let bytes = File::open(path)
        .map_err(Refusal::from)
        .and_then(|file| regular_file::read_stream(file, MAX_SIZE))
        .or_fail(Kind::Usage, what)?;
    parse(&bytes).or_fail(Kind::Usage, what)
}

/// A person may name a pipe (`--env-file <(pass show db)`), and waits for whoever writes to it, as
/// with docker: how long that takes is their affair, and ^C ends it. What a file names is read while
/// nobody looks, and may be an author's FIFO that nobody ever writes to: that must be a regular file.
fn bytes(item: &Item) -> Result<Vec<u8>, Refusal> {
    match item.origin {
        Origin::Flag => regular_file::read_stream(File::open(&item.text)?, MAX_SIZE),
        _ => regular_file::read(Path::new(&item.text), MAX_SIZE),
    }
}

/// The variables in the bytes of a file; `Err` says what is wrong on which line.
pub fn parse(bytes: &[u8]) -> Result<Vec<Variable>, String> {
    // A byte order mark is what editors on other systems put in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let at = |why: &str| format!("line {}: {why}", index + 1);
        let line = std::str::from_utf8(line).map_err(|_| at("not UTF-8"))?;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let variable: Variable = line
            .parse()
            .map_err(|why: super::values::Invalid| at(&why.to_string()))?;
        if variable.name.contains(char::is_whitespace) {
            return Err(at("the name contains white space"));
        }
        variables.push(variable);
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_a_variable() {
        let text = b"\xef\xbb\xbf# comment\r\nA=1\r\n\n  B=x y \"z\"\nC\n";
        let found = parse(text).unwrap();
        let pairs: Vec<_> = found
            .iter()
            .map(|v| (v.name.as_str(), v.value.as_deref()))
            .collect();
        assert_eq!(
            pairs,
            [("A", Some("1")), ("B", Some("x y \"z\"")), ("C", None)]
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(
            parse(b"A=1\n=2\n").unwrap_err(),
            "line 2: the variable has no name"
        );
        assert_eq!(
            parse(b"A B=1").unwrap_err(),
            "line 1: the name contains white space"
        );
        assert_eq!(parse(b"A=\xff").unwrap_err(), "line 1: not UTF-8");
    }

    #[test]
    fn only_a_person_may_name_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let item = |origin| Item {
            key: super::super::keys::find("env_file").unwrap(),
            text: fifo.display().to_string(),
            origin,
        };
        let why = read(&item(Origin::Variable("X".into()))).unwrap_err();
        assert!(why.to_string().contains("not a regular file"), "{why}");
        let writer = std::thread::spawn({
            let fifo = fifo.clone();
            move || std::fs::write(fifo, "A=1\n")
        });
        assert_eq!(read(&item(Origin::Flag)).unwrap().len(), 1);
        writer.join().unwrap().unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_variables_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
