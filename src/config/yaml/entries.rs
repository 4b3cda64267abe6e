//! What a YAML file of ours may look like, as a reader for serde.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_saphyr::{Location, Spanned};

use super::super::keys::{self, Key, Merge, NAMES, Shape};
use super::super::secret::beginning;
use crate::secret;

/// A metadata file: everything below `docker_runtime:`, and keys that are unknown in either place.
pub struct Document(pub Vec<Said>);

/// What a file says under one key.
pub enum Said {
    Known {
        key: &'static Key,
        entries: Vec<Entry>,
    },
    Unknown {
        name: String,
        location: Location,
        known: &'static [&'static str],
    },
}

/// One value, or one item of a list.
pub struct Entry {
    pub what: What,
    pub location: Location,
}

pub enum What {
    Text(String),
    RemovedName(String),
    Cleared,
}

/// A list of volumes, alone or below `volumes:`.
pub struct Volumes(pub Vec<Spanned<String>>);

/// The one key of a metadata file.
const BODY: &str = "docker_runtime";

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct File;
        impl<'de> Visitor<'de> for File {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a mapping with the key {BODY}")
            }

            /// An empty file.
            fn visit_unit<E>(self) -> Result<Document, E> {
                Ok(Document(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<Spanned<String>>()? {
                    if name.value == BODY {
                        // Nothing behind the colon is as good as an empty mapping.
                        let body = map.next_value::<Option<Body>>()?;
                        all.extend(body.into_iter().flat_map(|body| body.0));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        all.push(Said::Unknown {
                            name: name.value,
                            location: name.referenced,
                            known: &[BODY],
                        });
                    }
                }
                Ok(Document(all))
            }
        }
        deserializer.deserialize_any(File)
    }
}

/// A mapping of runtime keys.
struct Body(Vec<Said>);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a mapping of runtime keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<Spanned<String>>()? {
                    all.push(match keys::find(&name.value) {
                        Some(key) => Said::Known {
                            key,
                            entries: map.next_value_seed(ValueOf(key))?,
                        },
                        None => {
                            map.next_value::<IgnoredAny>()?;
                            Said::Unknown {
                                name: name.value,
                                location: name.referenced,
                                known: NAMES,
                            }
                        }
                    });
                }
                Ok(Body(all))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

struct ValueOf(&'static Key);

impl<'de> DeserializeSeed<'de> for ValueOf {
    type Value = Vec<Entry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Entry>, D::Error> {
        if self.0.shape == Shape::List {
            let list = Spanned::<List>::deserialize(deserializer)?;
            let location = list.referenced;
            return Ok(match list.value {
                List::Cleared => vec![cleared(location)],
                List::Items(entries) => entries,
                List::Pairs(entries) if self.0.merge == Merge::ByName => entries,
                List::Pairs(_) => {
                    return Err(D::Error::custom(format!(
                        "{} takes a list (- ITEM, or [ITEM, ITEM]) and no mapping",
                        self.0.name
                    )));
                }
            });
        }
        let value = Spanned::<Option<String>>::deserialize(deserializer)?;
        Ok(vec![match value.value {
            Some(text) => Entry {
                what: What::Text(text),
                location: value.referenced,
            },
            None => cleared(value.referenced),
        }])
    }
}

fn cleared(location: Location) -> Entry {
    Entry {
        what: What::Cleared,
        location,
    }
}

enum List {
    Cleared,
    Items(Vec<Entry>),
    /// A mapping.
    Pairs(Vec<Entry>),
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list (- ITEM, or [ITEM, ITEM]), or a mapping (NAME: VALUE)")
            }

            fn visit_unit<E>(self) -> Result<List, E> {
                Ok(List::Cleared)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = list.next_element::<Spanned<Option<String>>>()? {
                    all.push(match item.value {
                        Some(text) => Entry {
                            what: What::Text(text),
                            location: item.referenced,
                        },
                        None => cleared(item.referenced),
                    });
                }
                Ok(List::Items(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name.is_empty() || name.contains(['=', '\0']) {
                        return Err(A::Error::custom(format!(
                            "invalid name {}: a name must not be empty or contain '='",
                            beginning(&secret::hidden(&name))
                        )));
                    }
                    let value = map.next_value::<Spanned<Option<String>>>()?;
                    let what = match value.value {
                        Some(value) => What::Text(format!("{name}={value}")),
                        None => What::RemovedName(name),
                    };
                    all.push(Entry {
                        what,
                        location: value.referenced,
                    });
                }
                Ok(List::Pairs(all))
            }
        }
        deserializer.deserialize_any(Items)
    }
}

impl<'de> Deserialize<'de> for Volumes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct File;
        impl<'de> Visitor<'de> for File {
            type Value = Volumes;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of volumes, alone or below the key volumes")
            }

            /// An empty file.
            fn visit_unit<E>(self) -> Result<Volumes, E> {
                Ok(Volumes(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Volumes, A::Error> {
                let mut all = Vec::new();
                while let Some(volume) = list.next_element()? {
                    all.push(volume);
                }
                Ok(Volumes(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Volumes, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name != "volumes" {
                        return Err(A::Error::unknown_field(&name, &["volumes"]));
                    }
                    all.extend(map.next_value::<Option<Vec<_>>>()?.unwrap_or_default());
                }
                Ok(Volumes(all))
            }
        }
        deserializer.deserialize_any(File)
    }
}
