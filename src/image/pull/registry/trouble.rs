//! Why a registry did not give what was asked of it, and whether asking again may help.

use std::error::Error;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::failure::{Failure, Kind};

/// How much of a registry's own explanation is repeated.
const MAX_SAID: usize = 300;

/// A request that came to nothing.
#[derive(Debug)]
pub struct Trouble {
    /// Whether asking again may help.
    pub sort: Sort,
    failure: Box<Failure>,
}

/// Whether asking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The connection broke, or the registry has trouble of its own: it may pass. How long the registry
    /// wants to be left alone.
    Passing(Option<Duration>),
    /// It said no.
    Refused,
    /// It said that it does not have this.
    Missing,
}

impl From<Failure> for Trouble {
    /// Trouble of our own: it does not pass.
    fn from(failure: Failure) -> Self {
        Self {
            sort: Sort::Refused,
            failure: Box::new(failure),
        }
    }
}

impl Trouble {
    /// A connection that broke.
    pub fn broken(what: String, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            sort: Sort::Passing(None),
            failure: Box::new(Failure::new(Kind::Image, what).because(why)),
        }
    }

    /// A plain no.
    pub fn refused(what: String, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::new(Kind::Image, what).because(why).into()
    }

    /// What an answer of this status means; `said` is its body.
    pub fn of(what: String, status: StatusCode, headers: &HeaderMap, said: &[u8]) -> Self {
        let why = match explanation(said) {
            Some(said) => format!("{status}: {said}"),
            None => status.to_string(),
        };
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
        let sort = match status {
            StatusCode::NOT_FOUND => Sort::Missing,
            status if passes || status.is_server_error() => Sort::Passing(pause(headers)),
            _ => Sort::Refused,
        };
        Self {
            sort,
            failure: Box::new(Failure::new(Kind::Image, what).because(why)),
        }
    }

    /// The same trouble, said otherwise.
    pub fn told(self, tell: impl FnOnce(Failure) -> Failure) -> Self {
        Self {
            sort: self.sort,
            failure: Box::new(tell(*self.failure)),
        }
    }

    /// What to report.
    pub fn failure(self) -> Failure {
        *self.failure
    }
}

/// Retry-After in seconds; as a date it is taken for no answer (RFC 9110, 10.2.3).
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse();
    seconds.ok().map(Duration::from_secs)
}

/// OCI distribution specification, "Error Codes".
#[derive(Deserialize)]
struct Said {
    errors: Vec<SaidError>,
}

#[derive(Deserialize)]
struct SaidError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The registry's own words, where they are in the form that is agreed upon.
fn explanation(said: &[u8]) -> Option<String> {
    let said: Said = serde_json::from_slice(said).ok()?;
    let first = said.errors.first()?;
    let words = format!("{} {}", first.code, first.message);
    let words: String = words.trim().chars().take(MAX_SAID).collect();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_s_own_words_are_repeated_and_bounded() {
        let said = br#"{"errors":[{"code":"DENIED","message":"no pull for you"}]}"#;
        assert_eq!(explanation(said).unwrap(), "DENIED no pull for you");
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(9999));
        assert_eq!(explanation(long.as_bytes()).unwrap().len(), MAX_SAID);
        assert_eq!(explanation(b"<html>"), None);
    }

    #[test]
    fn a_busy_registry_is_asked_again_when_it_says() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        let busy = Trouble::of("x".into(), StatusCode::TOO_MANY_REQUESTS, &headers, b"");
        assert_eq!(busy.sort, Sort::Passing(Some(Duration::from_secs(7))));
        let gone = Trouble::of("x".into(), StatusCode::NOT_FOUND, &headers, b"");
        assert_eq!(gone.sort, Sort::Missing);
    }
}
