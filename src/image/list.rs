//! What images there are.

use containerd_client::services::v1 as api;

use super::find::{all, load, named};
use super::{Image, Reference, Wanted};
use crate::containerd::Client;
use crate::failure::Result;

/// One record of the namespace.
#[derive(Debug)]
pub struct Listed {
    /// Its name as containerd has it.
    pub name: String,
    /// The digest the name points to.
    pub target: String,
    /// The image for this host, or why there is none: the record of a broken image is a record.
    pub image: Result<Image>,
}

impl Listed {
    /// The name in its parts, should it be one that follows the rules.
    pub fn reference(&self) -> Option<Reference> {
        self.name.parse().ok()
    }
}

/// All image records of the namespace, by name.
pub async fn list(client: &Client) -> Result<Vec<Listed>> {
    loaded(client, all(client).await?).await
}

/// Only those that a user means, each once.
pub async fn list_only(client: &Client, wanted: &[&Wanted]) -> Result<Vec<Listed>> {
    let mut records = Vec::new();
    for wanted in wanted {
        records.extend(named(client, wanted).await?);
    }
    records.sort_by(|a, b| a.name.cmp(&b.name));
    records.dedup_by(|a, b| a.name == b.name);
    loaded(client, records).await
}

async fn loaded(client: &Client, records: Vec<api::Image>) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for record in records {
        listed.push(Listed {
            image: load(client, &record).await,
            target: record.target.unwrap_or_default().digest,
            name: record.name,
        });
    }
    Ok(listed)
}
