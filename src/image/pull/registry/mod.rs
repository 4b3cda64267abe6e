//! Registries: the only user of hyper and rustls.
//!
//! In: image names and digests. Out: documents and blobs as a registry sends them (OCI distribution
//! specification), or a [`Trouble`] that says whether asking again may help. Nothing that comes from
//! here has been compared with a digest; that is the caller's business. No secret leaves this room.

mod access;
mod address;
mod challenge;
mod connect;
mod helper;
mod http;
mod keyring;
mod trouble;
mod trust;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue,
    RANGE,
};
use hyper::{Method, StatusCode, Uri};
use tokio::sync::Mutex;

pub use http::Body;
pub use keyring::Keyring;
pub use trouble::{Sort, Trouble};

use access::Access;
use address::{is_this_host, shown};
use http::{Answer, Ask, Http};

use crate::failure::{Failure, Result};
use crate::image::Reference;
use crate::image::descriptor::MANIFESTS;
use crate::image::digest::Digest;

/// Docker Hub's registry, which is not called as its images are.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// The header with the digest of what a tag points to.
const DIGEST: &str = "docker-content-digest";

/// How much of a refusal's body is read.
const MAX_REFUSAL: usize = 16 << 10;

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS; but a registry on this very host may do without.
    Tls,
    /// Plain HTTP.
    Plain,
}

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// TLS or none.
    pub transport: Transport,
    /// The authority that signed the registry's certificate, beside those of the host.
    pub ca_file: Option<PathBuf>,
    /// Where credentials are.
    pub keyring: Keyring,
    /// How long a registry may be silent.
    pub idle: Duration,
}

/// All registries that one command speaks to, with their connections.
pub struct Registries {
    options: Options,
    known: Mutex<HashMap<String, Known>>,
}

/// A registry that has been reached.
#[derive(Clone)]
struct Known {
    http: Arc<Http>,
    /// `https://HOST[:PORT]/v2/`.
    base: Uri,
}

/// What a tag points to, as far as the registry says so without sending it.
#[derive(Debug)]
pub struct Pointed {
    /// What it is said to be.
    pub media_type: String,
    /// Which one.
    pub digest: Option<Digest>,
}

/// The bytes of a blob, or its end.
pub struct Content {
    /// Where in the blob they begin.
    pub begins: u64,
    /// How many there are, as far as the registry says so.
    pub length: Option<u64>,
    /// They themselves.
    pub body: Body,
}

/// One repository of a registry.
pub struct Repository {
    known: Known,
    path: String,
    access: Access,
}

impl Registries {
    /// No registry is asked anything yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            known: Mutex::default(),
        }
    }

    /// The repository of an image name; `warn` is told what the user should know.
    pub async fn repository(
        &self,
        name: &Reference,
        warn: &(dyn Fn(String) + Sync),
    ) -> Result<Repository> {
        let host = name.domain();
        let mut all = self.known.lock().await;
        let known = match all.get(host) {
            Some(known) => known.clone(),
            None => {
                let known = self.reach(host, warn).await?;
                all.insert(host.to_owned(), known.clone());
                known
            }
        };
        Ok(Repository {
            known,
            path: name.path().to_owned(),
            access: Access::new(host, name.path(), self.options.keyring.clone()),
        })
    }

    async fn reach(&self, host: &str, warn: &(dyn Fn(String) + Sync)) -> Result<Known> {
        let (roots, warnings) = trust::roots(host, self.options.ca_file.as_deref())?;
        warnings.into_iter().for_each(warn);
        let http = Arc::new(Http::new(roots, self.options.idle)?);
        let server = if host == DOCKER_HUB.0 {
            DOCKER_HUB.1
        } else {
            host
        };
        let base = |scheme: &str| {
            let address = format!("{scheme}://{server}/v2/").parse::<Uri>();
            address.map_err(|why| {
                Failure::usage(format!("{host:?} is no address of a registry")).because(why)
            })
        };
        let secure = base("https")?;
        let plain = match self.options.transport {
            Transport::Plain => true,
            Transport::Tls if self.options.ca_file.is_some() => false,
            Transport::Tls => {
                secure.host().is_some_and(is_this_host) && http.answers_plainly(&secure).await
            }
        };
        let base = if plain { base("http")? } else { secure };
        Ok(Known { http, base })
    }
}

impl Repository {
    /// What `tag` points to. A registry that does not say (few) leaves the digest out.
    pub async fn point(&self, tag: &str) -> Result<Pointed, Trouble> {
        let path = format!("manifests/{tag}");
        let asked = self.ask(Method::HEAD, &path, accept_manifests()).await;
        let answer = asked.map_err(|trouble| self.missing(trouble, "tag", tag))?;
        let header = |name: &str| answer.headers.get(name)?.to_str().ok();
        Ok(Pointed {
            media_type: media_type(&answer.headers),
            digest: header(DIGEST).and_then(|text| text.parse().ok()),
        })
    }

    /// The manifest or index of a tag or digest, of at most `limit` bytes, and its media type.
    pub async fn manifest(&self, what: &str, limit: usize) -> Result<(String, Vec<u8>), Trouble> {
        let path = format!("manifests/{what}");
        let asked = self.ask(Method::GET, &path, accept_manifests()).await;
        let answer = asked.map_err(|trouble| self.missing(trouble, "manifest", what))?;
        let media_type = media_type(&answer.headers);
        Ok((media_type, answer.body.all(limit).await?))
    }

    /// The bytes of a blob from `position`, or from its beginning: a registry need not know ranges.
    pub async fn blob(&self, digest: &Digest, position: u64) -> Result<Content, Trouble> {
        let mut headers = HeaderMap::new();
        if position > 0 {
            let range = HeaderValue::from_str(&format!("bytes={position}-"));
            headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        let path = format!("blobs/{digest}");
        let asked = self.ask(Method::GET, &path, headers).await;
        let answer = asked.map_err(|trouble| self.missing(trouble, "blob", &digest.to_string()))?;
        let begins = match answer.status {
            StatusCode::PARTIAL_CONTENT => beginning(&answer.headers).unwrap_or(position),
            _ => 0,
        };
        Ok(Content {
            begins,
            length: number(&answer.headers, CONTENT_LENGTH.as_str()),
            body: answer.body,
        })
    }

    /// Asks for something of this repository. When the registry does not take what we prove ourselves
    /// with, the credentials are looked up again, once: registries say so with 401, ECR's with 403
    /// and 400.
    async fn ask(&self, method: Method, path: &str, headers: HeaderMap) -> Result<Answer, Trouble> {
        let address = format!("{}{}/{path}", self.known.base, self.path);
        let address: Uri = address
            .parse()
            .map_err(|why| Trouble::refused(format!("cannot read {address}"), why))?;
        let mut header = self.access.header().await;
        let mut renewed = false;
        loop {
            let mut headers = headers.clone();
            headers.extend(header.clone().map(|header| (AUTHORIZATION, header)));
            let ask = Ask {
                method: method.clone(),
                address: address.clone(),
                headers,
                form: None,
            };
            let answer = self.known.http.ask(ask).await?;
            let status = answer.status;
            if status.is_success() {
                return Ok(answer);
            }
            let no = [
                StatusCode::UNAUTHORIZED,
                StatusCode::FORBIDDEN,
                StatusCode::BAD_REQUEST,
            ];
            if no.contains(&status) && !renewed {
                renewed = true;
                let challenge = challenge::of(&answer.headers);
                let Known { http, base } = &self.known;
                let fresh = self
                    .access
                    .renew(http, base, header.as_ref(), challenge)
                    .await?;
                if fresh.is_some() {
                    header = fresh;
                    continue;
                }
            }
            return Err(self.refusal(answer, &address).await);
        }
    }

    /// In better words than the registry's, which has none for HEAD.
    fn missing(&self, trouble: Trouble, kind: &str, which: &str) -> Trouble {
        if trouble.sort != Sort::Missing {
            return trouble;
        }
        let (host, path) = (self.known.base.authority(), &self.path);
        let host = host.map(|host| host.as_str()).unwrap_or_default();
        trouble.told(|failure| failure.reworded(format!("{host} has no {kind} {which} of {path}")))
    }

    async fn refusal(&self, answer: Answer, address: &Uri) -> Trouble {
        let Answer {
            status,
            headers,
            body,
        } = answer;
        let said = body.beginning(MAX_REFUSAL).await;
        let what = format!("cannot read {}", shown(address));
        let trouble = Trouble::of(what, status, &headers, &said);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.access.advice(trouble.failure()).await.into()
            }
            _ => trouble,
        }
    }
}

fn accept_manifests() -> HeaderMap {
    let types = MANIFESTS
        .iter()
        .map(|kind| (ACCEPT, HeaderValue::from_static(kind)));
    let mut headers = HeaderMap::new();
    for (name, kind) in types {
        headers.append(name, kind);
    }
    headers
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Where a part begins: `bytes 5-9/10` (RFC 9110, 14.4).
fn beginning(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = range.trim().strip_prefix("bytes")?.trim().split_once('-')?;
    first.parse().ok()
}

/// Without its parameters.
fn media_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|text| text.to_str().ok());
    let kind = text.and_then(|text| text.split(';').next());
    kind.unwrap_or_default().trim().to_owned()
}
