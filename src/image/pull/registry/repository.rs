//! One repository: its tags, manifests and blobs (OCI distribution specification, "Pulling").
//!
//! Whatever a registry answers is handed on as it came. What it refuses is asked for once more with
//! fresh credentials.

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue,
    RANGE,
};
use hyper::{Method, StatusCode, Uri};

use super::access::Access;
use super::address::shown;
use super::http::{Answer, Ask};
use super::trouble::{Sort, Trouble};
use super::{Body, Known, challenge};
use crate::image::descriptor::MANIFESTS;
use crate::image::digest::Digest;

/// The header with the digest of what a tag points to.
const DIGEST: &str = "docker-content-digest";

/// How much of a refusal's body is read.
const MAX_REFUSAL: usize = 16 << 10;

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
    pub(super) known: Known,
    pub(super) path: String,
    pub(super) access: Access,
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
