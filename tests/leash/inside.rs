//! One init with its leash, and what the tests do with it.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use airtight::leash::{self, Event, Exit, Leash, Listener, Payload, StartFailure, program};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;

/// Where init runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// PID 1 of a new pid namespace, with a /proc of its own.
    PidOne,
    /// An ordinary process of our pid namespace.
    Ordinary,
}

/// Every place, for tests of what holds in both.
pub const PLACES: [Place; 2] = [Place::PidOne, Place::Ordinary];

/// While one thread writes an executable no other may fork: the kernel executes no file that is
/// open for writing anywhere.
static FORK: Mutex<()> = Mutex::new(());

/// A container without a container: init, connected.
pub struct Inside {
    pub leash: Leash,
    // Dropped after the leash, whose break ends it.
    init: Awaited,
    _directory: TempDir,
}

/// A process that is waited for, even when its test has failed.
pub struct Awaited(Child);

impl Drop for Awaited {
    fn drop(&mut self) {
        let _ = self.0.wait();
    }
}

/// The end of a pipe the payload writes to.
pub type Output = BufReader<pipe::Receiver>;

impl Inside {
    /// An init in `place` that is to start `command`.
    pub async fn new(place: Place, command: &[&str]) -> Self {
        Self::wrapped(place, &[], command).await
    }

    /// The same, itself started by `wrapper`.
    pub async fn wrapped(place: Place, wrapper: &[&str], command: &[&str]) -> Self {
        let unshare: &[&str] = match place {
            Place::PidOne => &["unshare", "--pid", "--fork", "--mount-proc"],
            Place::Ordinary => &[],
        };
        Self::spawned(&[unshare, wrapper].concat(), command).await
    }

    /// An init started by `wrapper` only.
    pub async fn spawned(wrapper: &[&str], command: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (leash, init) = start_init(directory.path(), wrapper, command).await;
        Self {
            leash,
            init: Awaited(init),
            _directory: directory,
        }
    }

    /// Starts the payload with these descriptors.
    pub fn start(&self, descriptors: Vec<(i32, OwnedFd)>) {
        let terminal = None;
        self.leash
            .start(Payload {
                terminal,
                descriptors,
            })
            .unwrap();
    }

    /// Starts the payload with /dev/null as input and a pipe as output.
    pub fn start_with_output(&self) -> Output {
        let (output, theirs) = output();
        self.start(vec![(0, null()), (1, theirs), (2, stderr())]);
        output
    }

    /// The next event, which there must be.
    pub async fn event(&mut self) -> Event {
        let event = soon(self.leash.next()).await.unwrap();
        event.expect("the leash broke")
    }

    /// The payload must have started.
    pub async fn started(&mut self) -> i32 {
        match self.event().await {
            Event::Started { pid } => pid,
            other => panic!("expected Started: {other:?}"),
        }
    }

    /// The payload must have ended.
    pub async fn exited(&mut self) -> Exit {
        match self.event().await {
            Event::Exited(exit) => exit,
            other => panic!("expected Exited: {other:?}"),
        }
    }

    /// The payload must not have started.
    pub async fn start_failed(&mut self) -> StartFailure {
        match self.event().await {
            Event::StartFailed(failure) => failure,
            other => panic!("expected StartFailed: {other:?}"),
        }
    }

    /// Waits for init's end and returns its exit code.
    pub async fn exit_code(mut self) -> i32 {
        assert!(soon(self.leash.next()).await.unwrap().is_none());
        soon(self.leash.gone()).await.unwrap();
        self.init.0.wait().unwrap().code().unwrap()
    }

    /// Breaks the leash and returns init's exit code.
    pub async fn abandon(self) -> i32 {
        let Self {
            leash, mut init, ..
        } = self;
        drop(leash);
        let ended = tokio::task::spawn_blocking(move || init.0.wait());
        soon(ended).await.unwrap().unwrap().code().unwrap()
    }
}

/// Writes init into `directory`, starts it by way of `wrapper`, and takes up its leash.
pub async fn start_init(directory: &Path, wrapper: &[&str], command: &[&str]) -> (Leash, Child) {
    let listener = Listener::bind(&directory.join(leash::SOCKET)).unwrap();
    let mut init = {
        let _alone = FORK.lock().unwrap();
        let program = program::write_into(directory).unwrap();
        // Any uid may have to reach it.
        std::fs::set_permissions(
            directory,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let program = program.to_str().unwrap();
        let line = [wrapper, &[program], command].concat();
        Command::new(line[0])
            .args(&line[1..])
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    };
    match soon(listener.accept()).await {
        Ok(leash) => (leash, init),
        Err(why) => panic!("{why}; init: {:?}", init.try_wait()),
    }
}

/// The whole output and init's exit code of a payload that needs nothing else.
pub async fn run(mut inside: Inside) -> (String, i32) {
    let mut output = inside.start_with_output();
    let text = rest(&mut output).await;
    inside.started().await;
    inside.exited().await;
    (text, inside.exit_code().await)
}

/// One line of the payload's, without its end.
pub async fn line(output: &mut Output) -> String {
    let mut line = String::new();
    soon(output.read_line(&mut line)).await.unwrap();
    line.trim_end().to_owned()
}

/// Everything until nobody can write any more: all who held the pipe are dead or closed it.
pub async fn rest(output: &mut Output) -> String {
    let mut text = String::new();
    soon(output.read_to_string(&mut text)).await.unwrap();
    text
}

/// A pipe: our end, and the one for the payload.
pub fn output() -> (Output, OwnedFd) {
    let (ours, theirs) = io::pipe().unwrap();
    let ours = pipe::Receiver::from_owned_fd(ours.into()).unwrap();
    (BufReader::new(ours), theirs.into())
}

/// /dev/null.
pub fn null() -> OwnedFd {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap()
        .into()
}

/// The test's own standard error.
pub fn stderr() -> OwnedFd {
    io::stderr().as_fd().try_clone_to_owned().unwrap()
}

/// What must happen, with a limit so that a broken promise fails instead of hanging.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), event)
        .await
        .expect("it did not happen")
}
