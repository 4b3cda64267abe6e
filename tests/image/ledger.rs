//! What containerd has in a namespace: a test's before and after must be equal.

use airtight::containerd::Client;
use airtight::containerd::services::v1 as api;
use airtight::containerd::services::v1::snapshots::ListSnapshotsRequest;
use airtight::image::unpack::DEFAULT_SNAPSHOTTER;

/// Everything of a namespace that an import, an unpack or a removal touches.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub images: Vec<String>,
    pub blobs: Vec<String>,
    pub ingests: Vec<String>,
    pub leases: Vec<String>,
    pub snapshots: Vec<String>,
}

impl Ledger {
    pub async fn of(client: &Client) -> Self {
        let request = client.request(api::ListImagesRequest::default());
        let images = client.images().list(request).await.unwrap().into_inner();
        let request = client.request(api::ListStatusesRequest::default());
        let ingests = client.content().list_statuses(request).await.unwrap();
        let request = client.request(api::ListRequest::default());
        let leases = client.leases().list(request).await.unwrap().into_inner();
        let mut ledger = Self {
            images: images.images.into_iter().map(|i| i.name).collect(),
            ingests: ingests
                .into_inner()
                .statuses
                .into_iter()
                .map(|s| s.r#ref)
                .collect(),
            leases: leases.leases.into_iter().map(|l| l.id).collect(),
            blobs: blobs(client).await,
            snapshots: snapshots(client).await,
        };
        for list in [
            &mut ledger.images,
            &mut ledger.ingests,
            &mut ledger.leases,
            &mut ledger.blobs,
            &mut ledger.snapshots,
        ] {
            list.sort();
        }
        ledger
    }
}

async fn blobs(client: &Client) -> Vec<String> {
    let request = client.request(api::ListContentRequest::default());
    let mut stream = client.content().list(request).await.unwrap().into_inner();
    let mut digests = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        digests.extend(part.info.into_iter().map(|info| info.digest));
    }
    digests
}

async fn snapshots(client: &Client) -> Vec<String> {
    let request = client.request(ListSnapshotsRequest {
        snapshotter: DEFAULT_SNAPSHOTTER.to_owned(),
        ..Default::default()
    });
    let mut stream = client.snapshots().list(request).await.unwrap().into_inner();
    let mut names = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        names.extend(part.info.into_iter().map(|info| info.name));
    }
    names
}
