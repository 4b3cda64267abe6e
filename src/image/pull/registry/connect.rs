//! The way to a host: directly, or through the proxy that the environment names; then TLS.
//!
//! Proxies are those of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in capitals or not, as curl
//! reads them. A proxy gets a CONNECT and never sees what is asked or answered. Nothing of this host
//! is reached through a proxy.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::address::is_this_host;
use crate::failure::{Context as _, Kind, Result};

/// How long a host may take to accept a connection (docker's and containerd's dialers: 30 s).
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

type Boxed = Box<dyn Error + Send + Sync>;

/// A connector that trusts `roots`.
pub(super) fn connector(roots: RootCertStore) -> Result<HttpsConnector<Route>> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .or_fail(Kind::Host, || "cannot set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    direct.set_connect_timeout(Some(CONNECT_LIMIT));
    direct.set_nodelay(true);
    let route = Route {
        direct,
        proxies: Arc::new(Matcher::from_env()),
    };
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(route))
}

/// The way without TLS.
#[derive(Clone)]
pub struct Route {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Service<Uri> for Route {
    type Response = TokioIo<TcpStream>;
    type Error = Boxed;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Boxed>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), Boxed>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let local = to.host().is_some_and(is_this_host);
        let proxy = self.proxies.intercept(&to).filter(|_| !local);
        let mut direct = self.direct.clone();
        let Some(proxy) = proxy else {
            return Box::pin(async move { Ok(direct.call(to).await?) });
        };
        if proxy.uri().scheme_str() != Some("http") {
            let scheme = proxy.uri().scheme_str().unwrap_or_default().to_owned();
            let why = format!(
                "the environment names a proxy of the kind {scheme}://, only http:// is spoken"
            );
            return Box::pin(async move { Err(why.into()) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), direct);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let host = proxy.uri().authority().map(|to| to.host().to_owned());
        let host = host.unwrap_or_default();
        Box::pin(async move {
            let opened = tunnel.call(to).await;
            opened.map_err(|why| format!("through the proxy {host}: {}", chain(&why)).into())
        })
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
