//! Stands between airtight and containerd, and loses containerd's answers when told so.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Listens at a socket of its own; it ends with the test's process.
pub struct Middleman {
    address: PathBuf,
    silent: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
}

impl Middleman {
    /// Between `address` and the containerd at `containerd`.
    pub fn between(address: PathBuf, containerd: &Path) -> Self {
        let listener = UnixListener::bind(&address).unwrap();
        let silent = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (to, is_silent, all) = (containerd.to_owned(), silent.clone(), connections.clone());
        thread::spawn(move || {
            for asking in listener.incoming().map_while(Result::ok) {
                let answering = UnixStream::connect(&to).unwrap();
                let both = [&asking, &answering].map(|one| one.try_clone().unwrap());
                all.lock().unwrap().extend(both);
                let (asked, answered) = (asking.try_clone(), answering.try_clone());
                let is_silent = is_silent.clone();
                thread::spawn(move || copy(asking, answered.unwrap(), || false));
                thread::spawn(move || {
                    copy(answering, asked.unwrap(), || {
                        is_silent.load(Ordering::SeqCst)
                    });
                });
            }
        });
        Self {
            address,
            silent,
            connections,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> PathBuf {
        self.address.clone()
    }

    /// From now on no answer arrives.
    pub fn silence(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// Breaks every connection; later ones are as they should be.
    pub fn cut(&self) {
        self.silent.store(false, Ordering::SeqCst);
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: UnixStream, mut to: UnixStream, lost: impl Fn() -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !lost() && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
