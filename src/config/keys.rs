//! The table of runtime keys, generated from `runtime-specs/keys.yaml` at build time.

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
    /// Both count; an item replaces the one of the same name or target.
    ByName,
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
    /// Anything, unless the operator set it.
    UnlessSet,
    /// Values may be given, but not taken from the host's environment.
    Variables,
}

/// One runtime key; `runtime-specs/keys.yaml` says what the fields mean.
#[derive(Debug)]
#[allow(missing_docs, reason = "documented in the table itself")]
pub struct Key {
    pub name: &'static str,
    pub author: Author,
    pub separator: char,
    pub flag: &'static str,
    pub short: Option<char>,
    pub alias: Option<&'static str>,
    pub value: &'static str,
    pub shape: Shape,
    pub merge: Merge,
    pub default: Option<&'static str>,
    pub group: &'static str,
    pub help: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/keys.rs"));

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

    #[test]
    fn every_list_merges_and_nothing_else_does() {
        for key in KEYS {
            assert_eq!(
                key.shape == Shape::List,
                key.merge != Merge::Replace,
                "{}",
                key.name
            );
        }
    }
}
