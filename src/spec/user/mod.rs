//! Who the payload runs as: `-u` and `--group-add`, resolved in the image's own passwd and group.
//!
//! In go what was asked for and the two files' contents; out come numbers and a home directory.
//! The rules are those of Docker (moby/sys, `user.GetExecUser` and `GetAdditionalGroups`): a number
//! is an id, never looked up as a name; an id without an entry is fine; the groups a user is a
//! member of come along only when no group was given. One rule is stricter: a line whose ids are
//! not numbers is skipped, where Docker would read them as 0 and so as root.

mod accounts;
mod spec;

pub use accounts::Accounts;
pub use spec::{NameOrId, UserSpec};

use serde::Serialize;

use accounts::{Group, User};

use crate::failure::{Failure, Result};

/// The home directory of a user without one.
const NO_HOME: &str = "/";

/// Who the payload runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResolvedUser {
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups: the primary one first, as Docker has them since CVE-2022-36109,
    /// each once.
    pub groups: Vec<u32>,
    /// The home directory, for `HOME`.
    pub home: String,
}

/// Resolves `spec` and the groups of `--group-add`.
pub fn resolve(
    spec: &UserSpec,
    group_add: &[NameOrId],
    accounts: &Accounts,
) -> Result<ResolvedUser> {
    let user = find_user(&spec.user, accounts);
    let uid = match (&user, &spec.user) {
        (Some(user), _) => user.uid,
        (None, NameOrId::Id(uid)) => *uid,
        (None, NameOrId::Name(name)) => return Err(no_such_user(name, accounts)),
    };
    let (gid, memberships) = match (&spec.group, &user) {
        (Some(group), _) => (find_group(group, accounts)?, Vec::new()),
        (None, Some(user)) => (user.gid, memberships(user, accounts)),
        (None, None) => (0, Vec::new()),
    };
    let mut groups = vec![gid];
    let added = group_add.iter().map(|group| find_group(group, accounts));
    for gid in memberships.into_iter().map(Ok).chain(added) {
        let gid = gid?;
        if !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    let home = home(uid, accounts);
    Ok(ResolvedUser {
        uid,
        gid,
        groups,
        home,
    })
}

fn find_user<'a>(wanted: &NameOrId, accounts: &'a Accounts) -> Option<User<'a>> {
    accounts.users().find(|user| match wanted {
        NameOrId::Id(uid) => user.uid == *uid,
        NameOrId::Name(name) => user.name == name,
    })
}

fn find_group(wanted: &NameOrId, accounts: &Accounts) -> Result<u32> {
    match wanted {
        NameOrId::Id(gid) => Ok(*gid),
        NameOrId::Name(name) => accounts
            .groups()
            .find(|group| group.name == name)
            .map(|group| group.gid)
            .ok_or_else(|| no_such_group(name, accounts)),
    }
}

fn memberships(user: &User<'_>, accounts: &Accounts) -> Vec<u32> {
    let member = |group: &Group<'_>| group.members().any(|member| member == user.name);
    accounts.groups().filter(member).map(|g| g.gid).collect()
}

/// By number even for a user given by name: of two names of one uid, both runc and Docker use the
/// first one's home.
fn home(uid: u32, accounts: &Accounts) -> String {
    let user = accounts.users().find(|user| user.uid == uid);
    let home = user.map_or("", |user| user.home);
    if home.is_empty() { NO_HOME } else { home }.to_owned()
}

fn no_such_user(name: &str, accounts: &Accounts) -> Failure {
    let failure = match accounts.passwd {
        Some(_) => Failure::usage(format!(
            "there is no user {name:?} in the image's /etc/passwd"
        )),
        None => Failure::usage(format!("cannot resolve the user {name:?}"))
            .because("the image has no /etc/passwd"),
    };
    failure.hint("a number, such as -u 1000 or -u 1000:1000, needs no entry there")
}

fn no_such_group(name: &str, accounts: &Accounts) -> Failure {
    let failure = match accounts.group {
        Some(_) => Failure::usage(format!(
            "there is no group {name:?} in the image's /etc/group"
        )),
        None => Failure::usage(format!("cannot resolve the group {name:?}"))
            .because("the image has no /etc/group"),
    };
    failure.hint("a number needs no entry there")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        daemon:x:1:1::/usr/sbin:/bin/false\n\
        alice:x:1000:1000:Alice:/home/alice:/bin/sh\n\
        toor:x:0:0::/toor:/bin/sh\n\
        2000:x:1500:1500::/home/number:\n\
        homeless:x:1600:1600\n";
    const GROUP: &str = "root:x:0:root\n\
        daemon:x:1:\n\
        disk:x:6:root,alice\n\
        docker:x:999:bob,alice\n\
        alice:x:1000:alice\n\
        50:x:5050:\n";

    fn accounts() -> Accounts {
        Accounts {
            passwd: Some(PASSWD.into()),
            group: Some(GROUP.into()),
        }
    }

    fn user(spec: &str) -> ResolvedUser {
        resolve(&spec.parse().unwrap(), &[], &accounts()).unwrap()
    }

    fn refused(spec: &str, accounts: &Accounts) -> Failure {
        resolve(&spec.parse().unwrap(), &[], accounts).unwrap_err()
    }

    fn with_groups(spec: &str, add: &[&str]) -> Vec<u32> {
        let add: Vec<NameOrId> = add.iter().map(|group| group.parse().unwrap()).collect();
        let resolved = resolve(&spec.parse().unwrap(), &add, &accounts());
        resolved.unwrap().groups
    }

    #[test]
    fn a_named_user_brings_the_groups_it_is_a_member_of() {
        let alice = user("alice");
        assert_eq!((alice.uid, alice.gid), (1000, 1000));
        assert_eq!(alice.groups, [1000, 6, 999]);
        assert_eq!(alice.home, "/home/alice");
    }

    #[test]
    fn a_uid_with_an_entry_is_that_user() {
        assert_eq!(user("1000"), user("alice"));
    }

    #[test]
    fn root_has_its_own_supplementary_groups() {
        assert_eq!(user("root").groups, [0, 6]);
        let nobody_asked = resolve(&UserSpec::root(), &[], &accounts()).unwrap();
        assert_eq!(nobody_asked, user("root"));
    }

    #[test]
    fn a_name_that_is_a_number_is_taken_as_a_uid() {
        let number = user("2000");
        assert_eq!((number.uid, number.gid), (2000, 0));
        assert_eq!(number.home, "/");
        assert_eq!(user("1:50").gid, 50);
        assert_eq!(with_groups("1", &["50"]), [1, 50]);
    }

    #[test]
    fn a_uid_without_an_entry_is_in_group_0_and_at_home_in_the_root() {
        let stranger = user("4242");
        assert_eq!((stranger.uid, stranger.gid), (4242, 0));
        assert_eq!(stranger.groups, [0]);
        assert_eq!(stranger.home, "/");
    }

    #[test]
    fn a_given_group_replaces_all_the_users_groups() {
        for spec in ["alice:docker", "alice:999", "1000:docker"] {
            let alice = user(spec);
            assert_eq!((alice.uid, alice.gid), (1000, 999), "{spec}");
            assert_eq!(alice.groups, [999], "{spec}");
            assert_eq!(alice.home, "/home/alice", "{spec}");
        }
        assert_eq!(user("4242:4343").groups, [4343]);
    }

    #[test]
    fn added_groups_follow_by_name_or_number_each_once() {
        assert_eq!(
            with_groups("alice", &["docker", "daemon", "77", "77"]),
            [1000, 6, 999, 1, 77]
        );
        assert_eq!(with_groups("alice:docker", &["disk"]), [999, 6]);
    }

    #[test]
    fn of_two_users_with_one_uid_the_first_ones_home_is_used() {
        assert_eq!(user("toor").home, "/root");
    }

    #[test]
    fn a_user_without_a_home_is_at_home_in_the_root() {
        let homeless = user("homeless");
        assert_eq!((homeless.uid, homeless.gid), (1600, 1600));
        assert_eq!(homeless.home, "/");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_file_it_was_sought_in() {
        let message = refused("carol", &accounts()).to_string();
        assert!(message.contains("\"carol\"") && message.contains("/etc/passwd"));
        let failure = refused("alice:wheel", &accounts());
        let message = failure.to_string();
        assert!(message.contains("\"wheel\"") && message.contains("/etc/group"));
        assert!(!failure.hints().is_empty());
    }

    #[test]
    fn an_image_without_the_files_runs_numbers_only() {
        let scratch = Accounts::default();
        let number = resolve(&"7:8".parse().unwrap(), &[], &scratch).unwrap();
        assert_eq!((number.uid, number.gid, number.home.as_str()), (7, 8, "/"));
        let message = refused("alice", &scratch).to_string();
        assert!(message.contains("no /etc/passwd"), "{message}");
        let message = refused("7:staff", &scratch).to_string();
        assert!(message.contains("no /etc/group"), "{message}");
    }

    #[test]
    fn a_user_whose_uid_is_not_a_number_is_never_root() {
        let accounts = Accounts {
            passwd: Some("mallory:x:zero:0::/:/bin/sh\nmallory\n".into()),
            group: None,
        };
        refused("mallory", &accounts);
    }

    proptest! {
        #[test]
        fn any_files_and_any_user_are_resolved_or_refused(
            passwd: Vec<u8>,
            group: Vec<u8>,
            spec in "[a-z0-9:]{0,6}",
        ) {
            let accounts = Accounts { passwd: Some(passwd), group: Some(group) };
            if let Ok(spec) = spec.parse::<UserSpec>() {
                let _ = resolve(&spec, &[], &accounts);
            }
        }
    }
}
