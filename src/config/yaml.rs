//! Runtime keys as a YAML mapping: the body of a metadata file.
//!
//! Which shape a value must have follows from the table of keys. A list may be written as a mapping
//! where its items are `NAME=VALUE`. `null` clears what lower layers say: a whole key, or one name of
//! such a mapping.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, MessageFormatter, Spanned, UserMessageFormatter};

use super::keys::{self, Key, NAMES, Shape};
use super::layer::{Layer, Origin};
use super::nearest;
use crate::failure::{Failure, Result};

/// Reads `docker_runtime:` of the file `path`, whose text is `text`, into a layer.
pub fn layer(text: &str, path: PathBuf) -> Result<Layer> {
    let document: Document =
        serde_saphyr::from_str(text).map_err(|why| refuse(&path, why.without_snippet()))?;
    let path = Arc::new(path);
    let mut layer = Layer::default();
    for said in document
        .docker_runtime
        .map(|keys| keys.0)
        .unwrap_or_default()
    {
        for entry in said.entries {
            let origin = Origin::File {
                path: path.clone(),
                line: entry.line,
            };
            match entry.what {
                What::Text(text) => layer.say(said.key, text, origin),
                What::RemovedName(name) => layer.remove(said.key, name, origin),
                What::Cleared => layer.clear(said.key, origin),
            }
        }
    }
    Ok(layer)
}

/// The list of volumes in the file `path` (AIP-46's volume_mount_yaml): a list, alone or below
/// `volumes:`.
pub fn volumes(text: &str, path: PathBuf) -> Result<Layer> {
    let volumes: Vec<Spanned<String>> = match serde_saphyr::from_str(text) {
        Ok(volumes) => volumes,
        Err(why) => {
            serde_saphyr::from_str::<VolumeFile>(text)
                .map_err(|_| refuse(&path, why.without_snippet()))?
                .volumes
        }
    };
    let path = Arc::new(path);
    let mut layer = Layer::default();
    for volume in volumes {
        if let Some(key) = keys::find("volumes") {
            let line = volume.referenced.line();
            layer.say(
                key,
                volume.value,
                Origin::File {
                    path: path.clone(),
                    line,
                },
            );
        }
    }
    Ok(layer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeFile {
    volumes: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    docker_runtime: Option<Runtime>,
}

/// A mapping of runtime keys.
struct Runtime(Vec<Said>);

struct Said {
    key: &'static Key,
    entries: Vec<Entry>,
}

struct Entry {
    what: What,
    line: u64,
}

enum What {
    Text(String),
    RemovedName(String),
    Cleared,
}

impl<'de> Deserialize<'de> for Runtime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Runtime;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a mapping of runtime keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Runtime, A::Error> {
                let mut all = Vec::new();
                while let Some(KeyName(key)) = map.next_key()? {
                    let entries = map.next_value_seed(ValueOf(key))?;
                    all.push(Said { key, entries });
                }
                Ok(Runtime(all))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

struct KeyName(&'static Key);

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = keys::find(&name).map(Self);
        known.ok_or_else(|| D::Error::unknown_field(&name, NAMES))
    }
}

struct ValueOf(&'static Key);

impl<'de> DeserializeSeed<'de> for ValueOf {
    type Value = Vec<Entry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Entry>, D::Error> {
        if self.0.shape == Shape::List {
            return List::deserialize(deserializer).map(|list| list.0);
        }
        let value = Spanned::<Option<String>>::deserialize(deserializer)?;
        let line = value.referenced.line();
        let what = value.value.map_or(What::Cleared, What::Text);
        Ok(vec![Entry { what, line }])
    }
}

struct List(Vec<Entry>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list (- ITEM, or [ITEM, ITEM]), or a mapping (NAME: VALUE)")
            }

            fn visit_unit<E>(self) -> Result<List, E> {
                Ok(List(vec![Entry {
                    what: What::Cleared,
                    line: 0,
                }]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = list.next_element::<Spanned<String>>()? {
                    all.push(Entry {
                        line: item.referenced.line(),
                        what: What::Text(item.value),
                    });
                }
                Ok(List(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name.is_empty() || name.contains(['=', '\0']) {
                        return Err(A::Error::custom(format!(
                            "invalid name {name:?}: it is not empty and has no '=' in it"
                        )));
                    }
                    let value = map.next_value::<Spanned<Option<String>>>()?;
                    let line = value.referenced.line();
                    let what = match value.value {
                        Some(value) => What::Text(format!("{name}={value}")),
                        None => What::RemovedName(name),
                    };
                    all.push(Entry { what, line });
                }
                Ok(List(all))
            }
        }
        deserializer.deserialize_any(Items)
    }
}

/// The YAML reader's errors are written for programmers; these are the ones that people make.
fn refuse(path: &Path, error: &serde_saphyr::Error) -> Failure {
    let place = error.location().map_or_else(String::new, |location| {
        format!(":{}:{}", location.line(), location.column())
    });
    let what = format!("invalid YAML file {}{place}", path.display());
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
    match nearest(unknown, known.iter().copied()) {
        Some(name) => failure.hint(format!("did you mean {name}?")),
        None if known.len() > 5 => failure.hint("`airtight config keys` lists the keys"),
        None => failure.hint(format!("known here: {}", known.join(", "))),
    }
}
