//! `airtight image pull` from a real registry with TLS and a password.

use super::support::registry::{Layout, PASSWORD, Registry, USER, noise, this_host};
use super::support::{Host, Output};

/// `airtight image pull FLAGS` with all that opens `registry`.
fn pull(host: &Host, registry: &Registry, args: &[&str]) -> Output {
    let (ca, auth) = (registry.ca_file(), registry.credentials());
    let flags = [
        "image",
        "pull",
        "--ca-file",
        &ca,
        "--registry-config",
        &auth,
    ];
    host.airtight(&[&flags[..], args].concat())
}

/// Asserts a failure that says all of `words`, not the password, and left nothing.
#[track_caller]
fn failed(host: &Host, output: &Output, words: &[&str]) {
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    for word in words {
        assert!(
            output.stderr.contains(word),
            "{word:?} is not in {output:?}"
        );
    }
    assert!(!output.stderr.contains(PASSWORD), "{output:?}");
    assert_eq!(host.ctr(&["content", "ls", "-q"]), "");
    host.assert_clean();
}

#[test]
fn an_image_is_pulled_by_tag_and_by_digest_and_runs() {
    let registry = Registry::secure();
    registry.push_archive("busybox", "team/busybox:1");
    let host = Host::with(&[]);
    let tag = registry.image("team/busybox:1");
    let output = pull(&host, &registry, &[&tag]);
    assert_eq!(output.code, 0, "{output:?}");
    let digest = output.stdout.split(' ').nth(1).unwrap().to_owned();
    assert!(
        output.stdout.starts_with(&format!("{tag} sha256:")),
        "{output:?}"
    );
    assert!(output.stderr.contains("1 layer"), "{output:?}");
    // containerd collects what nothing refers to.
    host.ctr(&["leases", "create", "--id", "collect"]);
    host.ctr(&["leases", "delete", "--sync", "collect"]);
    assert_eq!(host.run(&[&tag, "echo", "hi"]).ok(), "hi\n");
    host.airtight(&["image", "rm", &tag]).ok();

    let name = format!("{}@{digest}", registry.image("team/busybox"));
    let output = pull(&host, &registry, &["--format", "json", &name]);
    let pulled: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(pulled[0]["digest"], digest.as_str());
    assert_eq!(pulled[0]["names"][0], name.as_str());
    assert!(pulled[0]["fetched"].as_u64().unwrap() > 0);
    assert_eq!(host.run(&[&name, "echo", "hi"]).ok(), "hi\n");
    host.airtight(&["image", "rm", &name]).ok();
}

#[test]
fn what_does_not_open_the_registry_is_said_and_leaves_nothing() {
    let registry = Registry::secure();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let name = registry.image("busybox:1");
    let ca = registry.ca_file();
    let pull = |flags: &[&str]| host.airtight(&[&["image", "pull", &name][..], flags].concat());

    let output = pull(&["--registry-config", &registry.credentials()]);
    failed(&host, &output, &["UnknownIssuer", "hint: --ca-file"]);
    let output = pull(&["--ca-file", &ca]);
    failed(&host, &output, &["401", "no credentials", "docker login"]);
    let other = registry.credentials_with("not-this-one");
    let output = pull(&["--ca-file", &ca, "--registry-config", &other]);
    failed(&host, &output, &["401", &other]);
    assert!(!output.stderr.contains("not-this-one"), "{output:?}");
    let output = pull(&["--plain-http"]);
    failed(&host, &output, &["400 Bad Request"]);
}

#[test]
fn a_tag_or_an_image_that_is_not_there_is_said_to_be_not_there() {
    let registry = Registry::secure();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let (tag, repository) = (registry.image("busybox:2"), registry.image("nosuch:1"));
    let output = pull(&host, &registry, &[&tag]);
    failed(&host, &output, &["has no tag 2 of busybox"]);
    let output = pull(&host, &registry, &[&tag, &repository]);
    failed(&host, &output, &["2 of 2 images", "nosuch"]);
    let digest = format!("{}@sha256:{}", registry.image("busybox"), "0".repeat(64));
    let output = pull(&host, &registry, &[&digest]);
    failed(&host, &output, &["has no manifest sha256:0000"]);
}

#[test]
fn an_image_that_can_be_pulled_is_pulled_though_another_cannot() {
    let registry = Registry::secure();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let (good, bad) = (registry.image("busybox:1"), registry.image("busybox:2"));
    let output = pull(&host, &registry, &[&bad, &good]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.starts_with(&good), "{output:?}");
    assert_eq!(
        host.airtight(&["image", "ls", "-q"]).ok().lines().count(),
        1
    );
    host.airtight(&["image", "rm", &good]).ok();
}

#[test]
fn of_several_platforms_this_host_s_is_pulled_or_the_one_that_is_named() {
    let registry = Registry::secure();
    let mut layout = Layout::new();
    let ours = this_host();
    layout.add(&ours, &[("ours", noise(100))]);
    layout.add("s390x", &[("theirs", noise(100))]);
    registry.push_layout(&layout, "several:1");
    let host = Host::with(&[]);
    let name = registry.image("several:1");

    let data = |output: &Output| -> serde_json::Value {
        serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let output = pull(&host, &registry, &["--format=json", &name]);
    assert_eq!(data(&output)[0]["architecture"], ours.as_str());
    let output = pull(
        &host,
        &registry,
        &["--format=json", "--platform", "linux/s390x", &name],
    );
    assert_eq!(data(&output)[0]["architecture"], "s390x");
    let output = pull(&host, &registry, &["--platform", "linux/riscv64", &name]);
    assert_eq!(output.code, 1, "{output:?}");
    let offered = format!("for linux/{ours}, linux/s390x, not for linux/riscv64");
    assert!(output.stderr.contains(&offered), "{output:?}");
    host.airtight(&["image", "rm", &name]).ok();
}

#[test]
fn credentials_come_from_docker_s_file_and_its_helper_too() {
    use std::os::unix::fs::PermissionsExt;
    let registry = Registry::secure();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let name = registry.image("busybox:1");
    let home = host.path("home");
    std::fs::create_dir_all(home.join(".docker")).unwrap();
    let config = home.join(".docker/config.json");
    std::fs::copy(registry.credentials(), &config).unwrap();
    let pull = |config: &str, value: &std::path::Path| {
        let ca = registry.ca_file();
        let mut command = host.command(&["image", "pull", "--ca-file", &ca, &name]);
        let path = format!("{}:{}", home.display(), std::env::var("PATH").unwrap());
        let output = Output::of(
            command
                .env("HOME", &home)
                .env("PATH", path)
                .env(config, value),
        );
        assert_eq!(output.code, 0, "{output:?}");
        host.airtight(&["image", "rm", &name]).ok();
    };
    pull("UNUSED", &home);
    let auth = registry.credentials();
    std::fs::remove_file(&config).unwrap();
    pull("REGISTRY_AUTH_FILE", auth.as_ref());
    let helper = home.join("docker-credential-test");
    let reply = format!(r#"{{"Username":"{USER}","Secret":"{PASSWORD}"}}"#);
    let script = format!(
        "#!/bin/sh\n[ \"$1 $(cat)\" = 'get {}' ] && echo '{reply}'\n",
        registry.name
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(&config, r#"{"auths":{},"credsStore":"test"}"#).unwrap();
    pull("DOCKER_CONFIG", config.parent().unwrap());
}
