//! What an image consists of, as its registry says: index, manifest, configuration.
//!
//! In: a name and a platform. Out: the image and its documents, each compared with its digest and its
//! size, all within bounds. What containerd has is not fetched again. Nothing is stored here.

mod belief;

use oci_spec::image::ImageManifest;

use self::belief::{kind, same};
use super::registry::{Repository, Trouble};
use super::{Watch, patiently};
use crate::containerd::Client;
use crate::failure::{Context, Failure, Kind, Result};
use crate::image::descriptor::{Descriptor, Document as Read, MANIFESTS};
use crate::image::digest::Digest;
use crate::image::labels::{self, Labels};
use crate::image::platform::{self, Platform};
use crate::image::{Image, MAX_CONFIG, MAX_DEPTH, Reference};

/// The longest manifest or index that is fetched (OCI distribution specification, "Pushing
/// Manifests": registries take 4 MiB).
const MAX_FETCHED: usize = 4 << 20;

/// What there is to know before the first layer.
#[derive(Debug)]
pub(super) struct Documents {
    pub image: Image,
    /// Each after those it refers to.
    pub all: Vec<Document>,
}

/// A small blob.
#[derive(Debug)]
pub(super) struct Document {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
    pub links: Labels,
}

/// Where documents come from.
pub(super) struct Source<'a> {
    pub client: &'a Client,
    pub repository: &'a Repository,
    pub name: &'a Reference,
    pub platform: &'a Platform,
    pub watch: Watch<'a>,
}

impl Source<'_> {
    /// Reads them all.
    pub async fn read(&self) -> Result<Documents> {
        let (root, bytes) = self.root().await?;
        let (mut all, manifest) = self.follow(root.clone(), bytes).await?;
        let config =
            Descriptor::of(manifest.config()).or_fail(Kind::Image, || "its manifest is broken")?;
        if !config.is_config() {
            let what = format!("it is no container image but {:?}", config.media_type);
            return Err(Failure::new(Kind::Image, what));
        }
        let bytes = self.get(&config, MAX_CONFIG).await?;
        let chosen = all
            .first()
            .map_or(&root, |document| &document.descriptor)
            .clone();
        let name = self.name.to_string();
        let image = Image::assemble(&name, root, chosen, &manifest, &bytes)
            .or_fail(Kind::Image, || "its documents make no image")?;
        self.check(&image)?;
        let config = Document {
            descriptor: config,
            bytes,
            links: Labels::new(),
        };
        all.insert(0, config);
        Ok(Documents { image, all })
    }

    fn check(&self, image: &Image) -> Result<()> {
        if !self.platform.fits(&image.config) {
            let (os, architecture) = (image.config.os(), image.config.architecture());
            return Err(self.wrong_platform(&format!("{os}/{architecture}")));
        }
        match image.layers.iter().find(|layer| !layer.blob.is_layer()) {
            Some(layer) => {
                let (digest, kind) = (layer.blob.digest, &layer.blob.media_type);
                let what = format!(
                    "layer {digest} is {kind:?}, which is no layer to be fetched and unpacked"
                );
                Err(Failure::new(Kind::Image, what))
            }
            None => Ok(()),
        }
    }

    fn wrong_platform(&self, offered: &str) -> Failure {
        let what = format!("it is for {offered}, not for {}", self.platform);
        Failure::new(Kind::Image, what).hint("--platform OS/ARCHITECTURE[/VARIANT] names another")
    }

    /// What the name points to.
    async fn root(&self) -> Result<(Descriptor, Vec<u8>)> {
        if let Some(digest) = self.name.digest() {
            return self.by_digest(*digest, None).await;
        }
        let tag = self.name.tag().unwrap_or_default();
        let pointed = patiently(self.watch, || self.repository.point(tag)).await?;
        match pointed.digest {
            Some(digest) => self.by_digest(digest, Some(&pointed.media_type)).await,
            None => {
                let fetch = || self.repository.manifest(tag, MAX_FETCHED);
                let (media_type, bytes) = patiently(self.watch, fetch).await?;
                let kind = kind(&media_type, &bytes)?;
                let size = bytes.len() as u64;
                Ok((Descriptor::new(&kind, Digest::of(&bytes), size), bytes))
            }
        }
    }

    async fn by_digest(
        &self,
        digest: Digest,
        media_type: Option<&str>,
    ) -> Result<(Descriptor, Vec<u8>)> {
        let here = self.here(&digest, MAX_FETCHED).await?;
        let (media_type, bytes) = match here {
            Some(bytes) => (media_type.unwrap_or_default().to_owned(), bytes),
            None => self.manifest(&digest).await?,
        };
        let kind = kind(&media_type, &bytes)?;
        let size = bytes.len() as u64;
        Ok((Descriptor::new(&kind, digest, size), bytes))
    }

    /// Follows indexes down to the manifest for the platform; the documents from the manifest up.
    async fn follow(
        &self,
        mut descriptor: Descriptor,
        mut bytes: Vec<u8>,
    ) -> Result<(Vec<Document>, ImageManifest)> {
        let broken = || "its index or manifest is broken";
        let mut all = Vec::new();
        for _ in 0..MAX_DEPTH {
            match descriptor.document(&bytes).or_fail(Kind::Image, broken)? {
                Read::Manifest(manifest) => {
                    let links = labels::of_manifest(&manifest);
                    all.insert(
                        0,
                        Document {
                            descriptor,
                            bytes,
                            links,
                        },
                    );
                    return Ok((all, *manifest));
                }
                Read::Index(index) => {
                    let chosen = self.platform.choose(&index);
                    let chosen =
                        chosen.ok_or_else(|| self.wrong_platform(&platform::offered(&index)))?;
                    let next = Descriptor::of(chosen).or_fail(Kind::Image, broken)?;
                    let links = labels::of_index(&index, &next.digest);
                    let inner = self.get(&next, MAX_FETCHED).await?;
                    all.insert(
                        0,
                        Document {
                            descriptor,
                            bytes,
                            links,
                        },
                    );
                    kind(&next.media_type, &inner)?;
                    (descriptor, bytes) = (next, inner);
                }
            }
        }
        Err(Failure::new(Kind::Image, "its indexes are nested too deep"))
    }

    /// A document of which everything is known, from containerd or else from the registry.
    async fn get(&self, wanted: &Descriptor, limit: usize) -> Result<Vec<u8>> {
        let digest = wanted.digest;
        if usize::try_from(wanted.size).map_or(true, |size| size > limit) {
            let what = format!("{digest} has {} bytes, {limit} are the limit", wanted.size);
            return Err(Failure::new(Kind::Image, what));
        }
        let bytes = match self.here(&digest, limit).await? {
            Some(bytes) => bytes,
            None if MANIFESTS.contains(&wanted.media_type.as_str()) => {
                self.manifest(&digest).await?.1
            }
            None => {
                let fetch = || self.blob(&digest, limit);
                patiently(self.watch, fetch).await?
            }
        };
        if bytes.len() as u64 != wanted.size {
            let what = format!(
                "{digest} has {} bytes, not {} as is said of it",
                bytes.len(),
                wanted.size
            );
            return Err(Failure::new(Kind::Image, what));
        }
        Ok(bytes)
    }

    async fn manifest(&self, digest: &Digest) -> Result<(String, Vec<u8>)> {
        let text = digest.to_string();
        let fetch = || self.repository.manifest(&text, MAX_FETCHED);
        let (media_type, bytes) = patiently(self.watch, fetch).await?;
        same(digest, &bytes)?;
        Ok((media_type, bytes))
    }

    async fn blob(&self, digest: &Digest, limit: usize) -> Result<Vec<u8>, Trouble> {
        let bytes = self
            .repository
            .blob(digest, 0)
            .await?
            .body
            .all(limit)
            .await?;
        same(digest, &bytes)?;
        Ok(bytes)
    }

    /// What containerd has of it.
    async fn here(&self, digest: &Digest, limit: usize) -> Result<Option<Vec<u8>>> {
        match self.client.read_blob(&digest.to_string(), limit).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
