//! What fuzzing knows, replayed: every file of `tests/fuzz/corpus` against the property of its reader.
//! `make fuzz` looks for more.

#[path = "fuzz/properties.rs"]
mod properties;

use std::fs;
use std::path::Path;

fn replay(target: &str, property: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut files = 0;
    for entry in fs::read_dir(corpus.join(target)).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        property(&fs::read(path).unwrap());
        files += 1;
    }
    assert!(files > 0, "an empty corpus proves nothing");
}

#[test]
fn airflow_cfg_is_read_again_as_the_same() {
    replay("airflow_cfg", properties::airflow_cfg);
}

#[test]
fn a_metadata_file_is_read_again_as_the_same() {
    replay("metadata", properties::metadata);
}

#[test]
fn a_volume_file_is_read_again_as_the_same() {
    replay("volume_file", properties::volume_file);
}

#[test]
fn an_env_file_is_read_again_as_the_same() {
    replay("env_file", properties::env_file);
}
