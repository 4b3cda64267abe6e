//! Our own terminal while the payload has one inside: raw mode, window size, and the copying between
//! both.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use containerd_client::services::v1::ResizePtyRequest;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

use super::stdio::{Output, copy_in_thread};
use crate::containerd::{self, Client};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::leash::WindowSize;

/// The owner's side of the payload's terminal. Dropping it gives our own terminal its mode back.
pub struct Terminal {
    master: Master,
    _raw: Option<RawMode>,
}

/// Who has the terminal's other side.
enum Master {
    /// We: the init made it and gave it to us.
    Ours(OwnedFd),
    /// The shim of this task; empty for its first process, else the name of another.
    Shim(Client, ContainerId, String),
}

impl Terminal {
    /// Connects the payload's terminal to the screen of `output` and, where wanted, our stdin. The copy ends
    /// when nobody inside uses the terminal any more.
    pub fn connect(master: OwnedFd, interactive: bool, output: &mut Output) -> Result<Self> {
        let cannot = || "cannot connect the payload's terminal";
        let raw = raw_mode(interactive)?;
        if interactive {
            let keys = io::stdin().as_fd().try_clone_to_owned();
            let keys =
                keys.and_then(|keys| Ok((File::from(keys), File::from(master.try_clone()?))));
            keys.and_then(|(from, to)| copy_in_thread(from, to))
                .or_fail(Kind::Host, cannot)?;
        }
        let screen = match output.screen.take() {
            Some(screen) => screen,
            None => File::from(
                io::stdout()
                    .as_fd()
                    .try_clone_to_owned()
                    .or_fail(Kind::Host, cannot)?,
            ),
        };
        let shown = master.try_clone().or_fail(Kind::Host, cannot)?;
        output
            .relay_terminal(File::from(shown), screen)
            .or_fail(Kind::Host, cannot)?;
        Ok(Self {
            master: Master::Ours(master),
            _raw: raw,
        })
    }

    /// The terminal that the runtime made for task `id` and the shim copies from and to FIFOs; its size
    /// can be set once the task is started.
    pub fn of_task(client: &Client, id: &ContainerId, interactive: bool) -> Result<Self> {
        Self::of_process(client, id, "", interactive)
    }

    /// The same for a process that was started beside the task's first.
    pub fn of_process(
        client: &Client,
        id: &ContainerId,
        process: &str,
        interactive: bool,
    ) -> Result<Self> {
        Ok(Self {
            master: Master::Shim(client.clone(), id.clone(), process.to_owned()),
            _raw: raw_mode(interactive)?,
        })
    }

    /// That of a run whose owner gave us `master`; our own terminal, where we have one, hands every key
    /// through while this lives.
    pub fn attached(master: OwnedFd, interactive: bool) -> Result<Self> {
        Ok(Self {
            master: Master::Ours(master),
            _raw: raw_mode(interactive)?,
        })
    }

    /// Its other side, where we have it.
    pub fn other_side(&self) -> Option<BorrowedFd<'_>> {
        match &self.master {
            Master::Ours(master) => Some(master.as_fd()),
            Master::Shim(..) => None,
        }
    }

    /// Has the program at it draw all of it again: its size changes twice, as docker does it.
    pub fn redraw(&self) {
        if let (Master::Ours(master), Some(size)) = (&self.master, size()) {
            let taller = Winsize {
                ws_row: size.ws_row.saturating_add(1),
                ..size
            };
            // One that is gone shows nothing.
            let _ = tcsetwinsize(master, taller);
        }
        self.resize();
    }

    /// Gives the payload's terminal the size of ours.
    pub fn resize(&self) {
        let Some(size) = size() else {
            return;
        };
        // A payload that has just ended has no terminal to resize.
        match &self.master {
            Master::Ours(master) => drop(tcsetwinsize(master, size)),
            Master::Shim(client, id, process) => {
                let (client, id, process) = (client.clone(), id.clone(), process.clone());
                tokio::spawn(async move { drop(resize_task(&client, &id, process, size).await) });
            }
        }
    }
}

async fn resize_task(
    client: &Client,
    id: &ContainerId,
    process: String,
    size: Winsize,
) -> containerd::Result<()> {
    let request = ResizePtyRequest {
        container_id: id.to_string(),
        exec_id: process,
        width: size.ws_col.into(),
        height: size.ws_row.into(),
    };
    let mut tasks = client.tasks();
    let what = ("resize the terminal of task", id.as_str());
    client
        .call(what, request, |request| tasks.resize_pty(request))
        .await?;
    Ok(())
}

/// Said where -i and -t are given and our stdin is no terminal.
pub fn none() -> Failure {
    Failure::usage("-i with -t needs a terminal, and stdin is none")
        .hint("leave out -t when input comes from a pipe or file")
}

/// What the payload's terminal starts with; without a terminal of ours, the size of old.
pub fn window_size() -> WindowSize {
    let size = size().unwrap_or(Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    });
    WindowSize {
        rows: size.ws_row,
        columns: size.ws_col,
    }
}

fn size() -> Option<Winsize> {
    tcgetwinsize(io::stdout())
        .or_else(|_| tcgetwinsize(io::stdin()))
        .ok()
}

fn raw_mode(wanted: bool) -> Result<Option<RawMode>> {
    if !wanted {
        return Ok(None);
    }
    RawMode::enter().or_fail(Kind::Host, || "cannot use our terminal")
}

/// Our terminal hands every key through while this lives.
#[derive(Debug)]
struct RawMode(Termios);

impl RawMode {
    fn enter() -> nix::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore. One that is not read is not waited for.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
