//! What images there are.

use super::find::{all, load};
use super::{Image, Reference};
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
    let mut listed = Vec::new();
    for record in all(client).await? {
        listed.push(Listed {
            image: load(client, &record).await,
            target: record.target.unwrap_or_default().digest,
            name: record.name,
        });
    }
    Ok(listed)
}
