//! Images on a real containerd: importing, finding, unpacking, removing.
//!
//! Needs the address of a containerd of its own in AIRTIGHT_TEST_ADDRESS (`scripts/with-containerd`
//! starts one). Every test has a namespace of its own and leaves it as empty as it found it.

mod archives;
mod broken;
mod ledger;

use std::future::{Future, pending};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use airtight::containerd::Client;
use airtight::containerd::services::v1 as api;
use airtight::failure::{Failure, Kind, Result};
use airtight::image::import::{Archive, Imported, Options, Source, import};
use airtight::image::remove::{Users, remove};
use airtight::image::unpack::DEFAULT_SNAPSHOTTER;
use airtight::image::unpack::Unpack;
use airtight::image::{Wanted, ensure_unpacked, find, list};
use archives::{architecture, blob_name, config, descriptor, index, layer, manifest, oci};
use ledger::Ledger;
use serde_json::json;

const NAME: &str = "docker.io/library/x:1";

/// Runs a test in a namespace called `name`, and compares the namespace before and after.
fn in_namespace<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Client) -> F) {
    let address = std::env::var("AIRTIGHT_TEST_ADDRESS").expect(
        "AIRTIGHT_TEST_ADDRESS must name the socket of a containerd for tests: run this with scripts/with-containerd",
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // A run that failed may have left something in the namespaces it used.
        let namespace = format!("{name}-{}", std::process::id());
        let client = Client::new(&address, &namespace).unwrap();
        assert_eq!(Ledger::of(&client).await, Ledger::default(), "before");
        test(client.clone()).await;
        assert_eq!(Ledger::of(&client).await, Ledger::default(), "after");
    });
}

fn unpacked() -> Options {
    Options {
        tag: None,
        unpack: Unpack::With(vec![DEFAULT_SNAPSHOTTER.to_owned()]),
    }
}

async fn import_with(client: &Client, file: &Path, options: &Options) -> Result<Vec<Imported>> {
    let archive = Archive::open(&Source::File(file.to_owned()))?;
    import(client, &archive, options, &|_| (), pending()).await
}

async fn import_archive(client: &Client, archive: &archives::Archive) -> Result<Vec<Imported>> {
    import_with(client, archive.write().path(), &unpacked()).await
}

fn wanted(text: &str) -> Wanted {
    text.parse().unwrap()
}

async fn remove_image(client: &Client, name: &str) {
    remove(client, &wanted(name), Users::Respect).await.unwrap();
}

/// Makes containerd collect now.
async fn collect(client: &Client) {
    let id = "collect".to_owned();
    let request = api::CreateRequest {
        id: id.clone(),
        ..Default::default()
    };
    let request = client.request(request);
    client.leases().create(request).await.unwrap();
    let request = client.request(api::DeleteRequest { id, sync: true });
    client.leases().delete(request).await.unwrap();
}

#[test]
fn an_imported_image_survives_a_collection_and_is_gone_once_removed() {
    in_namespace("survives", async |client| {
        let (a, b) = (layer("a", "1"), layer("b", "2"));
        let archive = oci(NAME, &config("", &[&a, &b]), &[&a, &b]);
        import_archive(&client, &archive).await.unwrap();
        let before = Ledger::of(&client).await;
        assert_eq!((before.blobs.len(), before.snapshots.len()), (4, 2));
        collect(&client).await;
        assert_eq!(Ledger::of(&client).await, before);
        let image = find(&client, &wanted("x:1")).await.unwrap();
        let top = image.chain_id().unwrap().to_string();
        assert!(before.snapshots.contains(&top));
        remove_image(&client, "x:1").await;
    });
}

#[test]
fn importing_twice_changes_nothing() {
    in_namespace("twice", async |client| {
        let a = layer("a", "1");
        let archive = oci(NAME, &config("", &[&a]), &[&a]);
        import_archive(&client, &archive).await.unwrap();
        let before = Ledger::of(&client).await;
        import_archive(&client, &archive).await.unwrap();
        assert_eq!(Ledger::of(&client).await, before);
        remove_image(&client, NAME).await;
    });
}

#[test]
fn a_docker_save_archive_with_linked_layers_is_imported() {
    in_namespace("save", async |client| {
        let (a, b) = (layer("a", "1"), layer("b", "2"));
        let archive = archives::Archive::default()
            .file("c.json", config("", &[&a, &b, &b]))
            .file("1/layer.tar", a)
            .file("2/layer.tar", b)
            .link("3/layer.tar", "../2/layer.tar")
            .file(
                "manifest.json",
                archives::save_manifest(
                    "c.json",
                    &["x:1", "x:2"],
                    &["1/layer.tar", "2/layer.tar", "3/layer.tar"],
                ),
            );
        let imported = import_archive(&client, &archive).await.unwrap();
        assert_eq!(imported[0].names.len(), 2);
        assert_eq!(Ledger::of(&client).await.snapshots.len(), 3);
        collect(&client).await;
        remove_image(&client, "x:1").await;
        find(&client, &wanted("x:2")).await.unwrap();
        remove_image(&client, "x:2").await;
    });
}

#[test]
fn a_newer_docker_save_archive_keeps_its_digest_and_takes_names_from_both_lists() {
    in_namespace("save25", async |client| {
        let a = layer("a", "1");
        let config = config("", &[&a]);
        let tags = archives::save_manifest(&blob_name(&config), &["x:1", "x:2"], &[&blob_name(&a)]);
        let archive = oci(NAME, &config, &[&a]).file("manifest.json", tags);
        let imported = import_archive(&client, &archive).await.unwrap();
        let names: Vec<String> = imported[0].names.iter().map(|n| n.familiar()).collect();
        assert_eq!(names, ["x:1", "x:2"]);
        let manifest = manifest(&config, &[&a]);
        let stated = descriptor(archives::MANIFEST, &manifest)["digest"].clone();
        assert_eq!(json!(imported[0].image.target.digest), stated);
        remove_image(&client, "x:1").await;
        remove_image(&client, "x:2").await;
    });
}

#[test]
fn of_an_index_only_this_hosts_image_is_needed() {
    in_namespace("platforms", async |client| {
        let a = layer("a", "1");
        let config = config("", &[&a]);
        let manifest = manifest(&config, &[&a]);
        let with_platform = |content: &[u8], architecture: &str| {
            let mut descriptor = descriptor(archives::MANIFEST, content);
            descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
            descriptor
        };
        let inner = index(&[
            with_platform(b"elsewhere", "pdp11"),
            with_platform(&manifest, &architecture()),
        ]);
        let root = descriptor(archives::INDEX, &inner);
        let archive = archives::oci_of(NAME, root, &config, &[&a])
            .blob(inner)
            .blob(manifest);
        import_archive(&client, &archive).await.unwrap();
        let before = Ledger::of(&client).await;
        assert_eq!(before.blobs.len(), 4);
        collect(&client).await;
        assert_eq!(Ledger::of(&client).await, before);
        let image = find(&client, &wanted(NAME)).await.unwrap();
        assert_ne!(image.target, image.manifest);
        remove_image(&client, NAME).await;
    });
}

#[test]
fn a_tag_replaces_what_the_archive_says() {
    in_namespace("tag", async |client| {
        let a = layer("a", "1");
        let archive = oci(NAME, &config("", &[&a]), &[&a]).write();
        let options = Options {
            tag: Some("y".parse().unwrap()),
            unpack: Unpack::Later,
        };
        import_with(&client, archive.path(), &options)
            .await
            .unwrap();
        let ledger = Ledger::of(&client).await;
        assert_eq!(ledger.images, ["docker.io/library/y:latest"]);
        assert!(ledger.snapshots.is_empty());
        remove_image(&client, "y").await;
    });
}

#[test]
fn many_may_unpack_one_image_at_once() {
    in_namespace("at-once", async |client| {
        let (a, b) = (layer("a", "1"), layer("b", "2"));
        let archive = oci(NAME, &config("", &[&a, &b]), &[&a, &b]).write();
        let options = Options {
            tag: None,
            unpack: Unpack::Later,
        };
        let image = import_with(&client, archive.path(), &options)
            .await
            .unwrap()
            .swap_remove(0)
            .image;
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (client, image) = (client.clone(), image.clone());
            all.spawn(async move { ensure_unpacked(&client, &image, DEFAULT_SNAPSHOTTER).await });
        }
        while let Some(result) = all.join_next().await {
            result.unwrap().unwrap();
        }
        let ledger = Ledger::of(&client).await;
        assert_eq!((ledger.snapshots.len(), ledger.leases.len()), (2, 0));
        remove_image(&client, NAME).await;
    });
}

#[test]
fn an_image_keeps_snapshots_that_were_unpacked_for_another() {
    in_namespace("shared", async |client| {
        let a = layer("a", "1");
        for (name, unpack) in [("x:1", unpacked().unpack), ("x:2", Unpack::Later)] {
            let name = format!("docker.io/library/{name}");
            let archive = oci(&name, &config(&name, &[&a]), &[&a]).write();
            let options = Options { tag: None, unpack };
            import_with(&client, archive.path(), &options)
                .await
                .unwrap();
        }
        let second = find(&client, &wanted("x:2")).await.unwrap();
        ensure_unpacked(&client, &second, DEFAULT_SNAPSHOTTER)
            .await
            .unwrap();
        remove_image(&client, "x:1").await;
        assert_eq!(Ledger::of(&client).await.snapshots.len(), 1);
        remove_image(&client, "x:2").await;
    });
}

#[test]
fn an_interrupted_import_leaves_nothing() {
    in_namespace("interrupted", async |client| {
        let a = layer("a", "1");
        let file = oci(NAME, &config("", &[&a]), &[&a]).write();
        let archive = Archive::open(&Source::File(file.path().to_owned())).unwrap();
        let started = AtomicBool::new(false);
        let stop = std::future::poll_fn(|_| match started.load(Ordering::Relaxed) {
            true => std::task::Poll::Ready(Failure::host("stopped")),
            false => std::task::Poll::Pending,
        });
        let report = |_| started.store(true, Ordering::Relaxed);
        let failure = import(&client, &archive, &unpacked(), &report, stop).await;
        assert_eq!(failure.unwrap_err().to_string(), "stopped");
    });
}

#[test]
fn an_image_that_a_container_uses_is_removed_only_by_force() {
    in_namespace("used", async |client| {
        let a = layer("a", "1");
        let archive = oci(NAME, &config("", &[&a]), &[&a]);
        import_archive(&client, &archive).await.unwrap();
        let container = api::Container {
            id: "user".to_owned(),
            image: NAME.to_owned(),
            runtime: Some(api::container::Runtime {
                name: "io.containerd.runc.v2".to_owned(),
                ..Default::default()
            }),
            spec: Some(prost_types::Any {
                type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec".to_owned(),
                value: b"{}".to_vec(),
            }),
            ..Default::default()
        };
        let request = client.request(api::CreateContainerRequest {
            container: Some(container),
        });
        client.containers().create(request).await.unwrap();
        let refused = remove(&client, &wanted(NAME), Users::Respect).await;
        assert!(refused.unwrap_err().to_string().contains("user"));
        find(&client, &wanted(NAME)).await.unwrap();
        remove(&client, &wanted(NAME), Users::Ignore).await.unwrap();
        let request = client.request(api::DeleteContainerRequest {
            id: "user".to_owned(),
        });
        client.containers().delete(request).await.unwrap();
    });
}

#[test]
fn an_image_is_found_by_the_beginning_of_its_id() {
    in_namespace("id", async |client| {
        let a = layer("a", "1");
        for name in ["docker.io/library/x:1", "docker.io/library/x:2"] {
            let archive = oci(name, &config("", &[&a]), &[&a]);
            import_archive(&client, &archive).await.unwrap();
        }
        let image = find(&client, &wanted("x:1")).await.unwrap();
        let short = wanted(&image.config_blob.digest.short());
        let found = find(&client, &short).await.unwrap();
        assert_eq!(found.config_blob, image.config_blob);
        let refused = remove(&client, &short, Users::Respect).await.unwrap_err();
        assert!(refused.to_string().contains("several names"), "{refused}");
        let removed = remove(&client, &short, Users::Ignore).await.unwrap();
        assert_eq!(removed.len(), 2);
    });
}

#[test]
fn an_image_that_is_not_here_is_said_to_be_not_here() {
    in_namespace("absent", async |client| {
        for text in ["nothing", "cafe0123", "host.example/x:1"] {
            let failure = find(&client, &wanted(text)).await.unwrap_err();
            assert_eq!(failure.kind(), Kind::Image);
            assert!(failure.hints()[0].contains("airtight image pull"));
            let failure = remove(&client, &wanted(text), Users::Ignore).await;
            assert_eq!(failure.unwrap_err().kind(), Kind::Image);
        }
    });
}

#[test]
fn an_image_without_its_content_is_listed_and_can_be_removed() {
    in_namespace("incomplete", async |client| {
        let image = api::Image {
            name: NAME.to_owned(),
            target: Some(airtight::containerd::types::Descriptor {
                media_type: archives::MANIFEST.to_owned(),
                digest: airtight::image::digest::Digest::of(b"gone").to_string(),
                size: 4,
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = client.request(api::CreateImageRequest {
            image: Some(image),
            ..Default::default()
        });
        client.images().create(request).await.unwrap();
        let listed = list::list(&client).await.unwrap();
        let failure = listed[0].image.as_ref().unwrap_err().to_string();
        assert!(failure.contains("incomplete"), "{failure}");
        remove_image(&client, "x:1").await;
    });
}

#[test]
fn a_blob_that_exists_comes_under_the_lease_of_whoever_opens_it() {
    in_namespace("leased", async |client| {
        let a = layer("a", "1");
        let archive = oci(NAME, &config("", &[&a]), &[&a]);
        import_archive(&client, &archive).await.unwrap();
        let lease = api::CreateRequest {
            id: "second".to_owned(),
            ..Default::default()
        };
        let request = client.request(lease);
        client.leases().create(request).await.unwrap();
        let leased = client.with_lease("second").unwrap();
        let digest = airtight::image::digest::Digest::of(&a).to_string();
        let opened = leased.open_ingest("again", &digest, a.len() as u64).await;
        assert!(opened.err().unwrap().is_already_exists());
        remove_image(&client, NAME).await;
        assert_eq!(Ledger::of(&client).await.blobs, [digest]);
        let request = client.request(api::DeleteRequest {
            id: "second".to_owned(),
            sync: true,
        });
        client.leases().delete(request).await.unwrap();
    });
}
