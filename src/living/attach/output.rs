//! The output of a run that somebody else has begun, on our own stdout and stderr.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread;

use tokio::sync::oneshot::{self, Receiver};

use crate::failure::{Context, Kind, Result};
use crate::log::select::{Times, Wanted};
use crate::log::show::{Showing, Shown};
use crate::run::seen::Seen;
use crate::run::stdio::{Ended, copy};

/// Where it comes from, and from where on.
pub enum Source {
    /// What its terminal shows.
    Screen(File),
    /// Its log, to which more comes as long as its owner lives.
    Log(Box<Showing>),
}

impl Source {
    /// The log of `run`, from now on; a failure says why it has none.
    pub fn log(run: &Seen) -> Result<Self> {
        let log = run.log()?;
        let nothing_yet = Wanted {
            tail: Some(0),
            ..Wanted::default()
        };
        let showing = run
            .follow(&log)
            .and_then(|following| Showing::of(&log, (nothing_yet, Times::Hidden), Some(following)));
        let showing = showing.or_fail(Kind::Host, || {
            format!("cannot read the log {}", log.display())
        })?;
        Ok(Self::Log(Box::new(showing)))
    }

    /// Shows it, in a thread; resolves at its end, or when nobody reads it any more.
    pub fn show(self) -> Result<Receiver<io::Result<Shown>>> {
        let (done, shown) = oneshot::channel();
        thread::Builder::new()
            .name("output".into())
            .spawn(move || {
                // Nobody may be waiting any more.
                let _ = done.send(match self {
                    Self::Screen(screen) => on_stdout(screen),
                    Self::Log(showing) => showing.show(),
                });
            })
            .or_fail(Kind::Host, || "cannot start a thread")?;
        Ok(shown)
    }
}

fn on_stdout(mut screen: File) -> io::Result<Shown> {
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(match copy(&mut screen, stdout) {
        Ended::Source => Shown::All,
        Ended::Target => Shown::Unread,
    })
}
