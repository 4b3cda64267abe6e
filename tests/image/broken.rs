//! Archives that are broken or hostile: each is refused, says why and where, and leaves nothing.

use airtight::failure::Kind;
use serde_json::json;

use crate::archives::{
    self, Archive, MANIFEST, blob_name, config, descriptor, index, layer, manifest, oci, oci_of,
    save_manifest, write,
};
use crate::{Ledger, NAME, import_archive, import_with, in_namespace, unpacked};

/// Imports `archive` and expects a failure that says all of `words`.
fn refused(namespace: &str, archive: &Archive, words: &[&str]) {
    in_namespace(namespace, async |client| {
        let failure = import_archive(&client, archive).await.unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.kind(), Kind::Image, "{text}");
        assert!(text.starts_with("cannot import /"), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
    });
}

/// Two layers. The second is like no other test's: containerd does not look at what is sent to one
/// namespace if another has the stated digest already.
fn layers(test: &str) -> (Vec<u8>, Vec<u8>) {
    (layer("a", "1"), layer("b", test))
}

/// An image of two layers in which `change` has put something else for the second.
fn with_second_layer(
    test: &str,
    change: impl FnOnce(Archive, &str) -> Archive,
) -> (Archive, String) {
    let (a, b) = layers(test);
    let name = blob_name(&b);
    let archive = oci(NAME, &config("", &[&a, &b]), &[&a, &b]);
    (change(archive, &name), name)
}

#[test]
fn a_missing_layer() {
    let (archive, name) = with_second_layer("missing", |mut archive, name| {
        archive.0.remove(name);
        archive
    });
    refused("missing", &archive, &[&name, "missing"]);
}

#[test]
fn a_layer_with_other_content() {
    let mut other = layers("digest").1;
    other[600] ^= 1;
    let (archive, name) = with_second_layer("digest", |archive, name| archive.file(name, other));
    refused("digest", &archive, &[&name, "commit digest"]);
}

#[test]
fn a_layer_with_another_size() {
    let (archive, name) = with_second_layer("size", |archive, name| archive.file(name, "short"));
    refused("size", &archive, &[&name, "5 bytes"]);
}

#[test]
fn a_layer_that_is_a_loop_of_links() {
    let (archive, name) = with_second_layer("loop", |archive, name| {
        let file = name.rsplit('/').next().unwrap();
        archive.link(name, "loop").link("blobs/sha256/loop", file)
    });
    refused("loop", &archive, &[&name, "loop"]);
}

#[test]
fn a_layer_that_is_a_link_to_a_file_of_the_host() {
    let (archive, name) =
        with_second_layer("outside", |archive, name| archive.link(name, "/etc/passwd"));
    refused("outside", &archive, &[&name, "out of the archive"]);
}

#[test]
fn an_entry_above_the_archives_root() {
    let (archive, _) = with_second_layer("above", |archive, _| archive.file("../../evil", "x"));
    refused("above", &archive, &["../../evil", "out of the archive"]);
}

#[test]
fn a_layer_that_unpacks_to_something_else_than_the_configuration_says() {
    let (a, b) = layers("diff-id");
    let config = config("", &[&a, &a]);
    let archive = oci(NAME, &config, &[&a, &b]);
    refused("diff-id", &archive, &["layer 2 of 2", "configuration says"]);
}

#[test]
fn a_layer_that_is_no_tar() {
    let (a, _) = layers("no-tar");
    let junk: &[u8] = &[b'x'; 2000];
    let archive = oci(NAME, &config("", &[&a, junk]), &[&a, junk]);
    refused("no-tar", &archive, &["layer 2 of 2"]);
}

#[test]
fn a_layer_of_docker_save_with_other_content() {
    let (a, b) = layers("save-digest");
    let archive = Archive::default()
        .file("c.json", config("", &[&b]))
        .file("layer.tar", a)
        .file(
            "manifest.json",
            save_manifest("c.json", &["x:1"], &["layer.tar"]),
        );
    refused("save-digest", &archive, &["layer.tar", "commit digest"]);
}

#[test]
fn a_configuration_with_more_layers_than_the_manifest() {
    let (a, b) = layers("count");
    let archive = oci(NAME, &config("", &[&a, &b]), &[&a]);
    refused("count", &archive, &["1 layers", "2"]);
    let archive = Archive::default()
        .file("c.json", config("", &[&a, &b]))
        .file("layer.tar", a)
        .file(
            "manifest.json",
            save_manifest("c.json", &["x:1"], &["layer.tar"]),
        );
    refused("save-count", &archive, &["c.json", "2 layers"]);
}

#[test]
fn a_huge_manifest() {
    let huge = vec![b' '; airtight::image::MAX_MANIFEST + 1];
    let archive = oci_of(NAME, descriptor(MANIFEST, &huge), b"", &[]).blob(huge.clone());
    refused("huge", &archive, &[&blob_name(&huge), "limit"]);
}

#[test]
fn indexes_without_end() {
    let mut archive = oci(NAME, &config("", &[]), &[]);
    let mut inner = manifest(&config("", &[]), &[]);
    let mut media_type = MANIFEST;
    for _ in 0..10 {
        let outer = index(&[descriptor(media_type, &inner)]);
        archive = archive.blob(outer.clone());
        (inner, media_type) = (outer, archives::INDEX);
    }
    let mut root = descriptor(media_type, &inner);
    root["annotations"] = json!({"io.containerd.image.name": NAME});
    refused(
        "deep",
        &archive.file("index.json", index(&[root])),
        &["too deep"],
    );
}

#[test]
fn an_image_without_a_name() {
    let a = layer("a", "1");
    let manifest = manifest(&config("", &[&a]), &[&a]);
    let archive = oci(NAME, &config("", &[&a]), &[&a])
        .file("index.json", index(&[descriptor(MANIFEST, &manifest)]));
    refused("nameless", &archive, &["no name"]);
}

#[test]
fn two_images_with_one_name() {
    let a = layer("a", "1");
    let (one, two) = (config("1", &[&a]), config("2", &[&a]));
    let named = |config: &[u8]| {
        let mut descriptor = descriptor(MANIFEST, &manifest(config, &[&a]));
        descriptor["annotations"] = json!({"io.containerd.image.name": NAME});
        descriptor
    };
    let archive = oci(NAME, &one, &[&a])
        .blob(manifest(&two, &[&a]))
        .file("index.json", index(&[named(&one), named(&two)]));
    refused("one-name", &archive, &["different images"]);
}

#[test]
fn an_archive_of_something_else() {
    refused("else", &Archive::default().file("x", "y"), &["index.json"]);
}

#[test]
fn a_truncated_archive() {
    in_namespace("truncated", async |client| {
        let a = layer("a", "1");
        let bytes = oci(NAME, &config("", &[&a]), &[&a]).bytes();
        for length in [0, 100, 700, 2000] {
            let file = write(&bytes[..length]);
            let failure = import_with(&client, file.path(), &unpacked()).await;
            assert_eq!(failure.unwrap_err().kind(), Kind::Image, "{length}");
        }
        assert_eq!(Ledger::of(&client).await, Ledger::default());
    });
}
