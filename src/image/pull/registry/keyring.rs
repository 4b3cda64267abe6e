//! User names and passwords of registries, read at the moment of use and never kept.
//!
//! In: the host of a registry and a repository. Out: what docker and podman would use for it. Looked
//! for in the file the user names, else in that of REGISTRY_AUTH_FILE, else in docker's own
//! (`$DOCKER_CONFIG/config.json`, `~/.docker/config.json`). In the file a helper for this very host
//! comes first, then what the file holds for it, then the helper for all hosts. No secret is ever part
//! of a message.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::helper;
use crate::failure::{Context, Failure, Kind, Result};
use crate::regular_file;

/// What docker's file calls Docker Hub (docker/cli, `registry.IndexServer`).
pub(super) const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// More than any such file has.
const MAX_FILE: u64 = 1 << 20;

/// What opens a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// User and password.
    Password { user: String, password: String },
    /// What a token server takes in their place (docker's `identitytoken`).
    Identity(String),
}

/// Never what it is.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::secret::MASK)
    }
}

/// A secret and where it was.
#[derive(Debug)]
pub(super) struct Found {
    pub secret: Secret,
    /// For messages: a file, or a helper that a file names.
    pub origin: String,
}

/// Where secrets are looked for.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// The file that the user names.
    pub file: Option<PathBuf>,
}

/// docker's configuration file, of which podman's is a part.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    auths: HashMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl Keyring {
    /// The secret for `repository` of the registry that is called `host` in image names.
    pub(super) async fn find(&self, host: &str, repository: &str) -> Result<Option<Found>> {
        let Some((path, file)) = self.read()? else {
            return Ok(None);
        };
        let server = if host == "docker.io" {
            DOCKER_HUB
        } else {
            host
        };
        if let Some(name) = file.helpers.get(host).or(file.helpers.get(server)) {
            return ask(name, server, &path).await;
        }
        if let Some(entry) = file.entry(host, repository) {
            let secret = entry.secret().or_fail(Kind::Usage, || {
                format!("{} has no usable secret for {host}", path.display())
            })?;
            if let Some(secret) = secret {
                let origin = path.display().to_string();
                return Ok(Some(Found { secret, origin }));
            }
        }
        match file.store.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => ask(name, server, &path).await,
            None => Ok(None),
        }
    }

    /// The file that counts; one that somebody names must be there.
    fn read(&self) -> Result<Option<(PathBuf, File)>> {
        let named = || std::env::var_os("REGISTRY_AUTH_FILE").filter(|name| !name.is_empty());
        let named = self.file.clone().or_else(|| named().map(PathBuf::from));
        let (path, must_be) = match named {
            Some(path) => (path, true),
            None => match default_file() {
                Some(path) => (path, false),
                None => return Ok(None),
            },
        };
        let bytes = match regular_file::read(&path, MAX_FILE) {
            Err(why) if !must_be && why.errno() == Some(nix::errno::Errno::ENOENT) => {
                return Ok(None);
            }
            result => result.or_fail(Kind::Usage, || unreadable(&path))?,
        };
        // What serde quotes may be a secret.
        let file = serde_json::from_slice(&bytes).map_err(|why| {
            let place = format!("line {}, column {}", why.line(), why.column());
            Failure::usage(unreadable(&path))
                .because(format!("it is not docker's JSON, at {place}"))
        })?;
        Ok(Some((path, file)))
    }
}

fn unreadable(path: &Path) -> String {
    format!("cannot read the registry credentials {}", path.display())
}

fn default_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(directory) = set("DOCKER_CONFIG") {
        return Some(PathBuf::from(directory).join("config.json"));
    }
    // A unit of systemd's may have no HOME.
    let user = || nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()?;
    let home = set("HOME")
        .map(PathBuf::from)
        .or_else(|| Some(user()?.dir))?;
    Some(home.join(".docker/config.json"))
}

async fn ask(name: &str, server: &str, file: &Path) -> Result<Option<Found>> {
    let secret = helper::ask(name, server).await.map_err(|failure| {
        failure.hint(format!("{} names this helper for {server}", file.display()))
    })?;
    let origin = format!("docker-credential-{name}");
    Ok(secret.map(|secret| Found { secret, origin }))
}

impl File {
    /// The entry for the longest part of the repository that has one, as podman looks it up, else for
    /// the host, in any of docker's spellings.
    fn entry(&self, host: &str, repository: &str) -> Option<&Entry> {
        let mut wanted = format!("{host}/{repository}");
        loop {
            let found = self.auths.iter().find(|(key, _)| plain(key) == wanted);
            if let Some((_, entry)) = found {
                return Some(entry);
            }
            wanted.truncate(wanted.rfind('/')?);
        }
    }
}

/// A key as image names have it: without scheme and version, Docker Hub by its short name.
fn plain(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let key = key.trim_end_matches('/');
    let version = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2"));
    match version.unwrap_or(key) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

impl Entry {
    /// The secret, should the entry have one: beside a helper, entries are empty.
    fn secret(&self) -> std::result::Result<Option<Secret>, &'static str> {
        if let Some(token) = self
            .identitytoken
            .as_ref()
            .filter(|token| !token.is_empty())
        {
            return Ok(Some(Secret::Identity(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) {
            let bytes = STANDARD
                .decode(auth)
                .map_err(|_| "its auth is not base64")?;
            let text = String::from_utf8(bytes).map_err(|_| "its auth is not text")?;
            let (user, password) = text.split_once(':').ok_or("its auth has no colon")?;
            // docker pads with zero bytes (docker/cli, `decodeAuth`).
            let password = password.trim_end_matches('\0');
            return Ok(Some(Secret::Password {
                user: user.to_owned(),
                password: password.to_owned(),
            }));
        }
        match (&self.username, &self.password) {
            (Some(user), Some(password)) if !user.is_empty() => Ok(Some(Secret::Password {
                user: user.clone(),
                password: password.clone(),
            })),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, host: &str, repository: &str) -> Option<Secret> {
        let file: File = serde_json::from_str(file).unwrap();
        file.entry(host, repository)?.secret().unwrap()
    }

    fn password(user: &str, password: &str) -> Option<Secret> {
        Some(Secret::Password {
            user: user.into(),
            password: password.into(),
        })
    }

    #[test]
    fn a_host_is_found_in_every_spelling_of_docker_s() {
        for key in [
            "r.example:5000",
            "https://r.example:5000",
            "https://r.example:5000/v2/",
        ] {
            let file = format!(
                r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#,
                STANDARD.encode("u:p:q")
            );
            assert_eq!(
                found(&file, "r.example:5000", "a/b"),
                password("u", "p:q"),
                "{key}"
            );
            assert_eq!(found(&file, "r.example", "a/b"), None);
        }
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}"#;
        assert_eq!(found(hub, "docker.io", "library/x"), password("u", "p"));
    }

    #[test]
    fn the_longest_part_of_a_repository_counts() {
        let file = r#"{"auths":{"r.example":{"username":"a","password":"p"},
            "r.example/team":{"username":"b","password":"p"},"r.example/tea":{"username":"c","password":"p"}}}"#;
        assert_eq!(found(file, "r.example", "team/x"), password("b", "p"));
        assert_eq!(found(file, "r.example", "other"), password("a", "p"));
    }

    #[test]
    fn empty_entries_have_no_secret_and_broken_ones_are_errors() {
        assert_eq!(found(r#"{"auths":{"h":{}}}"#, "h", "x"), None);
        assert_eq!(
            found(r#"{"auths":{"h":{"identitytoken":"t"}}}"#, "h", "x"),
            Some(Secret::Identity("t".into()))
        );
        for auth in ["%", "eA=="] {
            let entry = Entry {
                auth: Some(auth.into()),
                ..Entry::default()
            };
            assert!(entry.secret().is_err(), "{auth}");
        }
    }

    #[test]
    fn a_secret_is_not_part_of_any_message() {
        assert_eq!(format!("{:?}", password("u", "p").unwrap()), "***");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.json");
        std::fs::write(&path, r#"{"auths":{"h":{"auth":{"hunter2":1}}}}"#).unwrap();
        let ring = Keyring { file: Some(path) };
        let failure = ring.read().err().unwrap().to_string();
        assert!(
            failure.contains("line 1") && !failure.contains("hunter2"),
            "{failure}"
        );
    }
}
