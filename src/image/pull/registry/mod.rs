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
mod repository;
mod trouble;
mod trust;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use tokio::sync::Mutex;

pub use http::Body;
pub use keyring::Keyring;
pub use repository::{Content, Repository};
pub use trouble::{Sort, Trouble};

use access::Access;
use address::is_this_host;
use http::Http;

use crate::failure::{Failure, Result};
use crate::image::Reference;

/// Docker Hub's registry, which is not called as its images are.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS; but a registry on this very host may do without.
    Tls,
    /// Plain HTTP.
    Plain,
}

/// How all registries of a command are reached. What weakens TLS is for names that its user has
/// written, not for those of files that others write: credentials are sent to whoever answers.
#[derive(Debug, Clone)]
pub struct Options {
    /// TLS or none.
    pub transport: Transport,
    /// The authority that signed the registries' certificates, beside those of the host.
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
