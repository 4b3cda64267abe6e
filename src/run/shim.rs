//! Shims of a task that containerd does not know (any more).
//!
//! When its client dies in the middle of "create task", containerd gives up too: it ends the shim that
//! it has just started, or forgets it. The one takes a moment, in which the runtime still makes things
//! that nobody would remove; the other leaves the shim for ever (both seen on containerd 1.6).
//! A shim is known by its arguments: `-namespace NS -id ID`, and `-address`, which leads to the socket of the
//! run's containerd. No other process is ever signalled.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::libc;

use super::record::Record;
use crate::leash::pidfd;

/// A shim that runs.
#[derive(Debug)]
pub struct Shim {
    handle: OwnedFd,
    /// Its bundle, which is its working directory, is removed: containerd has no use for it.
    pub forgotten: bool,
}

impl Shim {
    /// Asks it to end: it then removes its socket.
    pub fn ask(&self) {
        self.send(libc::SIGTERM);
    }

    /// Ends it.
    pub fn kill(&self) {
        self.send(libc::SIGKILL);
    }

    fn send(&self, signal: i32) {
        // Whether it ends is looked at again.
        let _ = pidfd::signal(&self.handle, signal);
    }
}

/// The shims of the run's task; `proc` is where proc(5) is mounted.
pub fn of(record: &Record, proc: &Path) -> Vec<Shim> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| hold(pid, record, proc)).collect()
}

fn hold(pid: i32, record: &Record, proc: &Path) -> Option<Shim> {
    let directory = proc.join(pid.to_string());
    let is_ours = || {
        let arguments = fs::read(directory.join("cmdline")).unwrap_or_default();
        is_shim(&arguments, record)
    };
    if !is_ours() {
        return None;
    }
    let handle = pidfd::open(pid).ok()?;
    // Looked at again now that the pid cannot be another process's.
    is_ours().then(|| Shim {
        handle,
        forgotten: fs::metadata(directory.join("cwd")).is_err(),
    })
}

/// Arguments as in proc_pid_cmdline(5). containerd's shims are called so by its naming rule
/// (containerd, `runtime/v2/README.md`).
fn is_shim(arguments: &[u8], record: &Record) -> bool {
    let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
    let program = arguments.first().copied().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next();
    let value = |flag: &str| {
        let mut pairs = arguments.windows(2);
        let pair = pairs.find(|pair| pair.first() == Some(&flag.as_bytes()))?;
        pair.get(1).copied()
    };
    name.is_some_and(|name| name.starts_with(b"containerd-shim-"))
        && value("-namespace") == Some(record.namespace.as_bytes())
        && value("-id") == Some(record.id.as_str().as_bytes())
        && value("-address").is_none_or(|address| is_socket(address, &record.address))
}

/// Whether a shim's address is ours: the same words, or the same socket by another way. What cannot be
/// looked at, because containerd is not there, may be.
fn is_socket(shims: &[u8], ours: &str) -> bool {
    let ours = Path::new(ours.strip_prefix("unix://").unwrap_or(ours));
    let shims = Path::new(OsStr::from_bytes(shims));
    if shims == ours {
        return true;
    }
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (identity(shims), identity(ours)) {
        (Ok(one), Ok(other)) => one == other,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_program_its_namespace_and_its_id() {
        let shim = b"/usr/bin/containerd-shim-runc-v2\0-namespace\0test\0-id\0i\0-address\0/nowhere/containerd.sock\0";
        assert!(is_shim(shim, &Record::fixture("i")));
        assert!(!is_shim(shim, &Record::fixture("j")));
        let elsewhere = Record {
            namespace: "m".into(),
            ..Record::fixture("i")
        };
        assert!(!is_shim(shim, &elsewhere));
        assert!(!is_shim(
            b"/bin/vi\0-namespace\0test\0-id\0i\0",
            &Record::fixture("i")
        ));
        assert!(!is_shim(b"", &Record::fixture("i")));
    }

    #[test]
    fn a_shim_of_another_containerd_is_none() {
        let place = tempfile::tempdir().unwrap();
        let socket = |name: &str| {
            let path = place.path().join(name);
            fs::write(&path, "").unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (ours, theirs) = (socket("ours"), socket("theirs"));
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&ours, &link).unwrap();
        assert!(is_socket(ours.as_bytes(), &format!("unix://{ours}")));
        assert!(is_socket(link.as_os_str().as_bytes(), &ours));
        assert!(!is_socket(theirs.as_bytes(), &ours));
    }

    #[test]
    fn a_run_without_a_shim_has_none() {
        let record = Record::fixture("no-such-run");
        assert!(of(&record, Path::new("/proc")).is_empty());
    }
}
