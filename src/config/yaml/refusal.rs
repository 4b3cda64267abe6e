//! What is wrong with a YAML file, in words for the person who wrote it: the reader's own errors are
//! written for programmers.

use std::path::PathBuf;
use std::sync::Arc;

use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::super::short::Short;
use super::super::{keys, nearest};
use super::{limits, place};
use crate::failure::{Failure, Place};

/// The failure for an error of the reader's.
pub fn of(path: &Arc<PathBuf>, error: &Error) -> Failure {
    let words = words(error);
    match error.location() {
        Some(location) => words.at(place(path, location)),
        // What is wrong with the document as a whole begins where it begins.
        None => words.at(Place {
            path: Arc::clone(path),
            line: Some(1),
            column: Some(1),
        }),
    }
}

fn words(error: &Error) -> Failure {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown(field, expected),
        Error::DuplicateMappingKey { key, .. } => {
            let key = Short::new(key.as_deref().unwrap_or_default());
            Failure::usage(format!("the key \"{key}\" is given twice"))
        }
        Error::NullIntoString { .. } => {
            Failure::usage("a value is missing").hint("an empty text is written \"\"")
        }
        Error::MultipleDocuments { .. } => Failure::usage("there is more than one document in it"),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            Failure::usage("an alias stands inside what it refers to")
        }
        Error::Unexpected { expected, .. } => Failure::usage(match *expected {
            "mapping start" => "a mapping (KEY: VALUE) is needed here".to_owned(),
            "sequence start" => "a list (- ITEM, or [ITEM, ITEM]) is needed here".to_owned(),
            "string scalar" => "a single text or number is needed here".to_owned(),
            other => format!("{other} is needed here"),
        }),
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        } => {
            // serde quotes the value, which may be a secret, behind the name of its type.
            let kind = unexpected.split(['"', '`']).next().unwrap_or_default();
            let kind = kind.trim_end();
            Failure::usage(format!("{expected} is needed here, not {kind}"))
        }
        Error::AliasError { error, .. } => words(error),
        Error::Budget { breach, .. } => {
            Failure::usage("the file is too complex").because(limits::words(breach))
        }
        // Our own words.
        Error::Message { msg, .. } => Failure::usage(msg),
        other => Failure::usage(format!(
            "invalid YAML: {}",
            UserMessageFormatter.format_message(other)
        )),
    }
}

/// The failure for a key that is none.
pub fn unknown(name: &str, known: &[&str]) -> Failure {
    let failure = Failure::usage(format!("unknown key \"{}\"", Short::new(name)));
    if let Some(key) = keys::meant_by(name).filter(|key| known.contains(&key.name)) {
        return failure.hint(format!("did you mean {}?", key.name));
    }
    match nearest(name, known.iter().copied()) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None if known.len() > 5 => failure.hint("`airtight config keys` lists the keys"),
        None => failure.hint(format!("known here: {}", known.join(", "))),
    }
}
