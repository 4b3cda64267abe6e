//! What a container for DAG files is made of: the command line of the `airtight run` that owns it, and what
//! that reads from a descriptor.
//!
//! In: an [`Order`], and what its settings are. Out: words, a [`Slip`], a key. Everything that has an effect
//! inside is in the key, the image's digest included: two files share a container only where they would have
//! had the same two containers. A value of a variable is never on a command line.

use std::collections::BTreeMap;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::message::Order;
use super::pool::Sharing;
use crate::config::values::MountSource;
use crate::config::{Profile, Settings};
use crate::failure::{Context, Failure, Kind, Result};
use crate::image::digest::Digest;

/// The program's end of the socket, in the container as well.
pub const SOCKET: RawFd = 3;
/// The [`Slip`] of the `airtight run`.
pub const SLIP: RawFd = 4;
/// Where it writes its verdict.
pub const VERDICT: RawFd = 5;

/// What a container is started with.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What containers a file may share.
    pub key: Digest,
    /// Whether it shares one at all.
    pub sharing: Sharing,
    /// Behind `airtight`.
    pub words: Vec<String>,
    /// What goes beside them.
    pub slip: Slip,
}

/// What an `airtight run` is told on a descriptor by the keeper that starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    /// Of what the keeper has read. If it reads anything else, the author of the DAG file has changed his
    /// settings in between, and would bring files of others into a container of his.
    pub key: Digest,
    /// Of the container.
    pub variables: BTreeMap<String, String>,
}

impl Slip {
    /// Reads what is in `file`.
    pub fn read(file: OwnedFd) -> Result<Self> {
        let what = || "cannot read what the keeper says";
        serde_json::from_reader(std::fs::File::from(file)).or_fail(Kind::Usage, what)
    }

    /// An open file with it.
    pub fn write(&self) -> Result<OwnedFd> {
        let what = || "cannot write for airtight run";
        let bytes = serde_json::to_vec(self).or_fail(Kind::Host, what)?;
        let file = memory("airtight-slip").or_fail(Kind::Host, what)?;
        rustix::io::pwrite(&file, &bytes, 0).or_fail(Kind::Host, what)?;
        Ok(file)
    }
}

/// A file without a name.
pub fn memory(name: &str) -> Result<OwnedFd, rustix::io::Errno> {
    memfd_create(name, MemfdFlags::CLOEXEC)
}

/// The arguments of `airtight` behind its global flags, without a value of any variable.
pub fn words(order: &Order) -> Result<Vec<String>> {
    let file = order.file.to_str().ok_or_else(|| {
        Failure::usage(format!("cannot parse {}", order.file.display()))
            .because("its name is not UTF-8")
    })?;
    let mut words: Vec<String> = ["run", "--as-payload", "--profile"]
        .map(str::to_owned)
        .into();
    let mut say = |more: &[&str]| words.extend(more.iter().map(|&word| word.to_owned()));
    say(&[Profile::DagParsing.name(), "--dag-file", file]);
    if order.airflow_2 {
        say(&["--airflow-2"]);
    }
    say(&["--keeper", &SLIP.to_string()]);
    say(&["--verdict", &format!("/proc/self/fd/{VERDICT}")]);
    say(&["--pass-fd", &SOCKET.to_string()]);
    for mount in &order.mounts {
        say(&["--mount", mount]);
    }
    for (name, value) in &order.labels {
        say(&["--label", &format!("{name}={value}")]);
    }
    // When it is stopped, nobody waits for anything in it.
    say(&["--stop-signal", "KILL"]);
    words.extend(order.flags.iter().cloned());
    // Without PYTHONPATH, and without `site`, which imports from there (inside/_paths.py).
    let python = ["--entrypoint", "python3", "--", "-ES"].map(str::to_owned);
    words.extend(python);
    words.extend([order.program.clone(), SOCKET.to_string()]);
    words.extend(order.arguments.iter().cloned());
    Ok(words)
}

/// What is at the sources of a container's bind mounts. A container keeps what it was started with: a file
/// or folder that has been replaced, or a link that leads elsewhere now, is another source of the same name.
#[derive(Debug, PartialEq, Eq)]
pub struct Sources(Vec<Option<(u64, u64)>>);

impl Sources {
    /// Device and inode of each, where there is anything. As long as a container has it, its inode is
    /// nobody else's.
    pub fn of(settings: &Settings) -> Self {
        let hosts = settings
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                MountSource::Bind { host, .. } => Some(host),
                MountSource::Anonymous | MountSource::Tmpfs => None,
            });
        let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
        Self(
            hosts
                .map(|host| std::fs::metadata(host).ok().map(identity))
                .collect(),
        )
    }
}

/// What two files that share a container have in common. Both sides of it are the same program, so the
/// form of the settings in it is nobody else's business.
pub fn key(settings: &Settings, sources: &Sources, image: &Digest, address: &str) -> Digest {
    Digest::of(format!("{image}\n{address}\n{sources:?}\n{settings:?}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Order {
        Order::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn values_of_variables_are_on_no_command_line() {
        let order = order(
            r#"{"file": "/d/a.py", "program": "/p.py", "arguments": ["3.3"], "mounts": ["type=tmpfs,target=/t"],
                "variables": {"PASSWORD": "secret"}, "labels": {"bundle_name": "b"}, "airflow_2": true}"#,
        );
        let words = words(&order).unwrap().join(" ");
        assert_eq!(
            words,
            "run --as-payload --profile dag-parsing --dag-file /d/a.py --airflow-2 --keeper 4 \
             --verdict /proc/self/fd/5 --pass-fd 3 --mount type=tmpfs,target=/t --label bundle_name=b \
             --stop-signal KILL --entrypoint python3 -- -ES /p.py 3 3.3"
        );
    }

    #[test]
    fn a_slip_is_read_as_it_was_written() {
        let slip = Slip {
            key: Digest::of(b"x"),
            variables: BTreeMap::from([("A".into(), "two\nlines".into())]),
        };
        let read = Slip::read(slip.write().unwrap()).unwrap();
        assert_eq!(read, slip);
    }

    #[test]
    fn another_image_or_another_setting_is_another_key() {
        let settings = |flags: &[(&str, &str)]| crate::plan::fixture::settings(flags);
        let image = Digest::of(b"image");
        let key = |settings: &Settings, image: &Digest, address: &str| {
            key(settings, &Sources::of(settings), image, address)
        };
        let plain = key(&settings(&[]), &image, "/a");
        assert_eq!(plain, key(&settings(&[]), &image, "/a"));
        for other in [
            key(&settings(&[]), &Digest::of(b"other"), "/a"),
            key(&settings(&[]), &image, "/b"),
            key(&settings(&[("environments", "A=1")]), &image, "/a"),
            key(&settings(&[("memory", "1g")]), &image, "/a"),
        ] {
            assert_ne!(plain, other);
        }
    }

    #[test]
    fn a_source_that_was_replaced_is_another_and_one_that_was_written_to_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["old", "new"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("file"), name).unwrap();
        }
        std::os::unix::fs::symlink("old", at("link")).unwrap();
        let volume = |name: &str| format!("{}:/{name}", at(name).display());
        let (link, file) = (volume("link"), volume("old/file"));
        let flags = [("volumes", link.as_str()), ("volumes", file.as_str())];
        let settings = crate::plan::fixture::settings(&flags);
        let seen = Sources::of(&settings);
        std::fs::write(at("old/file"), "changed").unwrap();
        assert_eq!(Sources::of(&settings), seen);

        std::os::unix::fs::symlink("new", at("link.new")).unwrap();
        std::fs::rename(at("link.new"), at("link")).unwrap();
        let flipped = Sources::of(&settings);
        assert_ne!(flipped, seen);

        std::fs::write(at("file.new"), "x").unwrap();
        std::fs::rename(at("file.new"), at("old/file")).unwrap();
        let replaced = Sources::of(&settings);
        assert_ne!(replaced, flipped);

        std::fs::remove_dir_all(at("new")).unwrap();
        assert_ne!(Sources::of(&settings), replaced);
    }
}
