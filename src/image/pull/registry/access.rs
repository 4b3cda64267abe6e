//! What proves to a registry who we are: the Authorization header, made when it is asked for and again
//! when it is no longer taken.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Method, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::address::{resolve, shown};
use super::challenge::Challenge;
use super::http::{Ask, Http};
use super::keyring::{Found, Keyring, Secret};
use super::trouble::Trouble;
use crate::failure::{Failure, Kind};

/// No token is larger; hyper takes no larger header either.
const MAX_TOKEN: usize = 256 << 10;

/// How we call ourselves where a token is asked for.
const CLIENT: &str = "airtight";

/// Access to one repository.
pub(super) struct Access {
    /// The registry as image names have it.
    host: String,
    repository: String,
    keyring: Keyring,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    header: Option<HeaderValue>,
    /// What the registry asked for last: an expired token may be refused without a word.
    challenge: Option<Challenge>,
    /// Whose secret the header is made from; nothing for a stranger's token.
    origin: Option<String>,
}

/// What a token server answers; one of the two is there.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Access {
    pub fn new(host: &str, repository: &str, keyring: Keyring) -> Self {
        Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            keyring,
            state: Mutex::default(),
        }
    }

    /// The header to send.
    pub async fn header(&self) -> Option<HeaderValue> {
        self.state.lock().await.header.clone()
    }

    /// A header in place of `refused`; nothing when the registry asks for none. Of several layers that
    /// are refused at once, one asks for a new token and the others take it.
    pub async fn renew(
        &self,
        http: &Http,
        base: &Uri,
        refused: Option<&HeaderValue>,
        challenge: Option<Challenge>,
    ) -> Result<Option<HeaderValue>, Trouble> {
        let mut state = self.state.lock().await;
        if state.header.as_ref() != refused {
            return Ok(state.header.clone());
        }
        let Some(challenge) = challenge.or_else(|| state.challenge.clone()) else {
            return Ok(None);
        };
        state.header = None;
        state.challenge = Some(challenge.clone());
        let found = self.keyring.find(&self.host, &self.repository).await;
        let found = found?;
        state.origin = found.as_ref().map(|found| found.origin.clone());
        let header = match &challenge {
            Challenge::Basic => basic(found.as_ref().map(|found| &found.secret)),
            Challenge::Bearer { realm, service } => {
                let realm = self.realm(base, realm)?;
                let token = self.token(http, &realm, service.as_deref(), found).await?;
                secret_header(&format!("Bearer {token}"))
            }
        };
        state.header = header.clone();
        Ok(header)
    }

    /// Where tokens are: the registry says it, and gets no password sent without TLS that way.
    fn realm(&self, base: &Uri, realm: &str) -> Result<Uri, Trouble> {
        let no = |why: &str| {
            let what = format!("cannot ask for a token for {}", self.host);
            Trouble::refused(what, why.to_owned())
        };
        let address = resolve(base, realm).filter(|_| realm.contains("://"));
        let address = address.ok_or_else(|| no("the registry names no address of the web"))?;
        if base.scheme() == Some(&Scheme::HTTPS) && address.scheme() != Some(&Scheme::HTTPS) {
            return Err(no("the registry names an address without TLS"));
        }
        Ok(address)
    }

    async fn token(
        &self,
        http: &Http,
        realm: &Uri,
        service: Option<&str>,
        found: Option<Found>,
    ) -> Result<String, Trouble> {
        let what = format!("cannot get a token from {}", shown(realm));
        let answer = http
            .ask(self.question(realm, service, found.as_ref())?)
            .await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                let failure = Failure::new(Kind::Image, what).because(answer.status.to_string());
                let origin = found.map(|found| found.origin);
                return Err(self.advise(failure, origin.as_deref()).into());
            }
            status => return Err(Trouble::of(what, status, &answer.headers, b"")),
        }
        let bytes = answer.body.all(MAX_TOKEN).await?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        token.ok_or_else(|| Trouble::refused(what, "its answer holds no token"))
    }

    /// A GET for a password or a stranger, a POST for an identity token (distribution,
    /// "Token Authentication Specification" and "Oauth2 Token Authentication").
    fn question(
        &self,
        realm: &Uri,
        service: Option<&str>,
        found: Option<&Found>,
    ) -> Result<Ask, Trouble> {
        let scope = format!("repository:{}:pull", self.repository);
        let mut fields = vec![("scope", scope.as_str()), ("client_id", CLIENT)];
        fields.extend(service.map(|service| ("service", service)));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(Secret::Identity(token)) = found.map(|found| &found.secret) {
            fields.extend([("grant_type", "refresh_token"), ("refresh_token", token)]);
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
            return Ok(Ask {
                method: Method::POST,
                address: realm.clone(),
                headers,
                form: Some(encoded(&fields)),
            });
        }
        if let Some(header) = basic(found.map(|found| &found.secret)) {
            headers.insert(AUTHORIZATION, header);
        }
        let joint = if realm.query().is_some() { '&' } else { '?' };
        let address = format!("{realm}{joint}{}", encoded(&fields));
        let address = address.parse().map_err(|why| {
            Trouble::refused(format!("cannot ask {} for a token", shown(realm)), why)
        });
        Ok(Ask {
            method: Method::GET,
            address: address?,
            headers,
            form: None,
        })
    }

    /// What to do about a registry that says no.
    pub async fn advice(&self, failure: Failure) -> Failure {
        let origin = self.state.lock().await.origin.clone();
        self.advise(failure, origin.as_deref())
    }

    fn advise(&self, failure: Failure, origin: Option<&str>) -> Failure {
        let host = &self.host;
        match origin {
            Some(origin) => failure.hint(format!(
                "the registry does not take the credentials of {origin} for {host}, or they do not open this repository"
            )),
            None => failure.hint(format!(
                "no credentials for {host} were found: docker login {host}, or --registry-config FILE; a repository that does not exist is refused likewise"
            )),
        }
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    fields.join("&")
}

fn basic(secret: Option<&Secret>) -> Option<HeaderValue> {
    match secret {
        Some(Secret::Password { user, password }) => {
            let pair = STANDARD.encode(format!("{user}:{password}"));
            secret_header(&format!("Basic {pair}"))
        }
        _ => None,
    }
}

/// A header that hyper does not print either; nothing where a token has line ends.
fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new("r.example", "a/b", Keyring::default())
    }

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_asked_for_where_the_registry_says_and_nowhere_without_tls() {
        let base = uri("https://r.example/v2/");
        assert!(access().realm(&base, "https://auth.example/token").is_ok());
        for bad in [
            "http://r.example/",
            "file:///x",
            "/token",
            "",
            "https://u:p@x/",
        ] {
            assert!(access().realm(&base, bad).is_err(), "{bad}");
        }
        let plain = uri("http://localhost:5000/v2/");
        assert!(access().realm(&plain, "http://localhost:5001/t").is_ok());
    }

    #[test]
    fn the_scope_is_ours_whatever_the_realm_is() {
        let ask = access().question(&uri("https://a.example/t?x=1"), Some("s s"), None);
        assert_eq!(
            ask.unwrap().address.to_string(),
            "https://a.example/t?x=1&scope=repository%3Aa%2Fb%3Apull&client_id=airtight&service=s%20s"
        );
    }

    #[test]
    fn an_identity_token_is_sent_in_the_body_and_never_in_an_address() {
        let found = Found {
            secret: Secret::Identity("s3cret".into()),
            origin: String::new(),
        };
        let ask = access()
            .question(&uri("https://a.example/t"), None, Some(&found))
            .unwrap();
        assert!(!ask.address.to_string().contains("s3cret"));
        assert!(ask.form.unwrap().contains("refresh_token=s3cret"));
    }
}
