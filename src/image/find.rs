//! From what a user typed to the image that containerd has.
//!
//! The common case costs three calls, four with an index: record, (index,) manifest,
//! configuration, each needing the one before. Only a name that has no record of its own makes us
//! list all images: it may be an id, a digest, or a name that another tool stored differently.
//! Nothing is fetched and nothing is changed.

use containerd_client::services::v1 as api;
use oci_spec::image::ImageManifest;

use super::descriptor::{Descriptor, Document};
use super::digest::Digest;
use super::platform::{self, Platform};
use super::{Image, MAX_CONFIG, MAX_DEPTH, MAX_MANIFEST, Wanted};
use crate::containerd::{Client, Error};
use crate::failure::{Context, Failure, Kind, Result};

/// The image that is meant, for this host's platform.
pub async fn find(client: &Client, wanted: &Wanted) -> Result<Image> {
    if let Some(reference) = wanted.reference()
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

/// The records a user means, which several may be when an id has several names; none if nothing is meant.
pub(super) async fn named(client: &Client, wanted: &Wanted) -> Result<Vec<api::Image>> {
    let records = all(client).await?;
    let by_name: Vec<api::Image> = records
        .iter()
        .filter(|record| wanted.names(record))
        .cloned()
        .collect();
    if !by_name.is_empty() {
        return Ok(by_name);
    }
    let images = identified(client, wanted, &records).await?;
    let is_one = |record: &api::Image| images.iter().any(|image| image.name == record.name);
    Ok(records.into_iter().filter(is_one).collect())
}

/// All records of one image that is meant by id; none if there is no such image.
async fn identified(
    client: &Client,
    wanted: &Wanted,
    records: &[api::Image],
) -> Result<Vec<Image>> {
    let mut found: Vec<Image> = Vec::new();
    if !wanted.may_be_id() {
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
        if let Some(other) = found.first()
            && other.config_blob.digest != image.config_blob.digest
        {
            let what = format!("image id {:?} is ambiguous", wanted.as_str());
            return Err(Failure::new(Kind::Image, what)
                .because(format!("{} and {} begin so", other.name, image.name))
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
            Document::Manifest(manifest) => return Ok((descriptor, *manifest)),
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
        true => failure.hint(format!(
            "pull or import it again: airtight image pull {name}"
        )),
        false => failure,
    }
}
