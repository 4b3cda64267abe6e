//! `<dag file>.metadata.yaml`: the container settings that stand beside a DAG file (AIP-46).
//!
//! ```yaml
//! docker_runtime:
//!   image: airflow-docker-image:0.0.1
//!   volumes: ["/data:/data:ro"]
//!   environments: {KEY: value}
//!   memory: 2g
//! ```

use std::path::{Path, PathBuf};

use super::text_file;
use super::yaml::{self, Body};
use crate::failure::{Failure, Result};

/// The metadata file beside `dag_file`; empty when there is none. The DAG file itself must exist.
pub fn read_beside(dag_file: &Path) -> Result<Body> {
    let cannot = || Failure::usage(format!("cannot read the DAG file {}", dag_file.display()));
    match std::fs::metadata(dag_file) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(cannot().because("it is not a regular file")),
        Err(why) => return Err(cannot().because(why)),
    }
    let mut path = dag_file.as_os_str().to_owned();
    path.push(".metadata.yaml");
    let path = PathBuf::from(path);
    match text_file::read_within_directory(&path, yaml::MAX_SIZE)? {
        Some(text) => yaml::body(&text, path),
        None => Ok(Body::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layer::merge;
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<super::super::Merged> {
        let mut body = yaml::body(text, "d.py.metadata.yaml".into())?;
        match body.unknown.pop() {
            Some(unknown) => Err(unknown),
            None => Ok(merge([&body.layer])),
        }
    }

    #[test]
    fn image_volumes_and_environments_keep_their_lines() {
        let text = "docker_runtime:\n  image: a:1\n  volumes:\n    - /a:/b\n  environments:\n    K: v\n    N: 5\n    B: true\n";
        let merged = parsed(text).unwrap();
        let image = merged.one("image").unwrap();
        assert_eq!(
            (image.text.as_str(), image.origin.to_string().as_str()),
            ("a:1", "d.py.metadata.yaml:2")
        );
        let volume = merged.all("volumes").next().unwrap();
        assert_eq!(volume.origin.to_string(), "d.py.metadata.yaml:4");
        let variables: Vec<_> = merged
            .all("environments")
            .map(|item| item.text.as_str())
            .collect();
        assert_eq!(variables, ["K=v", "N=5", "B=true"]);
    }

    #[test]
    fn an_error_says_where_and_what_in_plain_words() {
        for (text, words) in [
            (
                "docker_runtime:\n  imagee: x\n",
                "yaml:2:3: unknown key \"imagee\"",
            ),
            (
                "docker_runtime:\n  image: a\n  image: b\n",
                "yaml:3:3: the key \"image\" is given twice",
            ),
            ("docker_runtime:\n  image:\n", "yaml"),
            (
                "docker_runtime:\n  environments: {A: }\n",
                "a value is missing",
            ),
            (
                "docker_runtime:\n  volumes: /a:/b\n",
                "yaml:2:3: a list (- ITEM, or [ITEM, ITEM]), or a mapping (NAME: VALUE) is needed here, not string",
            ),
            (
                "docker_runtime: 5\n",
                "yaml:1:17: a mapping (KEY: VALUE) is needed here",
            ),
            (
                "docker_runtime:\n  environments: {A=B: 1}\n",
                "invalid name \"A=***\"",
            ),
            ("docker_runtime:\n\timage: a\n", "yaml:2:"),
            ("docker_runtime:\n---\na: b\n", "more than one document"),
            (
                "docker_runtime: &a\n  image: *a\n",
                "an alias stands inside",
            ),
        ] {
            match parsed(text) {
                Ok(merged) => assert!(merged.one("image").is_none(), "{text}"),
                Err(failure) => assert!(failure.to_string().contains(words), "{text}: {failure}"),
            }
        }
    }

    #[test]
    fn an_unknown_key_suggests_the_nearest() {
        let hints = |text: &str| parsed(text).unwrap_err().hints().to_vec();
        assert_eq!(
            hints("docker_runtime: {imagee: x}"),
            ["did you mean image?"]
        );
        assert_eq!(
            hints("docker_runtime: {memry: 5m}"),
            ["did you mean memory?"]
        );
        for (written, meant) in [
            ("IMAGE", "image"),
            ("env", "environments"),
            ("user", "run_as_user"),
            ("memory-swap", "memory_swap"),
        ] {
            let text = format!("docker_runtime: {{{written}: x}}");
            assert_eq!(hints(&text), [format!("did you mean {meant}?")]);
        }
        assert_eq!(hints("xyz: 1"), ["known here: docker_runtime"]);
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert!(parsed("").unwrap().one("image").is_none());
        assert!(parsed("docker_runtime:\n").unwrap().one("image").is_none());
    }

    #[test]
    fn an_anchor_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let previous = format!("*a{}, ", level - 1).repeat(9);
            text.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        assert!(parsed(&text).is_err());
    }

    #[test]
    fn a_directory_and_a_fifo_are_refused_and_nothing_is_an_empty_layer() {
        let dir = tempfile::tempdir().unwrap();
        let dag = dir.path().join("d.py");
        assert!(read_beside(&dag).is_err(), "no DAG file");
        std::fs::write(&dag, "").unwrap();
        assert!(read_beside(&dag).is_ok(), "no metadata file");
        let metadata = dir.path().join("d.py.metadata.yaml");
        std::fs::create_dir(&metadata).unwrap();
        assert!(read_beside(&dag).is_err(), "a directory");
        std::fs::remove_dir(&metadata).unwrap();
        nix::unistd::mkfifo(&metadata, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read_beside(&dag).is_err(), "a FIFO");
        std::fs::remove_file(&metadata).unwrap();
        std::fs::write(&metadata, vec![b'#'; 10 << 20]).unwrap();
        assert!(read_beside(&dag).is_err(), "ten megabytes");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[ -~\n\t]{0,200}") {
            let _ = parsed(&text);
        }

        #[test]
        fn any_text_in_the_place_of_a_value_is_parsed_or_refused(text in "(?s).{0,100}") {
            let _ = parsed(&format!("docker_runtime:\n  image: {text}\n"));
            let _ = parsed(&format!("docker_runtime:\n  environments:\n    A: {text}\n"));
        }

        #[test]
        fn any_bytes_of_a_file_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            let dag = dir.path().join("d.py");
            std::fs::write(&dag, "").unwrap();
            std::fs::write(dir.path().join("d.py.metadata.yaml"), bytes).unwrap();
            let _ = read_beside(&dag);
        }
    }
}
