//! Removing an image's name, and with the last one its content.
//!
//! containerd's collector does the rest before it answers: when this returns, blobs and snapshots
//! that nothing else refers to are gone.

use containerd_client::services::v1 as api;

use super::wanted::SEE;
use super::{Wanted, find};
use crate::containerd::Client;
use crate::failure::{Failure, Kind, Result};

/// What to do about containers that were made from an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Refuse to remove it.
    Respect,
    /// Remove the name; a container keeps its own file system as long as it exists.
    Ignore,
}

/// Removes what `wanted` means and says the names that are gone. An id with several names removes
/// them all, but only with [`Users::Ignore`].
pub async fn remove(client: &Client, wanted: &Wanted, users: Users) -> Result<Vec<String>> {
    let records = find::named(client, wanted).await?;
    if records.is_empty() {
        return Err(wanted.missing().hint(SEE));
    }
    let names: Vec<String> = records.into_iter().map(|record| record.name).collect();
    if users == Users::Respect {
        if names.len() > 1 {
            let what = format!("cannot remove image {:?}", wanted.as_str());
            return Err(Failure::new(Kind::Image, what)
                .because(format!("it has several names: {}", names.join(", ")))
                .hint("name one of them, or remove them all with --force"));
        }
        for name in &names {
            refuse_used(client, name).await?;
        }
    }
    for name in &names {
        delete(client, name).await?;
    }
    Ok(names)
}

async fn refuse_used(client: &Client, name: &str) -> Result<()> {
    let message = api::ListContainersRequest {
        // A Go string literal, as containerd's filters have them; names have no quotes in them.
        filters: vec![format!("image=={name:?}")],
    };
    let mut containers = client.containers();
    let answer = client
        .call(("list containers of", name), message, |m| {
            containers.list(m)
        })
        .await?;
    let users: Vec<String> = answer.containers.into_iter().map(|c| c.id).collect();
    if users.is_empty() {
        return Ok(());
    }
    let what = format!("cannot remove image {name:?}");
    Err(Failure::new(Kind::Image, what)
        .because(format!("containers use it: {}", users.join(", ")))
        .hint("remove them first, or remove only the name with --force"))
}

async fn delete(client: &Client, name: &str) -> Result<()> {
    let message = api::DeleteImageRequest {
        name: name.to_owned(),
        sync: true,
        ..Default::default()
    };
    let mut images = client.images();
    match client
        .call(("remove image", name), message, |m| images.delete(m))
        .await
    {
        // Somebody else removed it meanwhile.
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
