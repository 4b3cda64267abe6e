//! The output of a run that somebody else has begun, on our own stdout and stderr.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;

use tokio::sync::oneshot::{self, Receiver};

use crate::failure::{Context, Kind, Result};
use crate::living::over::end_of_log;
use crate::log::follow::{Ending, Following};
use crate::log::select::{Times, Wanted};
use crate::log::show::{Showing, Shown};
use crate::run::seen::Seen;
use crate::run::stdio::{Ended, copy};

/// What is being shown, in a thread.
#[derive(Debug)]
pub struct Output {
    shown: Option<Receiver<io::Result<Shown>>>,
    /// Of a log: where it is, and how it is told that nothing more comes.
    log: Option<(PathBuf, Ending)>,
}

impl Output {
    /// What a terminal shows, as it comes out of `screen`.
    pub fn of_screen(mut screen: File) -> Result<Self> {
        let on_stdout = move || {
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            Ok(match copy(&mut screen, stdout) {
                Ended::Source => Shown::All,
                Ended::Target => Shown::Unread,
            })
        };
        Self::begin(on_stdout, None)
    }

    /// The log of `run`, from now on; a failure says why it has none.
    pub fn of_log(run: &Seen) -> Result<Self> {
        let log = run.log()?;
        let cannot = || format!("cannot read the log {}", log.display());
        let nothing_yet = Wanted {
            tail: Some(0),
            ..Wanted::default()
        };
        let (following, ending) = Following::begin(&log).or_fail(Kind::Host, cannot)?;
        let showing = Showing::of(&log, (nothing_yet, Times::Hidden), Some(following));
        let showing = showing.or_fail(Kind::Host, cannot)?;
        Self::begin(move || showing.show(), Some((log, ending)))
    }

    fn begin(
        show: impl FnOnce() -> io::Result<Shown> + Send + 'static,
        log: Option<(PathBuf, Ending)>,
    ) -> Result<Self> {
        let (done, shown) = oneshot::channel();
        thread::Builder::new()
            .name("output".into())
            // Nobody may be waiting any more.
            .spawn(move || drop(done.send(show())))
            .or_fail(Kind::Host, || "cannot start a thread")?;
        Ok(Self {
            shown: Some(shown),
            log,
        })
    }

    /// Whether it is a terminal's.
    pub fn is_screen(&self) -> bool {
        self.log.is_none()
    }

    /// Resolves when nothing more is shown: once.
    pub async fn shown(&mut self) -> io::Result<Shown> {
        if let Some(shown) = &mut self.shown {
            let said = shown.await;
            self.shown = None;
            if let Ok(said) = said {
                return said;
            }
        }
        std::future::pending().await
    }

    /// The run is over: resolves when the rest of its output is shown, or cannot be.
    pub async fn finish(mut self) {
        if let Some((log, ending)) = self.log.take() {
            end_of_log(log, &ending).await;
        }
        if let Some(shown) = self.shown {
            // Its end is known, whatever becomes of its last lines.
            let _ = shown.await;
        }
    }
}
