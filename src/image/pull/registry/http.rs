//! One request and its answer, through redirects; every wait has an end.
//!
//! In: an address and headers. Out: status, headers and a body that is read piece by piece. A secret
//! goes to the origin it is meant for and to no other, and never from https to http.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use super::address::{resolve, same_origin, shown};
use super::connect::{Route, chain, connector};
use super::trouble::Trouble;
use crate::failure::Result;

/// How many redirects follow each other at most (Go's client, which docker and containerd use: 10).
const MAX_REDIRECTS: usize = 10;

/// How we call ourselves.
const AGENT: &str = concat!("airtight/", env!("CARGO_PKG_VERSION"));

type Outgoing = BoxBody<Bytes, std::convert::Infallible>;

/// Connections that trust the same certificates.
pub(super) struct Http {
    client: Client<HttpsConnector<Route>, Outgoing>,
    idle: Duration,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub method: Method,
    pub address: Uri,
    pub headers: HeaderMap,
    /// A form, for POST.
    pub form: Option<String>,
}

/// What is answered.
pub(super) struct Answer {
    /// Who says it: where the redirects ended.
    pub address: Uri,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Http {
    /// A client that trusts `roots` and gives up on a server that is silent for `idle`.
    pub fn new(roots: RootCertStore, idle: Duration) -> Result<Self> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector(roots)?);
        Ok(Self { client, idle })
    }

    /// Asks, and follows redirects of GET and HEAD.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, Trouble> {
        let first = ask.address.clone();
        let mut ask = ask;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.once(&ask).await?;
            let moved = response.status().is_redirection() && ask.form.is_none();
            let location = response.headers().get(LOCATION).filter(|_| moved);
            let Some(location) = location else {
                return Ok(self.answer(response, ask.address));
            };
            let next = follow(&ask.address, location)?;
            if !same_origin(&first, &next) {
                ask.headers.remove(AUTHORIZATION);
            }
            ask.address = next;
        }
        let what = format!("cannot read {}", shown(&first));
        Err(Trouble::refused(what, "its redirects do not end"))
    }

    /// Whether the server at `address` answers TLS with something else.
    pub async fn answers_plainly(&self, address: &Uri) -> bool {
        let mut request = Request::new(Empty::new().boxed());
        *request.uri_mut() = address.clone();
        let asked = tokio::time::timeout(self.idle, self.client.request(request)).await;
        let Ok(Err(error)) = asked else {
            return false;
        };
        matches!(tls_error(&error), Some(rustls::Error::InvalidMessage(_)))
    }

    async fn once(&self, ask: &Ask) -> Result<Response<Incoming>, Trouble> {
        let what = || format!("cannot read {}", shown(&ask.address));
        let body = match &ask.form {
            Some(form) => Full::new(Bytes::from(form.clone())).boxed(),
            None => Empty::new().boxed(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.address.clone();
        *request.headers_mut() = ask.headers.clone();
        let agent = HeaderValue::from_static(AGENT);
        request.headers_mut().insert(USER_AGENT, agent);
        match tokio::time::timeout(self.idle, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unanswered(what(), &error)),
            Err(_) => Err(Trouble::broken(what(), silence(self.idle))),
        }
    }

    fn answer(&self, response: Response<Incoming>, address: Uri) -> Answer {
        let (head, incoming) = response.into_parts();
        Answer {
            address: address.clone(),
            status: head.status,
            headers: head.headers,
            body: Body {
                incoming,
                address,
                idle: self.idle,
            },
        }
    }
}

fn follow(from: &Uri, location: &HeaderValue) -> Result<Uri, Trouble> {
    let what = || format!("cannot read {}", shown(from));
    let next = location.to_str().ok().and_then(|to| resolve(from, to));
    let next = next.ok_or_else(|| {
        Trouble::refused(what(), "it is redirected to what is no address of the web")
    })?;
    if from.scheme() == Some(&Scheme::HTTPS) && next.scheme() == Some(&Scheme::HTTP) {
        let why = format!("it is redirected from https to {}", shown(&next));
        return Err(Trouble::refused(what(), why));
    }
    Ok(next)
}

fn silence(idle: Duration) -> String {
    format!(
        "the server was silent for {}",
        humantime::format_duration(idle)
    )
}

/// No answer at all. What is wrong with a certificate stays wrong.
fn unanswered(what: String, error: &(dyn std::error::Error + 'static)) -> Trouble {
    let why = chain(error);
    let hint = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "--ca-file FILE names the registry's own authority, and so does /etc/containerd/certs.d/HOST[:PORT]/ca.crt"
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "does the registry speak TLS? --plain-http is for one that does not"
        }
        _ => return Trouble::broken(what, why),
    };
    Trouble::refused(what, why).told(|failure| failure.hint(hint))
}

/// The TLS library's own error, wherever it is among the causes. (What an `io::Error` is made from is
/// not what it says its source is.)
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    let made_from = error.downcast_ref::<std::io::Error>();
    match made_from.and_then(std::io::Error::get_ref) {
        Some(inner) => tls_error(inner),
        None => tls_error(error.source()?),
    }
}

/// A body on its way.
pub struct Body {
    incoming: Incoming,
    address: Uri,
    idle: Duration,
}

impl Body {
    /// The next bytes, or the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        let what = || format!("cannot read {}", shown(&self.address));
        loop {
            let frame = tokio::time::timeout(self.idle, self.incoming.frame()).await;
            match frame {
                Err(_) => return Err(Trouble::broken(what(), silence(self.idle))),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(Trouble::broken(what(), chain(&error))),
                Ok(Some(Ok(frame))) => {
                    // Trailers mean nothing here.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// All of it, refused when longer than `limit`.
    pub async fn all(mut self, limit: usize) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        while let Some(data) = self.next().await? {
            if bytes.len() + data.len() > limit {
                let what = format!("cannot read {}", shown(&self.address));
                let why = format!("it is longer than {limit} bytes");
                return Err(Trouble::refused(what, why));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// The beginning of it, for a message; whatever can be had without trouble.
    pub async fn beginning(mut self, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < limit
            && let Ok(Some(data)) = self.next().await
        {
            bytes.extend_from_slice(&data);
        }
        bytes.truncate(limit);
        bytes
    }
}
