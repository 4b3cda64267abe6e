//! Whether a file of the host can be read by who runs in the container.
//!
//! In: a file that the payload cannot do without, a plan, the user as the image knows him. Out: nothing, or
//! a failure. It must not refuse what the kernel would allow: where it cannot know, it lets pass.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oci_spec::runtime::Capability;
use rustix::fs::getxattr;
use rustix::io::Errno;

use crate::failure::{Failure, Result};
use crate::plan::Plan;
use crate::spec::user::ResolvedUser;

/// acl(5): with it, a file's permission bits are not all that counts.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// A file of the host that is worth nothing in the container if its user cannot read it.
#[derive(Debug, Clone, Copy)]
pub struct MustRead<'a> {
    /// What it is to the user of airtight.
    pub what: &'a str,
    /// Where it is on the host.
    pub file: &'a Path,
}

impl MustRead<'_> {
    /// Refuses a run in which it would be lost to `user`.
    pub(super) fn check(self, plan: &Plan, user: &ResolvedUser) -> Result<()> {
        let Self { what, file } = self;
        if !is_closed(file, plan, user).unwrap_or(false) {
            return Ok(());
        }
        Err(Failure::host(format!("cannot hand over {what} {}", file.display()))
            .because(format!(
                "user {} of the container may not read it",
                user.uid
            ))
            .hint(
                "make it readable to a group of that user's, add its group with GROUP_ADD, or set RUN_AS_USER",
            ))
    }
}

/// inode(7): the bits of the first class that the user is in are the ones that count.
fn is_closed(file: &Path, plan: &Plan, user: &ResolvedUser) -> io::Result<bool> {
    let overrides = [Capability::DacOverride, Capability::DacReadSearch];
    let capabilities = &plan.process.capabilities;
    if user.uid == 0 && overrides.iter().any(|one| capabilities.contains(one)) {
        return Ok(false);
    }
    let known = file.metadata()?;
    let class = if known.uid() == user.uid {
        6
    } else if user.gid == known.gid() || user.groups.contains(&known.gid()) {
        3
    } else {
        0
    };
    let closed = (known.mode() >> class) & 0o4 == 0;
    Ok(closed && !has_access_list(file))
}

fn has_access_list(file: &Path) -> bool {
    let mut nothing: [u8; 0] = [];
    !matches!(
        getxattr(file, ACCESS_LIST, &mut nothing),
        Err(Errno::NODATA | Errno::OPNOTSUPP)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    fn refusal(mode: u32, user: &ResolvedUser, flags: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("airflow.cfg");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        chown(&file, Some(1), Some(2)).unwrap();
        let plan = fixture::plan_on(&fixture::survey(), flags).unwrap();
        let needed = MustRead {
            what: "the file",
            file: &file,
        };
        let refused = needed.check(&plan, user).err();
        refused.map(|failure| failure.to_string())
    }

    fn user(uid: u32, groups: &[u32]) -> ResolvedUser {
        ResolvedUser {
            uid,
            gid: 9,
            groups: groups.to_vec(),
            home: "/".to_owned(),
        }
    }

    #[test]
    fn the_owner_a_group_and_others_are_judged_by_their_own_bits() {
        for (mode, uid, groups, may) in [
            (0o600, 1, &[][..], true),
            (0o600, 7, &[2], false),
            (0o640, 7, &[2], true),
            (0o640, 7, &[3], false),
            (0o604, 7, &[3], true),
            // An owner without the bit may not, even where all others may.
            (0o044, 1, &[2], false),
        ] {
            let refused = refusal(mode, &user(uid, groups), &[]);
            assert_eq!(refused.is_none(), may, "{mode:o} {uid} {groups:?}");
        }
        let said = refusal(0o600, &user(7, &[]), &[]).unwrap();
        assert!(
            said.contains("user 7 of the container may not read it"),
            "{said}"
        );
    }

    #[test]
    fn root_reads_everything_while_it_has_the_capability() {
        assert_eq!(refusal(0o000, &user(0, &[]), &[]), None);
        let without = [("cap_drop", "ALL")];
        assert!(refusal(0o000, &user(0, &[]), &without).is_some());
    }
}
