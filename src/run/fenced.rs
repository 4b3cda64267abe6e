//! Mounts behind a fence: what the host path of a DAG's author leads to is settled here, once.
//!
//! The runtime mounts by path, some time after the path was checked. So what was checked is itself
//! mounted in the run directory (open_tree(2) of the descriptor that was looked at, not of its path), and
//! the runtime is given that. As soon as the container exists the mounts in the run directory are
//! released; cleanup does so too. All of it happens in containerd's mount namespace, which is where the
//! runtime looks and may not be ours (a unit with `PrivateTmp=`, for one).
//!
//! Nothing here may remove anything: [`RunDir::release_mounts`](super::state::RunDir) does.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::Pid;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::state::State;
use super::thread::on_a_thread;
use crate::containerd;
use crate::failure::{Context, Kind, Result};
use crate::fence::{Fence, Held, Missing};
use crate::plan::{MountKind, Plan};
use crate::spec::{Settled, SettledMounts};

/// One mount to settle.
struct Asked {
    number: usize,
    host: PathBuf,
    missing: Missing,
    fence: Fence,
}

/// Settles the mounts of `plan` for a run: mounts each in `dir`, which exists in containerd's mount
/// namespace too.
pub async fn mount(
    plan: &Plan,
    state: &State,
    address: &str,
    dir: PathBuf,
) -> Result<SettledMounts> {
    let asked = asked(plan);
    if asked.is_empty() {
        return Ok(SettledMounts::new());
    }
    let spared = spared(state, address);
    let containerd = containerd::process(address)?;
    fs::create_dir(&dir).or_fail(Kind::Host, || format!("cannot make {}", dir.display()))?;
    on_a_thread("mounts", move || {
        enter(containerd)?;
        let mount = |one: &Asked| {
            let held = one.hold(&spared)?;
            let at = dir.join(one.number.to_string());
            mount_at(&held, &at).or_fail(Kind::Host, || one.cannot())?;
            one.settled(&held, at)
        };
        asked.iter().map(mount).collect()
    })
    .await
}

/// Settles them for a bundle, which somebody else will run: as the paths lead now.
pub fn look(plan: &Plan, state: &State, address: &str) -> Result<SettledMounts> {
    let spared = spared(state, address);
    let look = |one: &Asked| {
        let held = one.hold(&spared)?;
        let real = held.real().to_owned();
        one.settled(&held, real)
    };
    asked(plan).iter().map(look).collect()
}

fn asked(plan: &Plan) -> Vec<Asked> {
    let asked = plan.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Fenced {
            number,
            host,
            make,
            fence,
        } => Some(Asked {
            number: *number,
            host: host.clone(),
            missing: if *make {
                Missing::Make
            } else {
                Missing::Refuse
            },
            fence: fence.clone(),
        }),
        _ => None,
    });
    asked.collect()
}

/// What this very run uses, wherever the operator has put it.
fn spared(state: &State, address: &str) -> Vec<PathBuf> {
    let socket = address.strip_prefix("unix://").unwrap_or(address);
    let [root, data] = state.directories().map(Path::to_owned);
    vec![socket.into(), root, data]
}

impl Asked {
    fn cannot(&self) -> String {
        format!("cannot mount {}", self.host.display())
    }

    fn hold(&self, spared: &[PathBuf]) -> Result<Held> {
        let held = self.fence.hold(&self.host, self.missing, spared);
        held.or_fail(Kind::Usage, || self.cannot())
    }

    /// Whatever the host restricts on its own mount stays restricted: a runtime that sets one flag of a
    /// bind mount clears those it is not told (runc before 1.2).
    fn settled(&self, held: &Held, source: PathBuf) -> Result<(usize, Settled)> {
        let found = fstatvfs(held).or_fail(Kind::Host, || self.cannot())?;
        let restrictions = [
            (FsFlags::ST_RDONLY, "ro"),
            (FsFlags::ST_NOSUID, "nosuid"),
            (FsFlags::ST_NODEV, "nodev"),
            (FsFlags::ST_NOEXEC, "noexec"),
        ];
        let flags = restrictions
            .into_iter()
            .filter(|(flag, _)| found.flags().contains(*flag))
            .map(|(_, word)| word)
            .collect();
        Ok((self.number, Settled { source, flags }))
    }
}

/// Takes this thread, which must end soon, to where containerd looks for paths.
fn enter(containerd: Pid) -> Result<()> {
    let cannot =
        || format!("cannot enter the mount namespace of containerd (process {containerd})");
    let namespace = File::open(format!("/proc/{containerd}/ns/mnt")).or_fail(Kind::Host, cannot)?;
    // Root and working directory are shared between threads, and each namespace has its own.
    unshare(CloneFlags::CLONE_FS)
        .and_then(|()| setns(namespace, CloneFlags::CLONE_NEWNS))
        .or_fail(Kind::Host, cannot)
}

/// Mounts what is held, with what is mounted below it, on a new file or directory `at`.
fn mount_at(held: &Held, at: &Path) -> Result<()> {
    let cannot = || format!("cannot use {}", at.display());
    if held.is_directory().or_fail(Kind::Host, cannot)? {
        fs::create_dir(at).or_fail(Kind::Host, cannot)?;
    } else {
        File::create_new(at).or_fail(Kind::Host, cannot)?;
    }
    let whole = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(held.as_fd(), "", whole)
        .and_then(|tree| move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH))
        .or_fail(Kind::Host, cannot)
}
