//! What may be written for a user or a group: `name`, `uid`, `uid:gid`, `name:group`.
//!
//! In goes the text of `-u`, `--group-add` or an image's USER; out comes its meaning, or why it has
//! none. No file is looked at here.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::failure::{Failure, Result};

/// The highest id Docker accepts (moby/sys, `user.maxID`): beyond it some C libraries and file
/// systems take an id for a negative number.
pub(super) const MAX_ID: u32 = i32::MAX as u32;

/// A user or a group, by name or by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOrId {
    /// A number; it needs no entry in the image's files.
    Id(u32),
    /// A name; it needs one.
    Name(String),
}

/// A user and perhaps a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// The user.
    pub user: NameOrId,
    /// The group, in place of all the user's own.
    pub group: Option<NameOrId>,
}

impl UserSpec {
    /// Whom a container runs as when neither the command line nor the image says so.
    pub fn root() -> Self {
        Self {
            user: NameOrId::Id(0),
            group: None,
        }
    }
}

impl FromStr for UserSpec {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why| {
            Failure::usage(format!("invalid user {text:?}"))
                .because(why)
                .hint("write user, uid, user:group or uid:gid")
        };
        let (user, group) = match text.split_once(':') {
            None => (text, None),
            Some((_, group)) if group.contains(':') => {
                return Err(refuse("there is more than one ':'"));
            }
            Some((user, group)) => (user, Some(group)),
        };
        Ok(Self {
            user: name_or_id(user).map_err(refuse)?,
            group: group.map(name_or_id).transpose().map_err(refuse)?,
        })
    }
}

impl FromStr for NameOrId {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why| Failure::usage(format!("invalid group {text:?}")).because(why);
        if text.contains(':') {
            return Err(refuse("a group has no ':'"));
        }
        name_or_id(text).map_err(refuse)
    }
}

/// Takes digits for a number, always; a leading `-` only ever stands for a negative one.
fn name_or_id(text: &str) -> Result<NameOrId, &'static str> {
    if text.is_empty() {
        return Err("a name or number is missing");
    }
    if text.chars().any(char::is_control) {
        return Err("it contains a control character");
    }
    if text.starts_with('-') {
        return Err("ids go from 0 to 2147483647, and no name begins with '-'");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let id = text.parse().ok().filter(|id| *id <= MAX_ID);
        return id.map(NameOrId::Id).ok_or("ids go from 0 to 2147483647");
    }
    Ok(NameOrId::Name(text.to_owned()))
}

impl Serialize for NameOrId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for UserSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for NameOrId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for UserSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.user.fmt(f)?;
        match &self.group {
            Some(group) => write!(f, ":{group}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> NameOrId {
        NameOrId::Name(text.to_owned())
    }

    #[test]
    fn names_and_numbers_are_told_apart_by_their_digits() {
        for (text, user, group) in [
            ("root", name("root"), None),
            ("0", NameOrId::Id(0), None),
            ("007", NameOrId::Id(7), None),
            ("2147483647", NameOrId::Id(MAX_ID), None),
            ("1000:1000", NameOrId::Id(1000), Some(NameOrId::Id(1000))),
            ("alice:docker", name("alice"), Some(name("docker"))),
            ("1000:docker", NameOrId::Id(1000), Some(name("docker"))),
            ("1a", name("1a"), None),
        ] {
            assert_eq!(text.parse::<UserSpec>().unwrap(), UserSpec { user, group });
        }
    }

    #[test]
    fn what_is_no_user_is_refused() {
        for bad in [
            "",
            ":",
            "0:",
            ":0",
            "0:0:0",
            "::",
            "-1",
            "0:-1",
            "-",
            "2147483648",
            "4294967295",
            "4294967296",
            "0:2147483648",
            "99999999999999999999999",
            "a\0b",
            "a\nb",
            "root:\t",
        ] {
            assert!(bad.parse::<UserSpec>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_shows_the_text_and_the_reason() {
        let failure = "2147483648".parse::<UserSpec>().unwrap_err();
        assert_eq!(
            failure.to_string(),
            "invalid user \"2147483648\": ids go from 0 to 2147483647"
        );
    }

    #[test]
    fn a_group_alone_has_no_colon() {
        assert_eq!("audio".parse::<NameOrId>().unwrap(), name("audio"));
        assert!("audio:video".parse::<NameOrId>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_user_or_refused(text in ".*") {
            if let Ok(spec) = text.parse::<UserSpec>() {
                prop_assert_eq!(spec.to_string().parse::<UserSpec>().unwrap(), spec);
            }
        }
    }
}
