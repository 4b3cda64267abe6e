//! A containerd of one test's own, which it may stop, end and start again without harm to the others.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::processes;
use super::runs::{self, Kept};

/// `scripts/with-containerd` around a command that waits for us.
pub struct Containerd {
    script: Kept,
    dir: PathBuf,
    again: Vec<Kept>,
}

impl Containerd {
    /// Starts it.
    pub fn start() -> Self {
        Self::started_by(&mut Self::script())
    }

    /// Starts it with everything it has in `dir`.
    pub fn start_in(dir: &Path) -> Self {
        Self::started_by(Self::script().env("TMPDIR", dir))
    }

    fn script() -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        Command::new(scripts.join("with-containerd"))
    }

    fn started_by(script: &mut Command) -> Self {
        let mut script = script
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
            again: Vec::new(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> PathBuf {
        self.dir.join("c.sock")
    }

    /// Its process.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        processes::find_with_argument(&self.config()).expect("containerd runs")
    }

    fn config(&self) -> String {
        let config = self.dir.join("containerd.toml");
        config.display().to_string()
    }

    /// Sends containerd itself a signal.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// Kills it (SIGKILL); what is returned starts it again.
    pub fn kill(&mut self) -> Command {
        let pid = self.pid();
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let mut again = Command::new(fs::read_link(proc.join("exe")).unwrap());
        let log = File::options()
            .append(true)
            .open(self.dir.join("containerd.log"));
        let log = log.unwrap();
        again
            .args(words(&proc.join("cmdline")).skip(1))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        for variable in words(&proc.join("environ")) {
            let mut parts = variable.as_bytes().splitn(2, |byte| *byte == b'=');
            let mut part = || OsStr::from_bytes(parts.next().unwrap_or_default());
            again.env(part(), part());
        }
        processes::signal(pid, Signal::SIGKILL);
        processes::until("containerd is dead", || !proc.join("exe").exists());
        // The one that was started again is our own child.
        self.again.clear();
        again
    }

    /// Starts it again after [`Containerd::kill`]; it serves when this returns.
    pub fn start_again(&mut self, mut command: Command) {
        let child = command.spawn().expect("containerd can be started");
        self.again.push(Kept(child));
        let address = self.address();
        processes::until("containerd listens", || {
            UnixStream::connect(&address).is_ok()
        });
    }
}

/// What is separated by NUL in a file of proc(5).
fn words(path: &Path) -> impl Iterator<Item = OsString> {
    let mut bytes = fs::read(path).unwrap();
    bytes.pop();
    let words = bytes.split(|byte| *byte == 0);
    let words: Vec<_> = words
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    words.into_iter()
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Some(pid) = processes::find_with_argument(&self.config()) {
            processes::signal(pid, Signal::SIGCONT);
        }
        drop(self.script.0.stdin.take());
        if !std::thread::panicking() {
            assert!(runs::wait(&mut self.script.0).success());
        }
    }
}
