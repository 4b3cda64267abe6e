//! From what a user typed to the image that containerd has.
//!
//! The common case costs three calls, four with an index: record, (index,) manifest,
//! configuration, each needing the one before. Only a name that has no record of its own makes us
//! list all images: it may be an id, a digest, or a name that another tool stored differently.
//! Nothing is fetched and nothing is changed.

use std::str::FromStr;

use containerd_client::services::v1 as api;
use oci_spec::image::ImageManifest;

use super::descriptor::{Descriptor, Document};
use super::digest::Digest;
use super::platform::{self, Platform};
use super::{Image, MAX_CONFIG, MAX_DEPTH, MAX_MANIFEST, Reference};
use crate::containerd::{Client, Error};
use crate::failure::{Context, Failure, Kind, Result};

/// The fewest digits that are taken for an image id; fewer are names.
const MIN_ID: usize = 4;

/// Which image a user means: a name, the beginning of an id, or what may be either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    text: String,
    reference: Option<Reference>,
    id: Option<String>,
}

impl Wanted {
    /// The name, if what was typed can be one.
    pub fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// What was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a record of this name and target is meant by name.
    fn names(&self, record: &api::Image) -> bool {
        let Some(wanted) = &self.reference else {
            return false;
        };
        let Ok(stored) = record.name.parse::<Reference>() else {
            return record.name == self.text;
        };
        let target = record.target.as_ref().map_or("", |t| t.digest.as_str());
        match wanted.digest() {
            None => stored == *wanted,
            Some(digest) => {
                stored.repository() == wanted.repository()
                    && (wanted.tag().is_none() || stored.tag() == wanted.tag())
                    && digest.to_string() == target
            }
        }
    }

    /// Whether one of the image's digests begins with the wanted id.
    fn identifies(&self, image: &Image) -> bool {
        let digests = [&image.config_blob, &image.manifest, &image.target];
        let begins = |id: &String| digests.iter().any(|d| d.digest.hex().starts_with(id));
        self.id.as_ref().is_some_and(begins)
    }

    fn not_found(&self) -> Failure {
        Failure::new(Kind::Image, format!("image {:?} is not here", self.text))
            .because("containerd has no such name or id in this namespace")
            .hint("import it: airtight image import FILE")
            .hint("see what is here: airtight image ls")
    }
}

impl FromStr for Wanted {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is_id = (MIN_ID..=64).contains(&hex.len()) && hex.bytes().all(digits);
        let reference = match text.parse() {
            Ok(reference) => Some(reference),
            Err(_) if is_id => None,
            Err(failure) => return Err(failure),
        };
        Ok(Self {
            text: text.to_owned(),
            reference,
            id: is_id.then(|| hex.to_owned()),
        })
    }
}

impl From<Reference> for Wanted {
    fn from(reference: Reference) -> Self {
        Self {
            text: reference.to_string(),
            reference: Some(reference),
            id: None,
        }
    }
}

/// The image that is meant, for this host's platform.
pub async fn find(client: &Client, wanted: &Wanted) -> Result<Image> {
    if let Some(reference) = &wanted.reference
        && let Some(record) = get(client, &reference.to_string()).await?
    {
        return load(client, &record).await;
    }
    let records = all(client).await?;
    if let Some(record) = records.iter().find(|record| wanted.names(record)) {
        return load(client, record).await;
    }
    let mut images = identified(client, wanted, &records).await?;
    match images.is_empty() {
        true => Err(wanted.not_found()),
        false => Ok(images.swap_remove(0)),
    }
}

/// The records a user means, which several may be when an id has several names.
pub(super) async fn named(client: &Client, wanted: &Wanted) -> Result<Vec<String>> {
    let records = all(client).await?;
    let by_name: Vec<String> = records
        .iter()
        .filter(|record| wanted.names(record))
        .map(|record| record.name.clone())
        .collect();
    if !by_name.is_empty() {
        return Ok(by_name);
    }
    let images = identified(client, wanted, &records).await?;
    if images.is_empty() {
        return Err(wanted.not_found());
    }
    Ok(images.into_iter().map(|image| image.name).collect())
}

/// All records of one image that is meant by id; none if there is no such image.
async fn identified(
    client: &Client,
    wanted: &Wanted,
    records: &[api::Image],
) -> Result<Vec<Image>> {
    let mut found: Vec<Image> = Vec::new();
    if wanted.id.is_none() {
        return Ok(found);
    }
    for record in records {
        // An image whose content is incomplete has no id to be found by.
        let Ok(image) = load(client, record).await else {
            continue;
        };
        if !wanted.identifies(&image) {
            continue;
        }
        if found
            .first()
            .is_some_and(|other| other.config_blob.digest != image.config_blob.digest)
        {
            let what = format!("image id {:?} is ambiguous", wanted.text);
            return Err(Failure::new(Kind::Image, what)
                .because(format!("{} and {} begin so", found[0].name, image.name))
                .hint("give more digits of the id, or the name"));
        }
        found.push(image);
    }
    Ok(found)
}

async fn get(client: &Client, name: &str) -> Result<Option<api::Image>> {
    let message = api::GetImageRequest {
        name: name.to_owned(),
    };
    let mut images = client.images();
    match client
        .call(("find image", name), message, |m| images.get(m))
        .await
    {
        Ok(answer) => Ok(answer.image),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Every image record of the namespace, by name.
pub(super) async fn all(client: &Client) -> Result<Vec<api::Image>> {
    let mut images = client.images();
    let message = api::ListImagesRequest::default();
    let answer = client
        .call(("list images of", "the namespace"), message, |m| {
            images.list(m)
        })
        .await?;
    let mut records = answer.images;
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

/// Reads what a record points to.
pub(super) async fn load(client: &Client, record: &api::Image) -> Result<Image> {
    let name = &record.name;
    let broken = || format!("image {name} cannot be used");
    let target = record.target.clone().unwrap_or_default();
    let target = Descriptor::received(&target).or_fail(Kind::Image, broken)?;
    let (manifest, document) = manifest(client, name, target.clone()).await?;
    let config = Descriptor::of(document.config()).or_fail(Kind::Image, broken)?;
    let config = read(client, name, &config.digest, MAX_CONFIG).await?;
    Image::assemble(name, target, manifest, &document, &config).or_fail(Kind::Image, broken)
}

/// Follows indexes down to the manifest for this host.
async fn manifest(
    client: &Client,
    name: &str,
    mut descriptor: Descriptor,
) -> Result<(Descriptor, ImageManifest)> {
    let broken = || format!("image {name} cannot be used");
    for _ in 0..MAX_DEPTH {
        let bytes = read(client, name, &descriptor.digest, MAX_MANIFEST).await?;
        match descriptor.document(&bytes).or_fail(Kind::Image, broken)? {
            Document::Manifest(manifest) => return Ok((descriptor, manifest)),
            Document::Index(index) => {
                let platform = Platform::host();
                let chosen = platform.choose(&index).ok_or_else(|| {
                    Failure::new(Kind::Image, format!("image {name} is not for {platform}"))
                        .because(format!("it is for {}", platform::offered(&index)))
                })?;
                descriptor = Descriptor::of(chosen).or_fail(Kind::Image, broken)?;
            }
        }
    }
    Err(Failure::new(Kind::Image, broken()).because("its indexes are nested too deep"))
}

async fn read(client: &Client, name: &str, digest: &Digest, limit: usize) -> Result<Vec<u8>> {
    client
        .read_blob(&digest.to_string(), limit)
        .await
        .map_err(|error| unreadable(name, error))
}

fn unreadable(name: &str, error: Error) -> Failure {
    if error.is_unreachable() {
        return error.into();
    }
    let missing = error.is_not_found();
    let failure = Failure::new(Kind::Image, format!("image {name} is incomplete")).because(error);
    match missing {
        true => failure.hint("import it again: airtight image import FILE"),
        false => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_client::types;

    fn record(name: &str, digest: &str) -> api::Image {
        api::Image {
            name: name.to_owned(),
            target: Some(types::Descriptor {
                digest: digest.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn wanted(text: &str) -> Wanted {
        text.parse().unwrap()
    }

    #[test]
    fn hexadecimal_text_may_be_an_id_and_a_name() {
        let both = wanted("cafe");
        assert!(both.id.is_some() && both.reference.is_some());
        assert!(wanted("abc").id.is_none());
        let whole = "0".repeat(64);
        assert!(wanted(&whole).reference.is_none());
        assert_eq!(wanted(&format!("sha256:{whole}")).id, Some(whole));
        assert!("0".repeat(65).parse::<Wanted>().unwrap().id.is_none());
        assert!("Not A Name".parse::<Wanted>().is_err());
    }

    #[test]
    fn a_name_that_another_tool_stored_short_is_found_by_its_long_form() {
        let short = record("busybox:test", "");
        assert!(wanted("docker.io/library/busybox:test").names(&short));
        assert!(!wanted("busybox:other").names(&short));
    }

    #[test]
    fn a_name_with_a_digest_finds_the_tag_that_points_there() {
        let digest = Digest::of(b"x").to_string();
        let tagged = record("docker.io/library/busybox:1", &digest);
        assert!(wanted(&format!("busybox@{digest}")).names(&tagged));
        assert!(wanted(&format!("busybox:1@{digest}")).names(&tagged));
        assert!(!wanted(&format!("busybox:2@{digest}")).names(&tagged));
        assert!(!wanted(&format!("other@{digest}")).names(&tagged));
        let moved = record("docker.io/library/busybox:1", "sha256:0");
        assert!(!wanted(&format!("busybox@{digest}")).names(&moved));
    }
}
