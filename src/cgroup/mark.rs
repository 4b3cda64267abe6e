//! What a group is marked with: text of its maker's, on the directory itself, in an extended attribute that
//! only root can set (xattr(7), trusted attributes; kernfs keeps them for cgroups of both versions).
//!
//! So it is known whose a group is though nothing else of its maker is left. A kernel or a user namespace
//! that refuses the attribute leaves a group without a mark, which is no error.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::{Hierarchies, tree};
use crate::failure::{Context, Kind, Result};

/// On a container's group.
pub const OWNER: &str = "trusted.airtight.owner";
/// On a group made above it: the list in which that is written down.
pub const LIST: &str = "trusted.airtight.list";
/// The longest value of an attribute (linux/limits.h, XATTR_SIZE_MAX).
const LONGEST: usize = 64 << 10;

/// Marks `directory`, where the kernel takes marks.
pub fn set(directory: &Path, name: &str, text: &[u8]) {
    // Without it the group is known by its path alone.
    let _ = setxattr(directory, name, text, XattrFlags::empty());
}

/// The mark of `directory`, if it has one.
pub fn get(directory: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; LONGEST];
    let length = getxattr(directory, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

/// The marks of all groups of containers below `mount`.
pub fn all_below(mount: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let mut found = BTreeSet::new();
    for hierarchy in Hierarchies::detect(mount)?.iter() {
        let directories = tree::directories(hierarchy.root()).or_fail(Kind::Host, || {
            format!("cannot read the cgroups in {}", hierarchy.root().display())
        })?;
        found.extend(directories.iter().filter_map(|one| get(one, OWNER)));
    }
    Ok(found)
}
