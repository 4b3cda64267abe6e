//! One repository: its tags, manifests and blobs (OCI distribution specification, "Pulling").
//!
//! Whatever a registry answers is handed on as it came. What it refuses is asked for once more with
//! fresh credentials. Only the registry itself can ask for these: what the target of a redirect says
//! of credentials and token servers is never followed.

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue,
    RANGE,
};
use hyper::{Method, StatusCode, Uri};

use super::access::Access;
use super::address::{same_origin, shown};
use super::http::{Answer, Ask};
use super::trouble::{Sort, Trouble};
use super::{Body, Known, challenge};
use crate::image::descriptor::MANIFESTS;
use crate::image::digest::Digest;

/// The header with the digest of what a tag points to.
const DIGEST: &str = "docker-content-digest";

/// How much of a refusal's body is read.
const MAX_REFUSAL: usize = 16 << 10;

/// How often a redirect is asked for anew: the signature of one may have expired before it came here.
const FRESH_REDIRECTS: u32 = 2;

/// How "not with these credentials" is said: with 401, ECR says it with 403 and 400 too.
const NO: [StatusCode; 3] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::BAD_REQUEST,
];

/// How a registry says that HEAD is not for it; one that forbids it, forbids GET as well if it means it.
const NO_HEAD: [StatusCode; 3] = [
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
    StatusCode::FORBIDDEN,
];

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
    /// What `tag` points to. A registry that does not say, or does not answer HEAD (few), leaves the
    /// digest out.
    pub async fn point(&self, tag: &str) -> Result<Pointed, Trouble> {
        let path = format!("manifests/{tag}");
        let answer = self.send(Method::HEAD, &path, accept_manifests()).await?;
        if NO_HEAD.contains(&answer.status) {
            return Ok(Pointed {
                media_type: String::new(),
                digest: None,
            });
        }
        let taken = self.taken(answer).await;
        let answer = taken.map_err(|trouble| self.missing(trouble, "tag", tag))?;
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

    /// Asks for something of this repository.
    async fn ask(&self, method: Method, path: &str, headers: HeaderMap) -> Result<Answer, Trouble> {
        self.taken(self.send(method, path, headers).await?).await
    }

    /// The answer, whatever it is. When the registry does not take what we prove ourselves with, the
    /// credentials are looked up again, once. When another host refuses what the registry's redirect
    /// led to, the registry is asked for another redirect.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Answer, Trouble> {
        let address = format!("{}{}/{path}", self.known.base, self.path);
        let address: Uri = address
            .parse()
            .map_err(|why| Trouble::refused(format!("cannot read {address}"), why))?;
        let Known { http, base } = &self.known;
        let mut header = self.access.header().await;
        let (mut renewed, mut redirects) = (false, 0);
        loop {
            let mut headers = headers.clone();
            headers.extend(header.clone().map(|header| (AUTHORIZATION, header)));
            let ask = Ask {
                method: method.clone(),
                address: address.clone(),
                headers,
                form: None,
            };
            let answer = http.ask(ask).await?;
            if !NO.contains(&answer.status) {
                return Ok(answer);
            }
            if !self.is_own(&answer) {
                if redirects == FRESH_REDIRECTS {
                    return Ok(answer);
                }
                redirects += 1;
                continue;
            }
            if renewed {
                return Ok(answer);
            }
            renewed = true;
            let challenge = challenge::of(&answer.headers);
            let renewal = self.access.renew(http, base, header.as_ref(), challenge);
            match renewal.await? {
                Some(fresh) => header = Some(fresh),
                None => return Ok(answer),
            }
        }
    }

    /// Whether the registry itself says it, and not where it redirects to.
    fn is_own(&self, answer: &Answer) -> bool {
        same_origin(&self.known.base, &answer.address)
    }

    async fn taken(&self, answer: Answer) -> Result<Answer, Trouble> {
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(self.refusal(answer).await),
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

    async fn refusal(&self, answer: Answer) -> Trouble {
        let own = self.is_own(&answer);
        let said = answer.body.beginning(MAX_REFUSAL).await;
        let what = format!("cannot read {}", shown(&answer.address));
        let trouble = Trouble::of(what, answer.status, &answer.headers, &said);
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if own => {
                self.access.advice(trouble.failure()).await.into()
            }
            status if !own && NO.contains(&status) => {
                trouble.told(|failure| failure.hint(self.elsewhere()))
            }
            _ => trouble,
        }
    }

    fn elsewhere(&self) -> String {
        let host = self.known.base.authority();
        let host = host.map(|host| host.as_str()).unwrap_or_default();
        format!("{host} redirects there; its credentials are for no other host")
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
