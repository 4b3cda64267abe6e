//! docker's credential helpers: programs that keep the secrets of registries.
//!
//! In: the name of a helper and a server. Out: its secret, if it has one (docker-credential-helpers,
//! README). The server goes to its stdin; it may take so long and print so much, and no longer lives
//! when we have its answer or have given up.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::keyring::Secret;
use crate::failure::{Context, Failure, Kind, Result};

/// A helper may ask a cloud's servers.
const LIMIT: Duration = Duration::from_secs(30);

/// No secret is larger.
const MAX_OUTPUT: u64 = 64 << 10;

/// How much of a helper's complaint is repeated.
const MAX_SAID: usize = 300;

/// The user name by which a helper says that its secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What helpers say when they know nothing of a server (docker-credential-helpers,
/// `credentials.ErrCredentialsNotFound`).
const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    username: String,
    secret: String,
}

/// Asks `docker-credential-NAME`.
pub(super) async fn ask(name: &str, server: &str) -> Result<Option<Secret>> {
    let program = format!("docker-credential-{name}");
    let cannot = || format!("{program} gave no credentials for {server}");
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(word) {
        return Err(Failure::usage(format!(
            "{name:?} is no name of a credential helper"
        )));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .or_fail(Kind::Host, cannot)?;
    let talk = tokio::time::timeout(LIMIT, talk(&mut child, server)).await;
    let (succeeded, out) = match talk {
        Ok(talked) => talked.or_fail(Kind::Host, cannot)?,
        Err(_) => {
            let why = format!("it did not end within {} s", LIMIT.as_secs());
            return Err(Failure::host(cannot()).because(why));
        }
    };
    if !succeeded {
        let said = String::from_utf8_lossy(&out);
        if said.contains(NOT_FOUND) {
            return Ok(None);
        }
        let said: String = said.trim().chars().take(MAX_SAID).collect();
        return Err(Failure::host(cannot()).because(said));
    }
    // What serde quotes may be the secret.
    let reply: Reply = serde_json::from_slice(&out)
        .map_err(|_| Failure::host(cannot()).because("its answer is not what helpers answer"))?;
    Ok(Some(if reply.username == TOKEN_USER {
        Secret::Identity(reply.secret)
    } else {
        Secret::Password {
            user: reply.username,
            password: reply.secret,
        }
    }))
}

async fn talk(child: &mut Child, server: &str) -> std::io::Result<(bool, Vec<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it has its own reasons.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let mut out = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT).read_to_end(&mut out).await?;
    }
    Ok((child.wait().await?.success(), out))
}
