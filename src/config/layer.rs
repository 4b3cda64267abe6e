//! Layers of runtime keys and how they are put on top of each other.
//!
//! Values stay text until every layer is merged; each keeps the place it was written at, so that
//! an error in it can name that place.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::keys::{KEYS, Key, Merge};
use super::profile::Profile;
use crate::failure::Failure;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `runtime-specs/keys.yaml`.
    Default,
    /// A flag of the command line.
    Flag,
    /// An argument of the command line that is no flag.
    Argument,
    /// A profile's own default.
    Profile(Profile),
    /// An environment variable.
    Variable(String),
    /// What a command printed, or the image hook answered.
    Answer(String),
    /// A line of a file.
    File {
        /// The file as the user named it.
        path: Arc<PathBuf>,
        /// Counted from 1.
        line: u64,
    },
}

/// One value of one key.
#[derive(Debug, Clone)]
pub struct Item {
    /// The key it belongs to.
    pub key: &'static Key,
    /// What was written.
    pub text: String,
    /// Where.
    pub origin: Origin,
}

impl Item {
    /// A failure that says which value, where it was written, and why it cannot be.
    pub fn refuse(&self, why: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        let what = format!("invalid value {} for {self}", shown(&self.text));
        match why.into().downcast::<Failure>() {
            // It repeats the value; only its reason is news.
            Ok(inner) => inner.reworded(what),
            Err(why) => Failure::usage(what).because(why),
        }
    }
}

/// How much of a value a message repeats.
const SHOWN: usize = 80;

/// The value in quotes, or the beginning of it.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Where, in words.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag => f.write_str("flag"),
            Self::Argument => f.write_str("argument"),
            Self::Profile(profile) => write!(f, "default of {profile}"),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Answer(who) => f.write_str(who),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// The name under which the user wrote it: the flag, or the key with file and line.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Flag => write!(f, "--{}", self.key.flag),
            Origin::Argument => f.write_str(self.key.value),
            origin => write!(f, "{} ({origin})", self.key.name),
        }
    }
}

/// What one source says.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    said: Vec<Said>,
}

/// One thing that a source says.
#[derive(Debug, Clone)]
pub enum Said {
    /// A value.
    Value(Item),
    /// Nothing of what lower layers say of a key counts.
    Clear(Item),
    /// An item of this name of a lower layer does not count (the item's text is the name).
    Remove(Item),
}

impl Layer {
    /// What holds when nobody says anything.
    pub fn defaults() -> Self {
        let mut layer = Self::default();
        for key in KEYS {
            if let Some(text) = key.default {
                layer.say(key, text, Origin::Default);
            }
        }
        layer
    }

    /// Adds one value; lists take any number of them.
    pub fn say(&mut self, key: &'static Key, text: impl Into<String>, origin: Origin) {
        self.said.push(Said::Value(Item {
            key,
            text: text.into(),
            origin,
        }));
    }

    /// Takes away what lower layers say of `key`.
    pub fn clear(&mut self, key: &'static Key, origin: Origin) {
        self.said.push(Said::Clear(Item {
            key,
            text: String::new(),
            origin,
        }));
    }

    /// Takes away the item `name` of the list `key`, whose items are `NAME=VALUE`.
    pub fn remove(&mut self, key: &'static Key, name: String, origin: Origin) {
        self.said.push(Said::Remove(Item {
            key,
            text: name,
            origin,
        }));
    }

    /// Everything it says, in order.
    pub fn said(&self) -> &[Said] {
        &self.said
    }
}

/// All layers in one: at most one item for a plain key; for a list, all of them with the number of
/// the layer each came from.
#[derive(Debug, Default)]
pub struct Merged {
    values: BTreeMap<&'static str, Vec<(usize, Item)>>,
}

/// Merges `layers`, lowest first.
pub fn merge(layers: impl IntoIterator<Item = Layer>) -> Merged {
    let mut merged = Merged::default();
    for (number, layer) in layers.into_iter().enumerate() {
        for said in layer.said {
            let (Said::Value(item) | Said::Clear(item) | Said::Remove(item)) = &said;
            let slot = merged.values.entry(item.key.name).or_default();
            match said {
                Said::Value(item) => {
                    if item.key.merge == Merge::Replace {
                        slot.clear();
                    }
                    slot.push((number, item));
                }
                // What nobody wrote is what is left when what somebody wrote is cleared.
                Said::Clear(_) => {
                    slot.retain(|(layer, item)| *layer == number || item.origin == Origin::Default);
                }
                Said::Remove(gone) => slot.retain(|(_, item)| name_of(item) != gone.text),
            }
        }
    }
    merged
}

fn name_of(item: &Item) -> &str {
    item.text
        .split_once('=')
        .map_or(item.text.as_str(), |(name, _)| name)
}

impl Merged {
    /// Puts one value above every layer.
    pub fn settle(&mut self, item: Item) {
        self.values.insert(item.key.name, vec![(usize::MAX, item)]);
    }

    /// Everything that counts, by key.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.values.values().flatten().map(|(_, item)| item)
    }

    /// The value of a key that is no list.
    pub fn one(&self, name: &str) -> Option<&Item> {
        self.values.get(name)?.last().map(|(_, item)| item)
    }

    /// The values of a list, lowest layer first.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Item> {
        self.values
            .get(name)
            .into_iter()
            .flatten()
            .map(|(_, item)| item)
    }

    /// The values of a list whose items have a name: a higher layer's item replaces the lower one
    /// with the same `name_of`; the same name twice in one layer is decided by `on_twin`.
    pub fn by_name<T, N: PartialEq>(
        &self,
        name: &str,
        parse: impl Fn(&Item) -> Result<T, Failure>,
        name_of: impl Fn(&T) -> N,
        on_twin: OnTwin,
    ) -> Result<Vec<T>, Failure> {
        let mut kept: Vec<(usize, T)> = Vec::new();
        for (layer, item) in self.values.get(name).into_iter().flatten() {
            let value = parse(item)?;
            let twin = kept
                .iter()
                .position(|(_, other)| name_of(other) == name_of(&value));
            match twin {
                Some(at) if kept[at].0 == *layer && on_twin == OnTwin::Refuse => {
                    return Err(item.refuse("it is given twice"));
                }
                Some(at) => kept[at] = (*layer, value),
                None => kept.push((*layer, value)),
            }
        }
        Ok(kept.into_iter().map(|(_, value)| value).collect())
    }
}

/// What the same name twice in one layer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTwin {
    /// The later one counts (variables, labels: as docker does).
    LaterWins,
    /// An error (mount targets: one would hide the other).
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::super::keys::find;
    use super::*;

    fn flags(pairs: &[(&str, &str)]) -> Layer {
        let mut layer = Layer::default();
        for (name, text) in pairs {
            layer.say(find(name).unwrap(), *text, Origin::Flag);
        }
        layer
    }

    #[test]
    fn a_higher_layer_replaces_a_plain_value() {
        let merged = merge([Layer::defaults(), flags(&[("stop_timeout", "3")])]);
        assert_eq!(merged.one("stop_timeout").unwrap().text, "3");
        assert_eq!(merged.one("ipc_mode").unwrap().text, "private");
        assert!(merged.one("memory").is_none());
    }

    #[test]
    fn named_items_replace_their_twins_and_keep_the_others() {
        let merged = merge([
            flags(&[("labels", "a=1"), ("labels", "b=1")]),
            flags(&[("labels", "a=2")]),
        ]);
        let parse = |item: &Item| Ok(item.text.clone());
        let name = |text: &String| text.split('=').next().map(str::to_owned);
        let labels = merged
            .by_name("labels", parse, name, OnTwin::Refuse)
            .unwrap();
        assert_eq!(labels, ["a=2", "b=1"]);
    }

    #[test]
    fn a_twin_in_one_layer_can_be_refused() {
        let merged = merge([flags(&[("volumes", "/a:/x"), ("volumes", "/b:/x")])]);
        let parse = |item: &Item| Ok(item.text.clone());
        let target = |text: &String| text.split(':').nth(1).map(str::to_owned);
        let failure = merged
            .by_name("volumes", parse, target, OnTwin::Refuse)
            .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "invalid value \"/b:/x\" for --volume: it is given twice"
        );
    }

    #[test]
    fn a_refusal_repeats_no_more_of_a_value_than_can_be_read() {
        let text = "ü".repeat(5000);
        let merged = merge([flags(&[("name", &text)])]);
        let failure = merged.one("name").unwrap().refuse("too long").to_string();
        assert!(
            failure.contains("üü\"… for --name: too long") && failure.len() < 250,
            "{failure}"
        );
    }

    #[test]
    fn a_file_origin_names_file_and_line() {
        let mut layer = Layer::default();
        let origin = Origin::File {
            path: Arc::new("a.yaml".into()),
            line: 4,
        };
        layer.say(find("memory").unwrap(), "x", origin);
        let failure = merge([layer]).one("memory").unwrap().refuse("no number");
        assert_eq!(
            failure.to_string(),
            "invalid value \"x\" for memory (a.yaml:4): no number"
        );
    }
}
