//! The only user of containerd-client and tonic.
//!
//! [`Client`] holds a lazily connected channel and the namespace; every call goes through
//! [`Client::call`], which adds the headers and a deadline and turns a status into an [`Error`]
//! that says which call failed on which object. No policy lives here: what to do on `NotFound`
//! is the caller's business.

mod away;
mod content;
mod error;
mod events;
mod snapshots;

use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use containerd_client::services::v1 as api;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::Pid;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

pub use api::snapshots::snapshots_client::SnapshotsClient;
pub use away::{ABSENCE, patiently};
pub use containerd_client::{services, types};
pub use content::Ingest;
pub use error::Error;

use crate::failure::{Context, Failure, Kind, Result as Outcome};

/// Where containerd listens unless told otherwise (containerd's own default).
pub const DEFAULT_ADDRESS: &str = "/run/containerd/containerd.sock";

/// How long one ordinary call may take before it counts as failed. Calls that wait for something
/// (a task's end, an unpack) say their own.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How long a socket of this host may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a socket is missing while containerd is restarted in good order.
const RESTART: Duration = Duration::from_secs(3);

/// Image indexes and specs may be large: containerd's own client raises the limit likewise.
const MAX_MESSAGE: usize = 16 << 20;

/// Result of one containerd call.
pub type Result<T> = std::result::Result<T, Error>;

/// A connection to one containerd, bound to one namespace and, once made, one lease.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    namespace: MetadataValue<Ascii>,
    lease: Option<MetadataValue<Ascii>>,
}

/// Generates an accessor per service: a tonic client on our channel with our size limits.
macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:ty;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $client {
                    <$client>::new(self.channel.clone())
                        .max_decoding_message_size(MAX_MESSAGE)
                        .max_encoding_message_size(MAX_MESSAGE)
                }
            )*
        }
    };
}

services! {
    /// Container records.
    containers: api::containers_client::ContainersClient<Channel>;
    /// The content store: blobs and their labels.
    content: api::content_client::ContentClient<Channel>;
    /// Applying layers to snapshots.
    diff: api::diff_client::DiffClient<Channel>;
    /// The stream of events.
    events: api::events_client::EventsClient<Channel>;
    /// Image records: names of root blobs.
    images: api::images_client::ImagesClient<Channel>;
    /// Which plugins containerd has.
    introspection: api::introspection_client::IntrospectionClient<Channel>;
    /// Leases: what keeps the collector away.
    leases: api::leases_client::LeasesClient<Channel>;
    /// Snapshots: root file systems.
    snapshots: SnapshotsClient<Channel>;
    /// Tasks: running containers.
    tasks: api::tasks_client::TasksClient<Channel>;
    /// containerd's version.
    version: api::version_client::VersionClient<Channel>;
}

impl Client {
    /// A client for the containerd at `address` (a path, or `unix://` and a path). Nothing is sent
    /// before the first call; a lost connection is made again by the next call. Must
    /// be called inside a tokio runtime, which the connection's task needs.
    pub fn new(address: &str, namespace: &str) -> Outcome<Self> {
        let path = socket_path(address)?;
        let channel = Endpoint::from_shared(format!("unix://{path}"))
            .or_fail(Kind::Usage, || {
                format!("invalid containerd address {address:?}")
            })?
            .connect_timeout(CONNECT_LIMIT)
            .connect_lazy();
        let namespace = namespace.parse().or_fail(Kind::Usage, || {
            format!("invalid containerd namespace {namespace:?}")
        })?;
        Ok(Self {
            channel,
            namespace,
            lease: None,
        })
    }

    /// The same connection with every later call under `lease`.
    pub fn with_lease(&self, lease: &str) -> Outcome<Self> {
        let lease = lease
            .parse()
            .or_fail(Kind::Usage, || format!("invalid lease id {lease:?}"))?;
        Ok(Self {
            lease: Some(lease),
            ..self.clone()
        })
    }

    /// The lease later calls are under.
    pub fn lease(&self) -> Option<&str> {
        self.lease.as_ref().and_then(|lease| lease.to_str().ok())
    }

    /// Sends `message` with our headers and [`DEADLINE`].
    ///
    /// `what` names the call and its object for the error: `("delete task", id)`.
    pub async fn call<M, R, F>(
        &self,
        what: (&'static str, &str),
        message: M,
        send: impl FnOnce(Request<M>) -> F,
    ) -> Result<R>
    where
        F: Future<Output = std::result::Result<Response<R>, Status>>,
    {
        self.call_within(DEADLINE, what, message, send).await
    }

    /// [`Client::call`] with a deadline of its own.
    pub async fn call_within<M, R, F>(
        &self,
        deadline: Duration,
        what: (&'static str, &str),
        message: M,
        send: impl FnOnce(Request<M>) -> F,
    ) -> Result<R>
    where
        F: Future<Output = std::result::Result<Response<R>, Status>>,
    {
        match tokio::time::timeout(deadline, send(self.request(message))).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Error::refused(what, &status)),
            Err(_) => Err(Error::late(what, deadline)),
        }
    }

    /// Whether containerd, at `address`, answers at all before `limit`; a refusal is an answer too.
    pub async fn answers_within(&self, limit: Duration, address: &str) -> Result<()> {
        let mut version = self.version();
        let what = ("get the version of", address);
        match self
            .call_within(limit, what, (), |request| version.version(request))
            .await
        {
            Err(why) if why.is_unreachable() => Err(why),
            _ => Ok(()),
        }
    }

    /// A request with our headers and no deadline, for streams.
    pub fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let headers = request.metadata_mut();
        headers.insert("containerd-namespace", self.namespace.clone());
        if let Some(lease) = &self.lease {
            headers.insert("containerd-lease", lease.clone());
        }
        request
    }
}

/// Connects to `address` and hangs up again: says whether anyone is there at all, in words that name
/// the socket and what to do.
pub async fn reach(address: &str) -> Outcome<()> {
    let path = socket_path(address)?;
    connect(path).await.map_err(|why| unreachable(path, why))
}

/// The same, with patience where containerd seems to be away for a moment only: its socket is there, as
/// after its death, or just gone, as in its orderly restart. `waiting` is told when the wait begins.
pub async fn reach_patiently(address: &str, waiting: impl FnOnce(&Failure)) -> Outcome<()> {
    let path = socket_path(address)?;
    let Err(why) = connect(path).await else {
        return Ok(());
    };
    let patience = match why.kind() {
        ErrorKind::ConnectionRefused if is_socket(path) => ABSENCE,
        ErrorKind::NotFound if Path::new(path).parent().is_some_and(Path::is_dir) => RESTART,
        _ => return Err(unreachable(path, why)),
    };
    waiting(&unreachable(path, why));
    patiently(patience, |_| reach(address)).await
}

async fn connect(path: &str) -> std::io::Result<()> {
    let connecting = tokio::net::UnixStream::connect(path);
    match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(connected) => connected.map(|_| ()),
        Err(_) => Err(ErrorKind::TimedOut.into()),
    }
}

fn is_socket(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn unreachable(path: &str, why: std::io::Error) -> Failure {
    let what = format!("cannot reach containerd at {path}");
    let (kind, hint) = match why.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => (
            Kind::ContainerdAway,
            "is it running (systemctl start containerd), and is this its socket? --address or CONTAINERD_ADDRESS names another",
        ),
        _ => (
            Kind::Containerd,
            "--address or CONTAINERD_ADDRESS names another socket",
        ),
    };
    Failure::new(kind, what).because(why).hint(hint)
}

/// The process that listens at `address`.
pub fn process(address: &str) -> Outcome<Pid> {
    let path = socket_path(address)?;
    let cannot = || format!("cannot tell which process listens at {path}");
    let connection = UnixStream::connect(path).or_fail(Kind::Containerd, cannot)?;
    let peer = getsockopt(&connection, PeerCredentials).or_fail(Kind::Host, cannot)?;
    match peer.pid() {
        0 => Err(Failure::host(cannot()).because("it is in another PID namespace")),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// The path in `address`; explains what a dockerd socket is not.
pub fn socket_path(address: &str) -> Outcome<&str> {
    let path = address.strip_prefix("unix://").unwrap_or(address);
    if !Path::new(path).is_absolute() {
        return Err(
            Failure::usage(format!("invalid containerd address {address:?}"))
                .because("it is not an absolute path, nor unix:// and an absolute path"),
        );
    }
    if path.ends_with("docker.sock") {
        return Err(Failure::usage(format!("cannot use {path}"))
            .because("it is dockerd's socket, and airtight talks to containerd directly")
            .hint(format!(
                "containerd listens at {DEFAULT_ADDRESS} by default"
            )));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_with_or_without_its_scheme() {
        assert_eq!(socket_path("/run/c.sock").unwrap(), "/run/c.sock");
        assert_eq!(socket_path("unix:///run/c.sock").unwrap(), "/run/c.sock");
        assert!(socket_path("tcp://host:1").is_err());
        let docker = socket_path("unix:///var/run/docker.sock").unwrap_err();
        assert!(docker.to_string().contains("dockerd"), "{docker}");
    }
}
