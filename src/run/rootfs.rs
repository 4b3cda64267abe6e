//! Looking into a snapshot before the container exists: the user of the image, and what its volumes
//! start with.
//!
//! The snapshot is mounted read-only in a mount namespace that belongs to one thread and ends with
//! it, so that nothing is left mounted whenever we die.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::thread::on_a_thread;
use crate::containerd::types::Mount;
use crate::failure::{Context, Failure, Kind, Result};
use crate::spec::rootfs_files;
use crate::spec::user::{self, NameOrId, ResolvedUser, UserSpec};

/// What is wanted of the snapshot.
pub struct Question {
    /// As containerd says the snapshot is mounted.
    pub mounts: Vec<Mount>,
    /// An empty directory.
    pub at: PathBuf,
    /// Whom to look up.
    pub user: UserSpec,
    /// Further groups to look up.
    pub group_add: Vec<NameOrId>,
    /// Directories of the image, and what on the host becomes a copy of each.
    pub copies: Vec<(String, PathBuf)>,
}

/// Mounts the snapshot, looks the user up and copies.
pub async fn look_into(question: Question) -> Result<ResolvedUser> {
    on_a_thread("rootfs", move || look(&question)).await
}

fn look(question: &Question) -> Result<ResolvedUser> {
    let cannot = || "cannot look into the image's file system";
    unshare(CloneFlags::CLONE_NEWNS).or_fail(Kind::Host, cannot)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).or_fail(Kind::Host, cannot)?;
    for one in &question.mounts {
        read_only(one, &question.at).or_fail(Kind::Host, cannot)?;
    }
    let user = user::resolve(
        &question.user,
        &question.group_add,
        &rootfs_files::read_accounts(&question.at)?,
    )?;
    for (inside, host) in &question.copies {
        copy_directory(&question.at, inside, host)?;
    }
    Ok(user)
}

/// Mounts one of containerd's mounts without its writable layer.
fn read_only(one: &Mount, at: &Path) -> nix::Result<()> {
    let option = |name: &str| {
        one.options
            .iter()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    };
    match (one.r#type.as_str(), option("lowerdir")) {
        // An overlay without a writable layer needs two layers; one is shown as it is.
        ("overlay", Some(lower)) if !lower.contains(':') => bind(lower, at),
        ("overlay", Some(lower)) => {
            let (parent, lower) = relative_layers(lower);
            nix::unistd::chdir(&parent)?;
            let data = format!("lowerdir={lower}");
            mount(
                Some("overlay"),
                at,
                Some("overlay"),
                MsFlags::MS_RDONLY,
                Some(data.as_str()),
            )
        }
        ("bind", _) => bind(&one.source, at),
        (kind, _) => {
            let known = |option: &&String| !matches!(option.as_str(), "rw" | "ro");
            let data: Vec<&str> = one
                .options
                .iter()
                .filter(known)
                .map(String::as_str)
                .collect();
            mount(
                Some(one.source.as_str()),
                at,
                Some(kind),
                MsFlags::MS_RDONLY,
                Some(data.join(",").as_str()),
            )
        }
    }
}

fn bind(source: &str, at: &Path) -> nix::Result<()> {
    mount(
        Some(source),
        at,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
}

/// The directory that all layers share, and the layers relative to it: mount(2) takes a page of
/// options, less than many layers need with full paths. (The working directory is this thread's own
/// after unshare.)
fn relative_layers(lower: &str) -> (PathBuf, String) {
    let layers: Vec<&Path> = lower.split(':').map(Path::new).collect();
    let mut parent = layers
        .first()
        .and_then(|layer| layer.parent())
        .unwrap_or(Path::new("/"));
    while !layers.iter().all(|layer| layer.starts_with(parent)) {
        parent = parent.parent().unwrap_or(Path::new("/"));
    }
    let relative = layers.iter().map(|layer| {
        layer
            .strip_prefix(parent)
            .unwrap_or(layer)
            .to_string_lossy()
    });
    (parent.to_owned(), relative.collect::<Vec<_>>().join(":"))
}

/// Makes `host` a copy of what the image has at `inside`, as docker fills an anonymous volume; an empty
/// directory if it has nothing there.
fn copy_directory(root: &Path, inside: &str, host: &Path) -> Result<()> {
    let cannot = || format!("cannot copy {inside} of the image to {}", host.display());
    make_volume(host).or_fail(Kind::Host, cannot)?;
    let Some(source) = open_inside(root, inside).or_fail(Kind::Image, cannot)? else {
        return Ok(());
    };
    // Ownership, links, devices and extended attributes: what cp(1) is for.
    let output = Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .arg(format!("/proc/self/fd/{}/.", source.as_raw_fd()))
        .arg(host)
        .stdin(Stdio::null())
        .output()
        .or_fail(Kind::Host, || "cannot run cp")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::host(cannot()).because(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// The directory itself is open to all, whatever the umask: the payload may be any user. What is above
/// is root's alone.
fn make_volume(host: &Path) -> io::Result<()> {
    let above = host.parent().unwrap_or(host);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(above)?;
    DirBuilder::new().recursive(true).create(host)?;
    fs::set_permissions(host, Permissions::from_mode(0o755))
}

/// The directory `path` of the image, wherever links in it lead inside; `None` when there is none.
/// The descriptor is left open for the child that copies.
fn open_inside(root: &Path, path: &str) -> nix::Result<Option<OwnedFd>> {
    let root = nix::fcntl::open(
        root,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    match openat2(&root, path, how) {
        Ok(found) => Ok(Some(found)),
        Err(nix::errno::Errno::ENOENT) => Ok(None),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_open_inside_and_closed_to_other_users_of_the_host() {
        let data = tempfile::tempdir().unwrap();
        let volume = data.path().join("volumes/a/0");
        make_volume(&volume).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&volume), 0o755);
        assert_eq!(mode(&data.path().join("volumes/a")), 0o700);
        assert_eq!(mode(&data.path().join("volumes")), 0o700);
    }

    #[test]
    fn layers_are_named_relative_to_what_they_share() {
        let (parent, layers) = relative_layers("/s/12/fs:/s/9/fs");
        assert_eq!(
            (parent, layers.as_str()),
            (PathBuf::from("/s"), "12/fs:9/fs")
        );
        let (parent, layers) = relative_layers("/a/fs:/b/fs");
        assert_eq!((parent, layers.as_str()), (PathBuf::from("/"), "a/fs:b/fs"));
    }
}
