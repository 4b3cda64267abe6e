//! `airtight parse --serve` as its client sees it.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde_json::{Value, json};

use super::processes::LIMIT;
use super::runs::{self, Run};
use super::{Host, Output};

/// What runs in the containers; its jobs say what to do.
const PROGRAM: &str = include_str!("../parse/program.py");

/// A keeper, and a directory for DAG files.
pub struct Keeper {
    run: Option<Run>,
    socket: Option<OwnedFd>,
    dags: PathBuf,
}

/// One file that is being parsed.
pub struct Job {
    control: OwnedFd,
    output: File,
}

fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

impl Keeper {
    /// Of the programs in `python:test`.
    pub fn of(host: &Host) -> Self {
        Self::with(host, &[], |_| {})
    }

    /// With further flags, and another environment.
    pub fn with(host: &Host, flags: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let dags = host.path("dags");
        std::fs::create_dir_all(&dags).unwrap();
        std::fs::write(host.path("program.py"), PROGRAM).unwrap();
        let (ours, theirs) = pair();
        let mut command = host.command(&[&["parse", "--serve", "9"], flags].concat());
        let cgroups = [
            (
                "AIRFLOW__DOCKER_RUNTIME__DOCKER_CGROUP_SUBPATH",
                host.subpath(),
            ),
            ("AIRFLOW__DOCKER_RUNTIME__IMAGE", "python:test".to_owned()),
        ];
        command.envs(cgroups);
        change(&mut command);
        let mut command = runs::after("exec 9<&0 0</dev/null", &command);
        let run = Run::start(command.stdin(theirs));
        drop(command);
        Self {
            run: Some(run),
            socket: Some(ours),
            dags,
        }
    }

    /// A DAG file with this metadata.
    pub fn file(&self, name: &str, metadata: &str) -> PathBuf {
        let file = self.dags.join(name);
        std::fs::write(&file, "").unwrap();
        let beside = self.dags.join(format!("{name}.metadata.yaml"));
        std::fs::write(beside, metadata).unwrap();
        file
    }

    /// What has to be asked for a file whose fork does what `word` says.
    pub fn order(&self, file: &Path, word: &str) -> Value {
        let program = self.dags.with_file_name("program.py");
        json!({
            "file": file,
            "program": "/program.py",
            "mounts": [format!("type=bind,source={},target=/program.py,readonly", program.display())],
            "job": {"do": word},
        })
    }

    /// Asks for it.
    pub fn ask(&self, order: &Value) -> Job {
        let (control, theirs) = pair();
        let (output, writer) = std::io::pipe().unwrap();
        self.send(
            order.to_string().as_bytes(),
            &[theirs.as_fd(), writer.as_fd()],
        );
        Job {
            control,
            output: File::from(OwnedFd::from(output)),
        }
    }

    /// Has `file` do what `word` says.
    pub fn begin(&self, file: &Path, word: &str) -> Job {
        self.ask(&self.order(file, word))
    }

    /// Sends any packet.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        assert!(
            beside.push(SendAncillaryMessage::ScmRights(descriptors)) || descriptors.is_empty()
        );
        let socket = self.socket.as_ref().unwrap();
        sendmsg(
            socket,
            &[IoSlice::new(bytes)],
            &mut beside,
            SendFlags::NOSIGNAL,
        )
        .unwrap();
    }

    /// Closes the socket and waits for the end.
    pub fn end(mut self) -> Output {
        self.socket = None;
        self.run.take().unwrap().end()
    }

    /// Kills it at once.
    pub fn destroy(mut self) {
        self.run.take().unwrap().destroy();
    }
}

impl Job {
    /// How it ended.
    #[track_caller]
    pub fn end(&self) -> Value {
        let bytes = receive(&self.control).expect("the keeper answers");
        assert_eq!(receive(&self.control), None, "one packet, and then the end");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// What its fork wrote; the job has ended well.
    #[track_caller]
    pub fn output(mut self) -> String {
        assert_eq!(self.end(), json!({"code": 0}));
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until its fork has begun.
    #[track_caller]
    pub fn begun(&mut self) {
        let mut begun = [0; 5];
        wait(&self.output);
        self.output.read_exact(&mut begun).unwrap();
        assert_eq!(&begun, b"begun");
    }

    /// Nobody waits for it any more; true when nothing of it is left.
    pub fn give_up(self) -> File {
        self.output
    }
}

/// Waits for something to read, or the end.
#[track_caller]
fn wait(from: impl AsFd) {
    let timeout = Timespec::try_from(Duration::from_secs(LIMIT.as_secs())).unwrap();
    let mut polled = [PollFd::new(&from, PollFlags::IN)];
    assert_eq!(poll(&mut polled, Some(&timeout)), Ok(1), "nothing came");
}

#[track_caller]
fn receive(socket: &OwnedFd) -> Option<Vec<u8>> {
    wait(socket);
    let mut bytes = vec![0; 1 << 18];
    let mut beside = RecvAncillaryBuffer::new(&mut []);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let length = recvmsg(socket, &mut parts, &mut beside, RecvFlags::empty())
        .unwrap()
        .bytes;
    bytes.truncate(length);
    (length > 0).then_some(bytes)
}

/// Waits until nobody can write to `file` any more.
#[track_caller]
pub fn closed(mut file: File) {
    wait(&file);
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
}
