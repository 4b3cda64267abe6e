//! What makes two items of lists the same thing, so that the one of a higher layer replaces the other:
//! a name, or the path inside the container.

use super::keys::Merge;
use super::layer::Item;
use super::values::{Device, parse_mount, parse_tmpfs, parse_volume};

/// The name or target of an item, and which keys share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    space: &'static str,
    name: String,
}

/// The keys that say what is mounted, each in its own spelling.
const MOUNTS: [&str; 3] = ["volumes", "mounts", "tmpfs"];

/// The identity of `item`; none where its key has no such thing, or its text cannot be read.
pub fn identity(item: &Item) -> Option<Identity> {
    let key = item.key.name;
    let name = match item.key.merge {
        Merge::Replace | Merge::Append => return None,
        Merge::ByName => {
            let name = item.text.split_once('=').map(|(name, _)| name);
            name.unwrap_or(&item.text).to_owned()
        }
        Merge::ByTarget => match key {
            "volumes" => parse_volume(&item.text).ok()?.target,
            "mounts" => parse_mount(&item.text).ok()?.target,
            "tmpfs" => parse_tmpfs(&item.text).ok()?.target,
            _ => item.text.parse::<Device>().ok()?.target,
        },
    };
    let space = if MOUNTS.contains(&key) {
        MOUNTS[0]
    } else {
        key
    };
    Some(Identity { space, name })
}
