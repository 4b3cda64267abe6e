//! A containerd of one test's own, which it may stop and end without harm to the others.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::processes;
use super::runs::{self, Kept};

/// `scripts/with-containerd` around a command that waits for us.
pub struct Containerd {
    script: Kept,
    dir: PathBuf,
}

impl Containerd {
    /// Starts it.
    pub fn start() -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut script = Command::new(scripts.join("with-containerd"))
            .args(["sh", "-c", "echo $AIRTIGHT_TEST_DIR; exec cat >&2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("with-containerd can be started");
        let mut stdout = File::from(OwnedFd::from(script.stdout.take().unwrap()));
        let dir = PathBuf::from(runs::line(&mut stdout));
        assert!(dir.is_absolute(), "with-containerd did not start");
        Self {
            script: Kept(script),
            dir,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> PathBuf {
        self.dir.join("c.sock")
    }

    /// Sends containerd itself a signal.
    pub fn signal(&self, signal: Signal) {
        let config = self.dir.join("containerd.toml");
        processes::signal(processes::with_argument(config.to_str().unwrap()), signal);
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.signal(Signal::SIGCONT);
        drop(self.script.0.stdin.take());
        if !std::thread::panicking() {
            assert!(runs::wait(&mut self.script.0).success());
        }
    }
}
