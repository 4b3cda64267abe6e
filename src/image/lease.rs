//! A lease around a piece of work: what it makes stays until something refers to it.
//!
//! containerd's collector removes whatever nothing refers to, at any time. A lease holds new blobs
//! and snapshots until the work has linked them; it is deleted when the work ends, however it
//! ends, and expires by itself should this process die. It says whose it is, so that `airtight reap` need not
//! wait for that.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use containerd_client::services::v1 as api;

use crate::containerd::{Client, Error};
use crate::failure::{Context, Kind, Result};
use crate::id::ContainerId;
use crate::owner::{Life, Owner};

/// Longer than any import takes (containerd's own client uses the same).
const EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);

/// The label containerd's collector reads (containerd, `docs/garbage-collection.md`).
const EXPIRE_LABEL: &str = "containerd.io/gc.expire";

/// Who made it.
const OWNER_LABEL: &str = "airtight.owner";

/// Runs `work` with a client whose calls are under a new lease, named after `purpose`.
///
/// After a failure the lease is deleted with a collection, so that nothing of the work is left
/// when this returns; after a success the work's results are linked and the collector may come
/// when it likes.
pub(crate) async fn under_lease<T>(
    client: &Client,
    purpose: &str,
    work: impl AsyncFnOnce(&Client) -> Result<T>,
) -> Result<T> {
    let id = format!("airtight-{purpose}-{}", ContainerId::random()?);
    create(client, &id).await?;
    let result = work(&client.with_lease(&id)?).await;
    let deleted = delete(client, &id, Collect::of(&result)).await;
    match (result, deleted) {
        (Ok(value), Ok(())) => Ok(value),
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(failure), Ok(())) => Err(failure),
        (Err(failure), Err(error)) => Err(failure.hint(format!(
            "lease {id} could not be deleted ({}); it expires within a day",
            error.message()
        ))),
    }
}

/// A lease of ours whose owner is dead.
#[derive(Debug)]
pub struct Left {
    /// Its name.
    pub id: String,
    /// Who made it.
    pub owner: Owner,
}

/// The leases that dead owners left: of pulls, imports and looks into images.
pub async fn left_over(client: &Client) -> Result<Vec<Left>> {
    let message = api::ListRequest {
        filters: vec![format!("labels.{OWNER_LABEL:?}")],
    };
    let mut leases = client.leases();
    let answer = client
        .call(("list", "leases"), message, |m| leases.list(m))
        .await?;
    let left = answer.leases.into_iter().filter_map(|lease| {
        let owner: Owner = serde_json::from_str(lease.labels.get(OWNER_LABEL)?).ok()?;
        let id = lease.id;
        (owner.life() == Life::Dead).then_some(Left { id, owner })
    });
    Ok(left.collect())
}

impl Left {
    /// Removes it, and what it alone has kept.
    pub async fn remove(&self, client: &Client) -> Result<(), Error> {
        delete(client, &self.id, Collect::Now).await
    }
}

/// Puts something that exists already under the client's lease, if it has one. `kind` is
/// containerd's word for a sort of resource, such as `snapshots/overlayfs`.
pub(super) async fn hold(client: &Client, kind: String, resource: &str) -> Result<(), Error> {
    let Some(lease) = client.lease() else {
        return Ok(());
    };
    let message = api::AddResourceRequest {
        id: lease.to_owned(),
        resource: Some(api::Resource {
            id: resource.to_owned(),
            r#type: kind,
        }),
    };
    let mut leases = client.leases();
    client
        .call(("lease", resource), message, |m| leases.add_resource(m))
        .await
}

/// Whether containerd collects before it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Collect {
    Now,
    Later,
}

impl Collect {
    fn of<T>(result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self::Later,
            Err(_) => Self::Now,
        }
    }
}

async fn create(client: &Client, id: &str) -> Result<()> {
    let owner = serde_json::to_string(&Owner::this_process()?)
        .or_fail(Kind::Host, || "cannot write a label")?;
    let expiry = humantime::format_rfc3339_seconds(SystemTime::now() + EXPIRY);
    let message = api::CreateRequest {
        id: id.to_owned(),
        labels: HashMap::from([
            (EXPIRE_LABEL.to_owned(), expiry.to_string()),
            (OWNER_LABEL.to_owned(), owner),
        ]),
    };
    let mut leases = client.leases();
    client
        .call(("create lease", id), message, |m| leases.create(m))
        .await?;
    Ok(())
}

async fn delete(client: &Client, id: &str, collect: Collect) -> Result<(), Error> {
    let message = api::DeleteRequest {
        id: id.to_owned(),
        sync: collect == Collect::Now,
    };
    let mut leases = client.leases();
    match client
        .call(("delete lease", id), message, |m| leases.delete(m))
        .await
    {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
