//! The lines of an image's `/etc/passwd` and `/etc/group`.
//!
//! In go the bytes of both files, whatever an image has put there; out come the entries that are
//! well-formed (passwd(5), group(5)). A line that is not is skipped, as C libraries do, and nothing
//! here fails.

use std::str::Split;

use super::spec::MAX_ID;

/// The contents of both files, where the image has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// `/etc/passwd`.
    pub passwd: Option<Vec<u8>>,
    /// `/etc/group`.
    pub group: Option<Vec<u8>>,
}

/// A line of passwd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User<'a> {
    pub name: &'a str,
    pub uid: u32,
    pub gid: u32,
    pub home: &'a str,
}

/// A line of group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub name: &'a str,
    pub gid: u32,
    members: &'a str,
}

impl Accounts {
    /// The users, in the order of the file.
    pub(super) fn users(&self) -> impl Iterator<Item = User<'_>> {
        lines(self.passwd.as_deref()).filter_map(user)
    }

    /// The groups, in the order of the file.
    pub(super) fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        lines(self.group.as_deref()).filter_map(group)
    }
}

impl<'a> Group<'a> {
    /// The names of its members.
    pub(super) fn members(&self) -> impl Iterator<Item = &'a str> {
        self.members.split(',').map(str::trim)
    }
}

/// Lines of text without comments; a line with control characters or in no known encoding is not
/// one, so that no name or home directory carries such bytes further.
fn lines(file: Option<&[u8]>) -> impl Iterator<Item = &str> {
    file.unwrap_or_default()
        .split(|&byte| byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && !line.contains(char::is_control))
}

/// name:password:uid:gid:comment:home:shell, of which the last three may be absent.
fn user(line: &str) -> Option<User<'_>> {
    let mut fields = line.split(':');
    let name = name(&mut fields)?;
    let _password = fields.next()?;
    Some(User {
        name,
        uid: id(fields.next()?)?,
        gid: id(fields.next()?)?,
        home: fields.nth(1).unwrap_or_default(),
    })
}

/// name:password:gid:members, of which the last may be absent.
fn group(line: &str) -> Option<Group<'_>> {
    let mut fields = line.split(':');
    let name = name(&mut fields)?;
    let _password = fields.next()?;
    Some(Group {
        name,
        gid: id(fields.next()?)?,
        members: fields.next().unwrap_or_default(),
    })
}

fn name<'a>(fields: &mut Split<'a, char>) -> Option<&'a str> {
    fields.next().filter(|name| !name.is_empty())
}

fn id(field: &str) -> Option<u32> {
    let digits = field.bytes().all(|byte| byte.is_ascii_digit());
    let id = digits.then(|| field.parse().ok()).flatten()?;
    (id <= MAX_ID).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(passwd: &[u8]) -> Vec<String> {
        let accounts = Accounts {
            passwd: Some(passwd.to_vec()),
            group: None,
        };
        accounts.users().map(|user| user.name.to_owned()).collect()
    }

    #[test]
    fn malformed_lines_are_skipped() {
        let passwd = b"good:x:1:1:::\n\
            \n\
            # a:x:1:1:::\n\
            short:x:1\n\
            :x:1:1:::\n\
            word:x:one:1:::\n\
            sign:x:+1:1:::\n\
            minus:x:-1:1:::\n\
            empty:x::1:::\n\
            big:x:2147483648:1:::\n\
            huge:x:99999999999999999999:1:::\n\
            bell\x07:x:1:1:::\n\
            latin\xfc:x:1:1:::\n\
            +::::::\n\
            also:x:2:2\r\n\
            last:x:3:3:::";
        assert_eq!(names(passwd), ["good", "also", "last"]);
    }

    #[test]
    fn members_may_be_absent_or_many() {
        let accounts = Accounts {
            passwd: None,
            group: Some("none:x:1\nempty:x:2:\ntwo:x:3:a, b\n".into()),
        };
        let members: Vec<Vec<&str>> = accounts.groups().map(|g| g.members().collect()).collect();
        assert_eq!(members, [vec![""], vec![""], vec!["a", "b"]]);
    }

    #[test]
    fn an_absent_file_has_no_entries() {
        assert_eq!(Accounts::default().users().count(), 0);
        assert_eq!(Accounts::default().groups().count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_have_entries_or_none(bytes: Vec<u8>, line in "[a-z:0-9,\\n\\r#+-]{0,80}") {
            for file in [bytes, line.into_bytes()] {
                let accounts = Accounts { passwd: Some(file.clone()), group: Some(file) };
                for user in accounts.users() {
                    prop_assert!(!user.name.is_empty() && user.uid <= MAX_ID);
                }
                for group in accounts.groups() {
                    prop_assert!(!group.name.is_empty() && group.gid <= MAX_ID);
                }
            }
        }
    }
}
