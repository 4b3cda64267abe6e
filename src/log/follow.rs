//! Being told that a log has grown, without looking again and again.
//!
//! A thread waits in the kernel for changes in the directory (inotify(7)). That nothing more will come is told by
//! whoever knows.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::SystemTime;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// What happened to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// There may be more in it.
    Grown,
    /// Nothing more will come.
    Ended,
}

/// Tells that a log has ended: what is in it by then is still read.
#[derive(Debug)]
pub struct Ending(Sender<News>);

impl Ending {
    /// Tells it.
    pub fn tell(&self) {
        // Nobody may be listening any more.
        let _ = self.0.send(News::Ended);
    }
}

/// The news of one log.
pub struct Following(Receiver<News>);

impl Following {
    /// Of the log in `dir`; it ends when that is told.
    pub fn begin(dir: &Path) -> io::Result<(Self, Ending)> {
        let (sender, receiver) = channel();
        let watch = inotify::init(CreateFlags::CLOEXEC)?;
        inotify::add_watch(&watch, dir, WatchFlags::MODIFY | WatchFlags::CREATE)?;
        let grown = sender.clone();
        thread::Builder::new()
            .name("log".into())
            .spawn(move || tell_changes(&watch, &grown))?;
        Ok((Self(receiver), Ending(sender)))
    }

    /// The next news, or that it is `until`.
    pub fn next(&self, until: Option<SystemTime>) -> News {
        let first = match until {
            None => self.0.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => {
                let left = until.duration_since(SystemTime::now());
                self.0.recv_timeout(left.unwrap_or_default())
            }
        };
        let mut news = first.unwrap_or(News::Ended);
        // Somebody who writes all the time must not make it later.
        if until.is_some_and(|until| until <= SystemTime::now()) {
            news = News::Ended;
        }
        // What has happened meanwhile is the same news.
        while let Ok(further) = self.0.try_recv() {
            if further == News::Ended {
                news = further;
            }
        }
        news
    }
}

fn tell_changes(watch: &impl std::os::fd::AsFd, grown: &Sender<News>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut changes = inotify::Reader::new(watch, &mut buffer);
    loop {
        match changes.next() {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if grown.send(News::Grown).is_err() {
            return;
        }
    }
}
