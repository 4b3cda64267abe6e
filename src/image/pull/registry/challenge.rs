//! How a registry wants to be spoken to: the WWW-Authenticate header (RFC 9110, 11.6.1).
//!
//! Text of a server's that may be anything goes in; challenges come out, and what cannot be read is
//! left out.

use hyper::header::{HeaderMap, WWW_AUTHENTICATE};

/// What the registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token (distribution, "Token Authentication Specification").
    Bearer {
        /// Who gives it.
        realm: String,
        /// Whom it is for.
        service: Option<String>,
    },
    /// User and password.
    Basic,
}

/// The challenge to meet, a token before a password; nothing where there is none that we know.
pub(super) fn of(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        for said in header.to_str().map(read).unwrap_or_default() {
            let parameter = |name: &str| {
                let found = said.parameters.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone())
            };
            match said.scheme.as_str() {
                "bearer" => {
                    if let Some(realm) = parameter("realm") {
                        let service = parameter("service");
                        return Some(Challenge::Bearer { realm, service });
                    }
                }
                "basic" => basic = Some(Challenge::Basic),
                _ => {}
            }
        }
    }
    basic
}

struct Said {
    scheme: String,
    parameters: Vec<(String, String)>,
}

fn read(text: &str) -> Vec<Said> {
    let separators = |c: char| c == ',' || c.is_ascii_whitespace();
    let mut all: Vec<Said> = Vec::new();
    let mut rest = text.trim_start_matches(separators);
    while !rest.is_empty() {
        let (word, behind) = word(rest);
        if word.is_empty() {
            // What is no word cannot be understood, nor what is behind it.
            break;
        }
        let name = word.to_ascii_lowercase();
        rest = match (behind.trim_start().strip_prefix('='), all.last_mut()) {
            (Some(value), Some(last)) => {
                let (value, behind) = value_of(value.trim_start());
                last.parameters.push((name, value));
                behind
            }
            _ => {
                all.push(Said {
                    scheme: name,
                    parameters: Vec::new(),
                });
                behind
            }
        };
        rest = rest.trim_start_matches(separators);
    }
    all
}

fn word(text: &str) -> (&str, &str) {
    let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | ',' | '"');
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// A quoted value without its quotes, or a word that may have `=` in it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let ends = |c: char| c.is_ascii_whitespace() || c == ',';
        let (value, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, quoted.get(at + 1..).unwrap_or_default()),
            other => {
                escaped = false;
                value.push(other);
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn challenge(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, line.parse().unwrap());
        }
        of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
        })
    }

    #[test]
    fn a_token_s_realm_and_service_are_read_in_any_order_and_case() {
        for line in [
            r#"Bearer realm="https://a.example/t",service="r.example",scope="x,y""#,
            r#"bearer SERVICE = r.example , Realm = "https://a.example/t""#,
            r#"Basic realm="x, y", Bearer service="r.example", realm="https:\/\/a.example/t""#,
        ] {
            assert_eq!(
                challenge(&[line]),
                bearer("https://a.example/t", Some("r.example")),
                "{line}"
            );
        }
        assert_eq!(
            challenge(&["Bearer realm=https://a/t?x=1"]),
            bearer("https://a/t?x=1", None)
        );
    }

    #[test]
    fn a_password_is_the_second_choice_and_other_schemes_are_none() {
        assert_eq!(
            challenge(&[r#"Basic realm="Registry""#]),
            Some(Challenge::Basic)
        );
        assert_eq!(challenge(&["Negotiate", "Basic"]), Some(Challenge::Basic));
        assert_eq!(challenge(&["Negotiate abc=="]), None);
        assert_eq!(challenge(&["Bearer"]), None);
        assert_eq!(challenge(&[]), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[ -~]{0,80}") {
            let _ = read(&text);
        }
    }
}
