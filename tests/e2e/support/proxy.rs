//! Between airtight and a registry without TLS: sees every request, and answers some itself, badly.
//! Between airtight and one with TLS it is an ordinary proxy, whatever host is asked for.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::processes::until;

/// What is done with a request.
pub enum Act {
    /// The registry answers.
    Pass,
    /// The registry answers, and the connection ends after so many bytes of it.
    Cut(usize),
    /// The registry answers, and nothing comes after so many bytes of it.
    Stall(usize),
    /// The registry answers, and the last bit of it is another one.
    Flip,
    /// The registry answers as one that does not know ranges.
    Whole,
    /// This is the answer.
    Answer(Vec<u8>),
}

/// A proxy at `localhost:PORT`.
pub struct Proxy {
    /// Its name in image names.
    pub name: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Judges requests by their head.
type Judge = dyn Fn(&str) -> Act + Send + Sync;

impl Proxy {
    /// In front of `registry`; `judge` is asked what to do with each request.
    pub fn before(registry: &str, judge: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("localhost:{}", listener.local_addr().unwrap().port());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let judge: Arc<Judge> = Arc::new(judge);
        let (registry, seen) = (registry.to_owned(), Arc::clone(&requests));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (registry, seen, judge) =
                    (registry.clone(), Arc::clone(&seen), Arc::clone(&judge));
                // A client that hangs up is no failure of the test.
                thread::spawn(move || serve(client, &registry, &seen, &*judge));
            }
        });
        Self { name, requests }
    }

    /// In front of nothing.
    pub fn alone(judge: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::before("", judge)
    }

    /// `HOST:PORT/NAME`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// The heads of all requests that have `part` in them.
    pub fn requests(&self, part: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|head| head.contains(part))
            .cloned()
            .collect()
    }

    /// Waits for a request with `part` in it.
    pub fn wait_for(&self, part: &str) {
        until("the request has come", || !self.requests(part).is_empty());
    }

    /// Forgets what has been asked.
    pub fn forget(&self) {
        self.requests.lock().unwrap().clear();
    }
}

fn serve(
    mut client: TcpStream,
    registry: &str,
    seen: &Mutex<Vec<String>>,
    judge: &Judge,
) -> io::Result<()> {
    let head = head(&mut client)?;
    // airtight asks first whether a registry of this host speaks TLS.
    if !head.contains("HTTP/1.1\r\n") {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    seen.lock().unwrap().push(head.clone());
    if head.starts_with("CONNECT ") {
        return tunnel(client, TcpStream::connect(registry)?);
    }
    let act = judge(&head);
    let limit = match &act {
        Act::Answer(answer) => return client.write_all(answer),
        Act::Pass | Act::Flip | Act::Whole => None,
        Act::Cut(after) | Act::Stall(after) => Some(after),
    };
    let mut upstream = TcpStream::connect(registry)?;
    let mut alone = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    if let Act::Whole = act {
        alone = alone.replace("range: bytes=", "unknown: ");
    }
    upstream.write_all(alone.as_bytes())?;
    match limit {
        None if matches!(act, Act::Flip) => {
            let mut bytes = Vec::new();
            upstream.read_to_end(&mut bytes)?;
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            client.write_all(&bytes)?;
            bytes.len() as u64
        }
        None => io::copy(&mut upstream, &mut client)?,
        Some(after) => io::copy(&mut upstream.take(*after as u64), &mut client)?,
    };
    if let Act::Stall(_) = act {
        // Until the client gives up.
        let _ = client.read(&mut [0]);
    }
    client.shutdown(Shutdown::Both)
}

fn tunnel(mut client: TcpStream, mut upstream: TcpStream) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_client, mut to_upstream) = (client.try_clone()?, upstream.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_upstream);
        to_upstream.shutdown(Shutdown::Write)
    });
    io::copy(&mut upstream, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// The head of a request, which has no body; or what is no HTTP at all.
fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        // A TLS handshake (RFC 8446, 5.1) has no such end.
        if client.read(&mut byte)? == 0 || head.first() == Some(&0x16) {
            break;
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A whole answer.
pub fn answer(status: &str, headers: &[&str], body: &[u8]) -> Act {
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    Act::Answer([head.as_bytes(), body].concat())
}
