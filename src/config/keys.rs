//! The table of runtime keys, generated from `runtime-specs/keys.yaml` at build time.

use serde_json::Value;

use super::profile::Profile;

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// True or false.
    Switch,
    /// One text.
    Text,
    /// Any number of texts.
    List,
}

/// How a higher layer's value meets a lower layer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The higher one alone counts.
    Replace,
    /// Both count, the lower one first.
    Append,
    /// Both count; an item replaces the one with the same text before its `=`.
    ByName,
    /// Both count; an item replaces the one with the same path inside.
    ByTarget,
}

impl Merge {
    /// What `airtight config keys` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Append => "append",
            Self::ByName => "by name",
            Self::ByTarget => "by target",
        }
    }

    /// What it means, as a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Replace => "The highest layer that says something counts alone",
            Self::Append => "Items of all layers count, the lower layers' first",
            Self::ByName => {
                "Items of all layers count; one replaces a lower layer's with the same text before its ="
            }
            Self::ByTarget => {
                "Items of all layers count; one replaces a lower layer's with the same path inside"
            }
        }
    }
}

/// What the author of a DAG may do with a key in a metadata file; `ceilings` applies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Anything.
    Free,
    /// Nothing, unless the operator lists the key.
    Consent,
    /// A switch: turning it off takes consent.
    OnIsFree,
    /// A switch: turning it on takes consent.
    OffIsFree,
    /// A mode: sharing with the host or another container takes consent.
    PrivateMode,
    /// A quantity: up to the operator's maximum.
    Maximum,
    /// The image: one that the operator's patterns allow.
    Image,
    /// Mounts: host paths below the operator's prefixes.
    HostPaths,
    /// Capabilities beyond the default ones take consent.
    Capabilities,
    /// All but no-new-privileges take consent.
    SecurityOptions,
    /// Root takes consent where the operator set a user.
    User,
    /// Mounts without a host path: anywhere but in the runtime's way.
    Targets,
    /// Limits of one process; priorities take consent.
    Ulimits,
    /// Labels that nobody acts upon.
    Labels,
    /// Values may be given, but not taken from the host's environment.
    Variables,
}

/// How a value, or one item of a list, is written; `runtime-specs/keys.yaml` says what the fields mean.
#[derive(Debug)]
#[allow(missing_docs, reason = "documented in the table itself")]
pub struct Type {
    pub name: &'static str,
    pub written: &'static str,
    /// JSON.
    pub schema: &'static str,
}

/// One runtime key; `runtime-specs/keys.yaml` says what the fields mean.
#[derive(Debug)]
#[allow(missing_docs, reason = "documented in the table itself")]
pub struct Key {
    pub name: &'static str,
    pub kind: Type,
    pub author: Author,
    pub separator: char,
    pub flag: &'static str,
    pub short: Option<char>,
    pub alias: Option<&'static str>,
    pub value: &'static str,
    pub shape: Shape,
    pub merge: Merge,
    pub default: Option<&'static str>,
    pub profiles: &'static [(&'static str, &'static str)],
    pub otherwise: Option<&'static str>,
    pub group: &'static str,
    /// JSON.
    pub example: &'static str,
    pub help: &'static str,
}

impl Type {
    /// The JSON schema of one value.
    pub fn schema_value(&self) -> Value {
        json_of(self.schema)
    }
}

/// The table's JSON, as the build wrote it.
fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

impl Key {
    /// What `airtight config keys` calls its type.
    pub fn type_name(&self) -> String {
        match self.shape {
            Shape::List => format!("{} list", self.kind.name),
            Shape::Switch | Shape::Text => self.kind.name.to_owned(),
        }
    }

    /// Its name in airflow.cfg.
    pub fn airflow_cfg(&self) -> String {
        self.name.to_uppercase()
    }

    /// The flag with its dashes, where it has one.
    pub fn long_flag(&self) -> Option<String> {
        (!self.flag.is_empty()).then(|| format!("--{}", self.flag))
    }

    /// Its example.
    pub fn example_value(&self) -> Value {
        json_of(self.example)
    }

    /// What holds when no layer says anything, and in a profile where that differs.
    pub fn default_words(&self) -> String {
        let words = self.default.or(self.otherwise).unwrap_or_default();
        let said: Vec<(&str, &str)> = Profile::ALL
            .into_iter()
            .filter_map(|profile| Some((profile.name(), profile.default_of(self)?)))
            .collect();
        match said.as_slice() {
            [] => words.to_owned(),
            [(_, first), rest @ ..]
                if said.len() == Profile::ALL.len()
                    && rest.iter().all(|(_, other)| other == first) =>
            {
                format!("{words} (profiles: {first})")
            }
            some => {
                let some: Vec<_> = some
                    .iter()
                    .map(|(who, text)| format!("{who}: {text}"))
                    .collect();
                format!("{words} ({})", some.join(", "))
            }
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/keys.rs"));

/// The key that somebody means who writes it as airflow.cfg, docker's flags or its letters do.
pub fn meant_by(name: &str) -> Option<&'static Key> {
    let lower = name.to_lowercase();
    let flag = lower.trim_start_matches('-').replace('_', "-");
    KEYS.iter().find(|key| {
        key.name == lower
            || (!key.flag.is_empty() && (key.flag == flag || key.alias == Some(&flag)))
    })
}

/// The key called `name`.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_flags_and_letters_are_unique() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        let flagged = || KEYS.iter().filter(|key| !key.flag.is_empty());
        let flags: BTreeSet<_> = flagged().map(|key| key.flag).collect();
        let letters: Vec<_> = KEYS.iter().filter_map(|key| key.short).collect();
        assert_eq!((names.len(), flags.len()), (KEYS.len(), flagged().count()));
        assert_eq!(letters.iter().collect::<BTreeSet<_>>().len(), letters.len());
    }
}
