//! From a registry to an image that containerd keeps.
//!
//! A name goes in; the image comes out, stored, unpacked and named. Layers come several at once, what
//! is here is not fetched, and everything is compared with its digest before anything has a name. All
//! of it happens under one lease: a pull that fails or is interrupted leaves nothing. (What a killed
//! one leaves is under its lease, and the next pull goes on where it ended.)

mod documents;
mod layer;
pub mod registry;

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use self::documents::{Document, Documents, Source};
use self::layer::Layer;
use self::registry::{Registries, Repository, Sort, Trouble};
use super::descriptor::Descriptor;
use super::labels::Labels;
use super::lease::under_lease;
use super::platform::Platform;
use super::progress::{Fetched, Progress, Report};
use super::store::{self, Blob};
use super::unpack::{self, Unpack};
use super::{Image, Reference, record};
use crate::containerd::Client;
use crate::failure::{Failure, Result};

/// How many layers come at once (docker's `max-concurrent-downloads`).
const AT_ONCE: usize = 3;

/// How often something small is asked for.
const ATTEMPTS: u32 = 3;

/// How long to wait before the second time; each later wait is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest wait, whatever a registry asks for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What to pull, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which of an index's images.
    pub platform: Platform,
    /// How registries are reached.
    pub registry: registry::Options,
}

/// Who is told how it goes.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Each step.
    pub report: Report<'a>,
    /// What a user should know, in words.
    pub note: &'a (dyn Fn(String) + Sync),
}

/// One image that was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// Its name.
    pub name: Reference,
    /// What it is.
    pub image: Image,
    /// How many bytes of it came from the registry.
    pub fetched: u64,
}

/// Pulls images for one command, which share connections and the number of downloads at once.
pub struct Puller<'a> {
    client: &'a Client,
    options: Options,
    registries: Registries,
    downloads: Semaphore,
}

impl<'a> Puller<'a> {
    /// Nothing is asked yet.
    pub fn new(client: &'a Client, options: Options) -> Self {
        Self {
            client,
            registries: Registries::new(options.registry.clone()),
            options,
            downloads: Semaphore::new(AT_ONCE),
        }
    }

    /// Pulls and unpacks `name`. When `stop` comes true, the pull fails with what it says, and leaves nothing.
    pub async fn pull(
        &self,
        name: &Reference,
        unpack: &Unpack,
        watch: Watch<'_>,
        stop: impl Future<Output = Failure>,
    ) -> Result<Pulled> {
        under_lease(self.client, "pull", async |client| {
            tokio::select! {
                biased;
                failure = stop => Err(failure),
                result = self.carry_out(client, name, unpack, watch) => result.map_err(|failure| {
                    let kind = failure.kind();
                    Failure::new(kind, format!("cannot pull {}", name.familiar())).because(failure)
                }),
            }
        })
        .await
    }

    async fn carry_out(
        &self,
        client: &Client,
        name: &Reference,
        unpack: &Unpack,
        watch: Watch<'_>,
    ) -> Result<Pulled> {
        let repository = self.registries.repository(name, watch.note).await?;
        let source = Source {
            client,
            repository: &repository,
            name,
            platform: &self.options.platform,
            watch,
        };
        let Documents { image, all } = source.read().await?;
        let birth = birth(name);
        let mut fetched = self
            .layers(client, &image, &repository, &birth, watch)
            .await?;
        for document in &all {
            fetched += keep(client, document, &birth).await?;
        }
        if let Unpack::With(snapshotters) = unpack {
            for snapshotter in snapshotters {
                unpack::unpack(client, &image, snapshotter, watch.report).await?;
            }
        }
        record::name(client, &name.to_string(), &image.target).await?;
        Ok(Pulled {
            name: name.clone(),
            image,
            fetched,
        })
    }

    /// Stores the layers that are missing; how many bytes came.
    async fn layers(
        &self,
        client: &Client,
        image: &Image,
        repository: &Repository,
        birth: &Labels,
        watch: Watch<'_>,
    ) -> Result<u64> {
        let mut seen = HashSet::new();
        let blobs = image.layers.iter().map(|layer| &layer.blob);
        let blobs: Vec<&Descriptor> = blobs.filter(|blob| seen.insert(blob.digest)).collect();
        (watch.report)(Progress::Resolved {
            target: image.target.digest,
            layers: blobs.len(),
            bytes: blobs
                .iter()
                .map(|blob| blob.size)
                .fold(0, u64::saturating_add),
        });
        let store = async |blob: &Descriptor| -> Result<u64> {
            // Never closed.
            let _slot = self.downloads.acquire().await;
            let what = Blob {
                descriptor: blob,
                links: &Labels::new(),
                birth,
            };
            let mut layer = Layer::new(repository, blob, watch);
            let fetched = store::store(client, what, &mut layer, watch.report).await?;
            (watch.report)(Progress::Layer {
                digest: blob.digest,
                bytes: blob.size,
                fetched,
            });
            Ok(counted(fetched, blob.size))
        };
        stream::iter(blobs.into_iter().map(store))
            .buffer_unordered(AT_ONCE)
            .try_fold(0_u64, async |sum, bytes| Ok(sum.saturating_add(bytes)))
            .await
    }
}

/// Where a blob came from, for tools that push it again (containerd, `docs/content-flow.md`).
fn birth(name: &Reference) -> Labels {
    let key = format!("containerd.io/distribution.source.{}", name.domain());
    Labels::from([(key, name.path().to_owned())])
}

async fn keep(client: &Client, document: &Document, birth: &Labels) -> Result<u64> {
    let what = Blob {
        descriptor: &document.descriptor,
        links: &document.links,
        birth,
    };
    let mut bytes = Memory(document);
    let fetched = store::store(client, what, &mut bytes, &|_| ()).await?;
    Ok(counted(fetched, document.descriptor.size))
}

fn counted(fetched: Fetched, bytes: u64) -> u64 {
    match fetched {
        Fetched::Now => bytes,
        Fetched::Already => 0,
    }
}

/// A document that has been read.
struct Memory<'a>(&'a Document);

impl store::Source for Memory<'_> {
    async fn piece(&mut self, position: u64) -> Result<Vec<u8>> {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        Ok(self.0.bytes.get(start..).unwrap_or_default().to_vec())
    }

    fn fail(&self, why: String) -> Failure {
        let what = format!("cannot keep {}", self.0.descriptor.digest);
        Failure::new(crate::failure::Kind::Image, what).because(why)
    }
}

/// Asks for something small, several times where the trouble may pass.
async fn patiently<T, F>(watch: Watch<'_>, ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut times = 1;
    loop {
        let trouble = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(trouble) => trouble,
        };
        let Sort::Passing(pause) = trouble.sort else {
            return Err(trouble.failure());
        };
        let failure = trouble.failure();
        if times >= ATTEMPTS {
            return Err(failure);
        }
        let pause = pause_after(times, pause);
        let wait = humantime::format_duration(pause);
        (watch.note)(format!("{failure}; asking again in {wait}"));
        tokio::time::sleep(pause).await;
        times += 1;
    }
}

/// How long to wait after the trouble number `times`, of a registry that asks for `pause`.
fn pause_after(times: u32, pause: Option<Duration>) -> Duration {
    let own = PAUSE * 2_u32.saturating_pow(times.saturating_sub(1));
    pause.unwrap_or(own).max(own).min(MAX_PAUSE)
}
