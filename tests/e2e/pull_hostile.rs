//! Registries that send what they should not: an error that says so, and nothing is left.

use airtight::image::digest::Digest;
use serde_json::json;

use super::support::Host;
use super::support::proxy::{Act, Proxy, answer};
use super::support::registry::{Layout, Registry, noise, this_host};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pulls `x:1` from a registry that is nothing but `judge`; what is said.
#[track_caller]
fn refused(judge: impl Fn(&str) -> Act + Send + Sync + 'static, words: &[&str]) {
    refused_by(&Proxy::alone(judge), words);
}

#[track_caller]
fn refused_by(proxy: &Proxy, words: &[&str]) {
    refused_within("30s", proxy, words);
}

#[track_caller]
fn refused_within(idle: &str, proxy: &Proxy, words: &[&str]) {
    let host = Host::with(&[]);
    let image = proxy.image("x:1");
    let output = host.airtight(&["image", "pull", "--idle-timeout", idle, &image]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    for word in words {
        assert!(
            output.stderr.contains(word),
            "{word:?} is not in {output:?}"
        );
    }
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    assert_eq!(host.ctr(&["content", "ls", "-q"]), "");
}

/// A document for every request, of this media type.
fn document(kind: &str, body: &str) -> Act {
    let digest = format!("Docker-Content-Digest: {}", Digest::of(body.as_bytes()));
    answer(
        "200 OK",
        &[&format!("Content-Type: {kind}"), &digest],
        body.as_bytes(),
    )
}

/// A registry with `x:1`, of one layer; the layer's digest.
fn with_layer() -> (Registry, String) {
    let registry = Registry::plain();
    let mut layout = Layout::new();
    let ours = this_host();
    let layers = layout.add(&ours, &[("file", noise(100_000))]);
    registry.push_layout(&layout, "x:1");
    (registry, layers[0].clone())
}

#[test]
fn a_layer_with_other_content_is_refused() {
    let (registry, digest) = with_layer();
    let asked = digest.clone();
    let proxy = Proxy::before(&registry.name, move |head| match head.contains(&asked) {
        true => answer("200 OK", &[], b"something else"),
        false => Act::Pass,
    });
    refused_by(&proxy, &["the registry has 14 bytes, the manifest says"]);
    // Without a length, and as long as it should be.
    let proxy = Proxy::before(&registry.name, move |head| match head.contains(&digest) {
        true => Act::Answer(
            [
                b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
                &noise(300_000)[..],
            ]
            .concat(),
        ),
        false => Act::Pass,
    });
    refused_by(&proxy, &["longer than the"]);
}

#[test]
fn a_layer_of_the_right_length_and_another_digest_is_refused() {
    let (registry, digest) = with_layer();
    let proxy = Proxy::before(&registry.name, move |head| match head.contains(&digest) {
        true => Act::Flip,
        false => Act::Pass,
    });
    refused_by(&proxy, &["is not what it is said to be", "commit digest"]);
}

#[test]
fn a_manifest_of_another_digest_is_refused() {
    refused(
        |head| match head.starts_with("HEAD") {
            true => document(MANIFEST, "what it would be"),
            false => document(MANIFEST, "what it is"),
        },
        &["the registry sent sha256:", "was asked for"],
    );
}

#[test]
fn a_manifest_without_end_is_refused() {
    let endless = " ".repeat(5 << 20);
    refused(
        move |_| document(MANIFEST, &endless),
        &["longer than 4194304 bytes"],
    );
}

#[test]
fn what_is_no_image_is_said_to_be_none() {
    refused(|_| document("text/html", "<html>"), &["cannot be read"]);
    let old = r#"{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}"#;
    refused(
        |_| document("x/y", old),
        &["v1+prettyjws", "not the media type"],
    );
    let both = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
    refused(|_| document(INDEX, both), &["index and manifest in one"]);
    let chart = json!({
        "schemaVersion": 2,
        "layers": [],
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2, "digest": Digest::of(b"{}").to_string()},
    });
    let chart = chart.to_string();
    refused(
        move |_| document(MANIFEST, &chart),
        &["no container image", "helm"],
    );
}

#[test]
fn an_index_of_indexes_has_an_end() {
    let ours = this_host();
    let mut documents = vec![json!({"schemaVersion": 2, "manifests": []}).to_string()];
    for _ in 0..6 {
        let inner = documents.last().unwrap();
        let inner = json!({
            "mediaType": INDEX,
            "digest": Digest::of(inner.as_bytes()).to_string(),
            "size": inner.len(),
            "platform": {"os": "linux", "architecture": ours},
        });
        documents.push(json!({"schemaVersion": 2, "manifests": [inner]}).to_string());
    }
    refused(
        move |head| {
            let asked = documents
                .iter()
                .find(|text| head.contains(&Digest::of(text.as_bytes()).to_string()));
            document(INDEX, asked.or(documents.last()).unwrap())
        },
        &["nested too deep"],
    );
}

#[test]
fn redirects_that_do_not_end_or_lead_off_the_web_are_refused() {
    refused(
        |_| answer("302 Found", &["Location: /v2/again"], b""),
        &["redirects do not end"],
    );
    refused(
        |_| answer("302 Found", &["Location: file:///etc/shadow"], b""),
        &["no address of the web"],
    );
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let (registry, _) = with_layer();
    let proxy = Proxy::before(&registry.name, |head| match head.contains("/blobs/") {
        true => Act::Stall(300),
        false => Act::Pass,
    });
    refused_within("1s", &proxy, &["silent for 1s"]);
}

#[test]
fn a_registry_that_refuses_is_quoted_without_harm_to_the_terminal() {
    let body = r#"{"errors":[{"code":"DENIED","message":"no \u001b[2J for you"}]}"#;
    refused(
        |head| match head.starts_with("HEAD") {
            true => answer("405 Method Not Allowed", &[], b""),
            false => answer("403 Forbidden", &[], body.as_bytes()),
        },
        &["403 Forbidden: DENIED no"],
    );
    let digest = Digest::of(b"x").to_string();
    let host = Host::with(&[]);
    let proxy = Proxy::alone(move |_| answer("403 Forbidden", &[], body.as_bytes()));
    let output = host.airtight(&["image", "pull", &proxy.image(&format!("x@{digest}"))]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("DENIED no \\u{1b}[2J for you"),
        "{output:?}"
    );
}
