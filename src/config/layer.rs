//! Layers of runtime keys and how they are put on top of each other.
//!
//! Values stay text until every layer is merged; each keeps the place it was written at, so that
//! an error in it can name that place.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::error::Error;
use std::fmt;

use super::ceilings;
use super::identity::{Identity, identity};
use super::keys::{Author, KEYS, Key, Merge};
use super::profile::Profile;
use super::secret;
use crate::failure::{Failure, Place};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// A maximum of the operator's, in place of nothing.
    Ceiling(String),
    /// What a caller of ours needs, in its own words.
    Caller(&'static str),
    /// A line of a file.
    File(Place),
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
        let what = format!("invalid value {} for {self}", secret::quoted(self));
        let failure = match why.into().downcast::<Failure>() {
            // It repeats the value; only its reason is news.
            Ok(inner) => inner.reworded(what),
            Err(why) => Failure::usage(what).because(why),
        };
        failure.at(self.place().cloned())
    }

    /// Whether it holds only because nobody says anything.
    pub fn is_unwritten(&self) -> bool {
        matches!(self.origin, Origin::Default | Origin::Profile(_))
    }

    /// The place in a file where it is written.
    pub fn place(&self) -> Option<&Place> {
        match &self.origin {
            Origin::File(place) => Some(place),
            _ => None,
        }
    }
}

/// Where, in words; of a file the line is enough.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag => f.write_str("flag"),
            Self::Argument => f.write_str("argument"),
            Self::Profile(profile) => write!(f, "default of {profile}"),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Answer(who) => f.write_str(who),
            Self::Caller(who) => f.write_str(who),
            Self::Ceiling(name) => write!(f, "{name} of [{}]", ceilings::SECTION),
            Self::File(place) => {
                let place = Place {
                    column: None,
                    ..place.clone()
                };
                write!(f, "{place}")
            }
        }
    }
}

/// The name under which the user wrote it: the flag, or the key and, where a failure has no place for
/// it, the origin.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Flag => write!(f, "--{}", self.key.flag),
            Origin::Argument => f.write_str(self.key.value),
            Origin::File(_) => f.write_str(self.key.name),
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
            text: "null".to_owned(),
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

    /// Adds what `other` says.
    pub fn extend(&mut self, other: Self) {
        self.said.extend(other.said);
    }

    /// Whether it says anything of the image.
    pub fn names_image(&self) -> bool {
        let names =
            |said: &Said| matches!(said, Said::Value(item) if item.key.author == Author::Image);
        self.said.iter().any(names)
    }

    /// Everything it says, in order.
    pub fn said(&self) -> &[Said] {
        &self.said
    }
}

/// All layers in one: at most one item for a plain key; for a list, what is left of all of them, with
/// the number of the layer each came from.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    layers: usize,
    values: BTreeMap<&'static str, Vec<(usize, Item)>>,
    /// What nobody wrote: it counts again when all that somebody wrote is cleared.
    unwritten: BTreeMap<&'static str, (usize, Item)>,
}

/// Merges `layers`, lowest first.
pub fn merge<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Merged {
    let mut merged = Merged::default();
    for layer in layers {
        merged.put(layer);
    }
    merged
}

impl Merged {
    /// Puts `layer` on top.
    pub fn put(&mut self, layer: &Layer) {
        self.give_way_to(layer);
        self.add(self.layers, layer);
        self.layers += 1;
    }

    /// Drops what a higher `layer` replaces, clears or removes.
    fn give_way_to(&mut self, layer: &Layer) {
        let mut cleared = BTreeSet::new();
        let mut replaced = BTreeSet::new();
        let mut gone: HashSet<Identity> = HashSet::new();
        for said in &layer.said {
            match said {
                Said::Value(item) if item.key.merge == Merge::Replace => {
                    replaced.insert(item.key.name);
                }
                Said::Value(item) => gone.extend(identity(item)),
                Said::Clear(item) => {
                    cleared.insert(item.key.name);
                }
                Said::Remove(item) => gone.extend(identity(item)),
            }
        }
        for (name, items) in &mut self.values {
            if cleared.contains(name) {
                *items = self.unwritten.get(name).cloned().into_iter().collect();
            }
            items.retain(|(_, item)| {
                !replaced.contains(name)
                    && (gone.is_empty() || identity(item).is_none_or(|own| !gone.contains(&own)))
            });
        }
    }

    /// Adds what `layer` says. Of two variables of one name the later counts, as docker has it; two
    /// mounts of one target both stay, for [`Settings`](super::Settings) to refuse.
    fn add(&mut self, number: usize, layer: &Layer) {
        let mut places: HashMap<Identity, usize> = HashMap::new();
        for said in &layer.said {
            let Said::Value(item) = said else { continue };
            if item.is_unwritten() {
                self.unwritten.insert(item.key.name, (number, item.clone()));
            }
            let items = self.values.entry(item.key.name).or_default();
            let own = identity(item);
            let twin = match item.key.merge {
                Merge::Replace => items.len().checked_sub(1),
                Merge::ByName => own.as_ref().and_then(|own| places.get(own).copied()),
                Merge::Append | Merge::ByTarget => None,
            };
            match twin.and_then(|at| items.get_mut(at)) {
                Some(slot) => *slot = (number, item.clone()),
                None => {
                    places.extend(own.map(|own| (own, items.len())));
                    items.push((number, item.clone()));
                }
            }
        }
    }

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
        self.with_layer(name).map(|(_, item)| item)
    }

    /// The same with the number of its layer, the lowest first.
    pub fn with_layer(&self, name: &str) -> Option<(usize, &Item)> {
        let (layer, item) = self.values.get(name)?.last()?;
        Some((*layer, item))
    }

    /// What counts when all that layers say of a key is cleared.
    pub fn unwritten(&self, name: &str) -> Option<&Item> {
        self.unwritten.get(name).map(|(_, item)| item)
    }

    /// The values of a list, lowest layer first.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Item> {
        self.values
            .get(name)
            .into_iter()
            .flatten()
            .map(|(_, item)| item)
    }

    /// The values of several keys, lowest layer first; in one layer, in the order of `names`.
    pub fn by_layer(&self, names: &[&'static str]) -> Vec<&Item> {
        let values = names.iter().filter_map(|name| self.values.get(name));
        let mut all: Vec<_> = values.flatten().collect();
        all.sort_by_key(|(layer, _)| *layer);
        all.into_iter().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests;
