//! A pseudo-terminal of the test's own, and an airtight whose controlling terminal it is.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{LocalFlags, tcgetattr};
use rustix::termios::{Winsize, tcsetwinsize};

use super::processes::LIMIT;
use super::runs::{self, Kept};

/// Both sides of a new pseudo-terminal, which no other process gets by accident.
pub fn pair() -> (File, OwnedFd) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = File::options()
        .read(true)
        .write(true)
        .custom_flags(flags.bits())
        .open(ptsname_r(&master).unwrap())
        .unwrap();
    (File::from(OwnedFd::from(master)), slave.into())
}

/// A command at a terminal, and we at its keyboard and screen.
pub struct Session {
    child: Kept,
    master: File,
    /// Kept open, so that its mode can be looked at after the command's end.
    slave: OwnedFd,
    seen: String,
}

impl Session {
    /// Starts `command` as leader of a session that has a new terminal of `rows` and `columns`.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let (master, slave) = pair();
        tcsetwinsize(&master, size(rows, columns)).unwrap();
        let leader = runs::after("set -- setsid --ctty --wait \"$@\"", command);
        let mut leader = runs::hearing(&leader);
        let copy = || slave.try_clone().unwrap();
        let child = leader.stdin(copy()).stdout(copy()).stderr(copy()).spawn();
        Self {
            child: Kept(child.expect("setsid can be started")),
            master,
            slave,
            seen: String::new(),
        }
    }

    /// Types.
    pub fn keys(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Changes the terminal's size; the kernel tells the foreground process.
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, size(rows, columns)).unwrap();
    }

    /// Waits until `text` is on the screen, after what was waited for before; what came up to it.
    #[track_caller]
    pub fn sees(&mut self, text: &str) -> String {
        loop {
            if let Some(start) = self.seen.find(text) {
                let rest = self.seen.split_off(start + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let limit = PollTimeout::try_from(LIMIT).unwrap();
            let mut watched = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let came = poll(&mut watched, limit);
            assert_ne!(came, Ok(0), "no {text:?} came, only {:?}", self.seen);
            let mut buffer = [0; 4096];
            let read = self.master.read(&mut buffer).unwrap();
            self.seen
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    /// Whether the terminal hands every key through.
    pub fn is_raw(&self) -> bool {
        let mode = tcgetattr(&self.slave).unwrap();
        !mode
            .local_flags
            .intersects(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    /// The process id of the command.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.0.id()).unwrap()
    }

    /// Takes the terminal away, as a closed window does, and waits for the end: the exit code.
    #[track_caller]
    pub fn hang_up(self) -> i32 {
        let Self {
            mut child,
            master,
            slave,
            ..
        } = self;
        drop((master, slave));
        runs::code(runs::wait(&mut child.0))
    }

    /// Waits for the command's end: its exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        runs::code(runs::wait(&mut self.child.0))
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
