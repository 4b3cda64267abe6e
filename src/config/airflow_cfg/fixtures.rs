//! Our reader beside Python's own answers and those of two real Airflows.
//!
//! In: tests/fixtures/airflow_cfg, made by scripts/make-airflow-cfg-fixtures.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::super::words;
use super::*;

mod airflow;

fn path(name: &str) -> PathBuf {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/airflow_cfg");
    PathBuf::from(fixtures).join(name)
}

fn answers(name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

fn list(answers: &Json) -> &[Json] {
    answers.as_array().unwrap()
}

fn text(answer: &Json) -> &str {
    answer.as_str().unwrap()
}

/// The exception Python raises where we say `why`.
fn exception(why: &str) -> &'static str {
    let classes = [
        ("before the first [section]", "MissingSectionHeaderError"),
        ("section [", "DuplicateSectionError"),
        ("is there already", "DuplicateOptionError"),
        ("neither a [section] nor", "ParsingError"),
        ("a setting without a name", "ParsingError"),
        ("not UTF-8", "UnicodeDecodeError"),
        ("there is no ", "InterpolationMissingOptionError"),
        ("must be followed by", "InterpolationSyntaxError"),
        ("goes deeper than", "InterpolationDepthError"),
    ];
    let found = classes.iter().find(|(ours, _)| why.contains(ours));
    found.unwrap_or_else(|| panic!("no exception for {why}")).1
}

/// Compares a whole file with Python's verdicts: `lower` with keys in lower case, as configparser
/// has them, and `as_written`, as Airflow's parser has them.
fn agree(name: &str, ours: Result<AirflowConfig>, file: &str, verdicts: &Json) {
    let (lower, as_written) = (&verdicts["lower"], &verdicts["as_written"]);
    let config = match (ours, as_written["error"].as_str()) {
        (Ok(config), None) => config,
        (Err(failure), Some(expected)) => {
            let why = failure.to_string();
            assert_eq!(exception(&why), expected, "{name}: {why}");
            let line = as_written["line"].as_u64();
            assert!(
                line.is_none_or(|line| why.contains(&format!("{name}:{line}: "))),
                "{name}: {why}, {line:?}"
            );
            return;
        }
        (Ok(_), Some(expected)) => panic!("{name}: Python says {expected}"),
        (Err(failure), None) => panic!("{name}: {failure}"),
    };
    let sections: BTreeSet<_> = config.sections().map(|(name, _)| name).collect();
    let expected = as_written["sections"].as_object().unwrap();
    assert_eq!(
        sections,
        expected.keys().map(String::as_str).collect(),
        "{name}"
    );
    for section in sections {
        let found: BTreeMap<_, _> = config.section(section).collect();
        found
            .values()
            .flatten()
            .for_each(|value| its_line_holds_its_key(value, file));
        match lower["sections"][section].as_object() {
            Some(expected) => same_values(name, &found, expected),
            None => same_but_for_twins(name, &found, expected[section].as_object().unwrap()),
        }
    }
}

fn its_line_holds_its_key(value: &Value, file: &str) {
    let Origin::File { line, .. } = value.origin else {
        panic!("{value} is not from a file");
    };
    let line = python::lines(file).nth(line - 1).unwrap();
    let (key, _) = line.split_once(['=', ':']).unwrap();
    assert_eq!(python::strip(key).to_lowercase(), value.key, "{value}");
}

fn same_values(name: &str, found: &BTreeMap<String, Result<Value>>, expected: &Map<String, Json>) {
    assert!(
        found.keys().eq(expected.keys()),
        "{name}: {:?}",
        found.keys()
    );
    for (key, expected) in expected {
        let expected_text = expected.as_str().or(expected["text"].as_str());
        match (&found[key], expected_text) {
            (Ok(value), Some(expected_text)) => {
                assert_eq!(&*value.text, expected_text, "{name}: {value}");
                let raw = expected["raw"].as_str().unwrap_or(expected_text);
                assert_eq!(&*value.raw, raw, "{name}: {value}");
            }
            (Err(why), Some(text)) if text.contains('\0') => {
                assert!(why.to_string().contains("NUL"))
            }
            (Err(why), None) => {
                assert_eq!(
                    exception(&why.to_string()),
                    text(&expected["error"]),
                    "{name}: {why}"
                );
            }
            (found, expected) => panic!("{name}: {key}: {found:?}, Python says {expected:?}"),
        }
    }
}

/// Airflow's parser accepts a file with `a` and `A`; so do we, but not either of them.
fn same_but_for_twins(
    name: &str,
    found: &BTreeMap<String, Result<Value>>,
    expected: &Map<String, Json>,
) {
    let mut spellings: BTreeMap<String, Vec<&Json>> = BTreeMap::new();
    for (key, value) in expected {
        spellings.entry(key.to_lowercase()).or_default().push(value);
    }
    assert!(
        found.keys().eq(spellings.keys()),
        "{name}: {:?}",
        found.keys()
    );
    for (key, values) in spellings {
        // Two spellings: twins, or another one in [DEFAULT].
        let [Json::String(expected)] = values[..] else {
            continue;
        };
        match &found[&key] {
            Ok(value) => assert_eq!(&*value.text, expected, "{name}: {key}"),
            Err(why) => assert!(expected.contains('\0'), "{name}: {key}: {why}"),
        }
    }
}

#[test]
fn every_file_reads_as_python_reads_it() {
    let python = answers("python.json");
    for (name, verdicts) in python["files"].as_object().unwrap() {
        let bytes = std::fs::read(path(name)).unwrap();
        let ours = AirflowConfig::read(path(name), Environment::default());
        agree(name, ours, &String::from_utf8_lossy(&bytes), verdicts);
    }
}

#[test]
fn made_up_files_read_as_python_reads_them() {
    let python = answers("python.json");
    for (number, case) in list(&python["made_up"]).iter().enumerate() {
        let name = format!("made-up-{number}");
        let file = text(&case["text"]);
        let ours = AirflowConfig::parse(file, name.clone().into(), Environment::default());
        agree(&name, ours, file, case);
    }
}

#[test]
fn white_space_is_what_python_takes_for_it() {
    let python = answers("python.json");
    let expected: Vec<_> = list(&python["white_space"])
        .iter()
        .map(|code| code.as_u64().unwrap())
        .collect();
    let found: Vec<_> = ('\0'..=char::MAX)
        .filter(|c| python::is_space(*c))
        .map(u64::from)
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn commands_are_split_as_shlex_splits_them() {
    let python = answers("python.json");
    for case in list(&python["shlex"]) {
        let found = words::split(text(&case[0])).ok();
        assert_eq!(serde_json::to_value(found).unwrap(), case[1], "{}", case[0]);
    }
}
