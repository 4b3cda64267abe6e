//! Shims of a task that containerd does not know (any more).
//!
//! When its client dies in the middle of "create task", containerd gives up too: it ends the shim that
//! it has just started, or forgets it. The one takes a moment, in which the runtime still makes things
//! that nobody would remove; the other leaves the shim for ever (both seen on containerd 1.6).
//! A shim is known by its arguments: `-namespace NS -id ID`. No other process is ever signalled.

use std::fs;
use std::os::fd::OwnedFd;
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
        is_shim(&arguments, &record.namespace, record.id.as_str())
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
fn is_shim(arguments: &[u8], namespace: &str, id: &str) -> bool {
    let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
    let program = arguments.first().copied().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next();
    let has = |flag: &str, value: &str| {
        let mut pairs = arguments.windows(2);
        pairs.any(|pair| pair == [flag.as_bytes(), value.as_bytes()])
    };
    name.is_some_and(|name| name.starts_with(b"containerd-shim-"))
        && has("-namespace", namespace)
        && has("-id", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_program_its_namespace_and_its_id() {
        let shim = b"/usr/bin/containerd-shim-runc-v2\0-namespace\0n\0-id\0i\0-address\0/a\0";
        assert!(is_shim(shim, "n", "i"));
        assert!(!is_shim(shim, "n", "j"));
        assert!(!is_shim(shim, "m", "i"));
        assert!(!is_shim(b"/bin/vi\0-namespace\0n\0-id\0i\0", "n", "i"));
        assert!(!is_shim(b"", "n", "i"));
    }

    #[test]
    fn a_run_without_a_shim_has_none() {
        let record = Record::fixture("no-such-run");
        assert!(of(&record, Path::new("/proc")).is_empty());
    }
}
