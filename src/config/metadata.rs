//! `<dag file>.metadata.yaml`: the container settings that stand beside a DAG file (AIP-46).
//!
//! ```yaml
//! docker_runtime:
//!   image: airflow-docker-image:0.0.1
//!   volumes: ["/data:/data:ro"]
//!   environments: {KEY: value}
//! ```

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use serde::Deserialize;
use serde_saphyr::{Error, MessageFormatter, Spanned, UserMessageFormatter};

use super::keys;
use super::layer::{Layer, Origin};
use super::nearest;
use crate::failure::{Failure, Result};

/// No hand-written file comes near it.
const MAX_SIZE: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    docker_runtime: Option<Runtime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Runtime {
    image: Option<Spanned<String>>,
    volumes: Option<Vec<Spanned<String>>>,
    environments: Option<BTreeMap<String, Spanned<String>>>,
}

/// The layer of the metadata file beside `dag_file`; empty when there is none. The DAG file itself
/// must exist.
pub fn read_beside(dag_file: &Path) -> Result<Layer> {
    let cannot = || Failure::usage(format!("cannot read the DAG file {}", dag_file.display()));
    match std::fs::metadata(dag_file) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(cannot().because("it is not a regular file")),
        Err(why) => return Err(cannot().because(why)),
    }
    let mut path = dag_file.as_os_str().to_owned();
    path.push(".metadata.yaml");
    let path = PathBuf::from(path);
    match read_text(&path)? {
        Some(text) => parse(&text, path),
        None => Ok(Layer::default()),
    }
}

fn read_text(path: &Path) -> Result<Option<String>> {
    let fail = |why: String| Failure::usage(format!("cannot read {}", path.display())).because(why);
    // Non-blocking: opening a FIFO without a writer would wait for ever.
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path);
    let file = match open {
        Ok(file) => file,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(fail(why.to_string())),
    };
    if !file
        .metadata()
        .map_err(|why| fail(why.to_string()))?
        .is_file()
    {
        return Err(fail("it is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| fail(why.to_string()))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(fail("it is larger than 1 MiB".into()));
    }
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|why| {
        fail(format!(
            "it is not UTF-8 at byte {}",
            why.utf8_error().valid_up_to()
        ))
    })
}

/// The YAML reader's errors are written for programmers; these are the ones that people make.
fn refuse(path: &Path, error: &serde_saphyr::Error) -> Failure {
    let place = error.location().map_or_else(String::new, |location| {
        format!(":{}:{}", location.line(), location.column())
    });
    let what = format!("invalid metadata file {}{place}", path.display());
    let failure = |why: String| Failure::usage(what).because(why);
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown_key(failure(format!("unknown key {field:?}")), field, expected),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_default();
            failure(format!("the key {key:?} is given twice"))
        }
        Error::NullIntoString { .. } => {
            failure("a value is missing".into()).hint("an empty text is written \"\"")
        }
        Error::MultipleDocuments { .. } => failure("there is more than one document in it".into()),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            failure("an alias stands inside what it refers to".into())
        }
        Error::Unexpected { expected, .. } => failure(match *expected {
            "mapping start" => "a mapping (KEY: VALUE) is needed here".into(),
            "sequence start" => "a list (- ITEM, or [ITEM, ITEM]) is needed here".into(),
            "string scalar" => "a single text or number is needed here".into(),
            other => format!("{other} is needed here"),
        }),
        other => failure(UserMessageFormatter.format_message(other).into_owned()),
    }
}

fn unknown_key(failure: Failure, unknown: &str, known: &[&str]) -> Failure {
    if let Some(key) = keys::find(unknown) {
        return failure.hint(format!(
            "this version takes {} from a metadata file; --{} sets {unknown} on the command line",
            known.join(", "),
            key.flag
        ));
    }
    match nearest(unknown, known.iter().copied()) {
        Some(name) => failure.hint(format!("did you mean {name}?")),
        None => failure.hint(format!("known here: {}", known.join(", "))),
    }
}

fn parse(text: &str, path: PathBuf) -> Result<Layer> {
    let document: Document =
        serde_saphyr::from_str(text).map_err(|why| refuse(&path, why.without_snippet()))?;
    let path = Arc::new(path);
    let mut layer = Layer::default();
    let mut say = |name: &str, text: String, line: u64| {
        if let Some(key) = keys::find(name) {
            layer.say(
                key,
                text,
                Origin::File {
                    path: path.clone(),
                    line,
                },
            );
        }
    };
    let Some(runtime) = document.docker_runtime else {
        return Ok(layer);
    };
    if let Some(image) = runtime.image {
        say("image", image.value, image.referenced.line());
    }
    for volume in runtime.volumes.into_iter().flatten() {
        say("volumes", volume.value, volume.referenced.line());
    }
    for (name, value) in runtime.environments.into_iter().flatten() {
        if name.is_empty() || name.contains(['=', '\0']) {
            let line = value.referenced.line();
            return Err(Failure::usage(format!(
                "invalid name {name:?} in environments ({}:{line})",
                path.display()
            ))
            .because("the name of a variable is not empty and has no '=' in it"));
        }
        say(
            "environments",
            format!("{name}={}", value.value),
            value.referenced.line(),
        );
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::super::layer::merge;
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<super::super::Merged> {
        parse(text, "d.py.metadata.yaml".into()).map(|layer| merge([layer]))
    }

    #[test]
    fn image_volumes_and_environments_keep_their_lines() {
        let text = "docker_runtime:\n  image: a:1\n  volumes:\n    - /a:/b\n  environments:\n    K: v\n    N: 5\n    B: true\n";
        let merged = parsed(text).unwrap();
        let image = merged.one("image").unwrap();
        assert_eq!(
            (image.text.as_str(), image.to_string().as_str()),
            ("a:1", "image (d.py.metadata.yaml:2)")
        );
        let volume = merged.all("volumes").next().unwrap();
        assert_eq!(volume.to_string(), "volumes (d.py.metadata.yaml:4)");
        let variables: Vec<_> = merged
            .all("environments")
            .map(|item| item.text.as_str())
            .collect();
        assert_eq!(variables, ["B=true", "K=v", "N=5"]);
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
            ("docker_runtime:\n  volumes: /a:/b\n", "yaml:2:12: a list"),
            ("docker_runtime: 5\n", "yaml:1:17: a mapping"),
            (
                "docker_runtime:\n  environments: {A=B: 1}\n",
                "invalid name \"A=B\"",
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
    fn an_unknown_key_suggests_the_nearest_or_says_where_it_may_stand() {
        let hints = |text: &str| parsed(text).unwrap_err().hints().to_vec();
        assert_eq!(
            hints("docker_runtime: {imagee: x}"),
            ["did you mean image?"]
        );
        assert!(hints("docker_runtime: {memory: 5m}")[0].contains("--memory sets memory"));
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
