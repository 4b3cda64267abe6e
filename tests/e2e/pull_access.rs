//! Tokens, redirects and busy registries: what the plain registry of Debian does not do by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::support::proxy::{Act, Proxy, answer};
use super::support::registry::{PASSWORD, Registry, USER};
use super::support::{Host, Output};

/// A registry with `busybox:1`.
fn with_busybox() -> Registry {
    let registry = Registry::plain();
    registry.push_archive("busybox", "busybox:1");
    registry
}

/// The credentials of `registry` for another name of it.
fn credentials(host: &Host, name: &str) -> String {
    let path = host.path("auth.json");
    let auths = serde_json::json!({"auths": {name: {"username": USER, "password": PASSWORD}}});
    std::fs::write(&path, auths.to_string()).unwrap();
    path.display().to_string()
}

/// ECR says 403, and its public registry 400, both without a challenge.
#[test]
fn a_token_is_asked_for_with_the_password_and_again_when_it_has_expired() {
    for expired in ["401 Unauthorized", "403 Forbidden", "400 Bad Request"] {
        token_that_expires(expired);
    }
}

fn token_that_expires(expired: &'static str) {
    let registry = with_busybox();
    let host = Host::with(&[]);
    let tokens = Arc::new(AtomicUsize::new(0));
    let name = Arc::new(Mutex::new(String::new()));
    let (given, own_name) = (Arc::clone(&tokens), Arc::clone(&name));
    let proxy = Proxy::before(&registry.name, move |head| {
        if head.starts_with("GET /token?") {
            assert!(head.contains("scope=repository%3Abusybox%3Apull"), "{head}");
            assert!(head.contains("service=test"), "{head}");
            let token = given.fetch_add(1, Ordering::SeqCst) + 1;
            return answer(
                "200 OK",
                &[],
                format!(r#"{{"token":"t{token}"}}"#).as_bytes(),
            );
        }
        // The first token is good for documents, and expired when the first blob is asked for.
        let wanted = match head.contains("/blobs/") {
            true => "authorization: Bearer t2",
            false => "authorization: Bearer t",
        };
        if head.contains(wanted) {
            return Act::Pass;
        }
        if head.contains("authorization: Bearer") && !expired.starts_with("401") {
            return answer(expired, &[], b"");
        }
        let host = own_name.lock().unwrap().clone();
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"test\",scope=\"x\""
        );
        answer("401 Unauthorized", &[&challenge], b"")
    });
    name.lock().unwrap().clone_from(&proxy.name);
    let auth = credentials(&host, &proxy.name);
    let image = proxy.image("busybox:1");
    let output = host.airtight(&["image", "pull", "--registry-config", &auth, &image]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(tokens.load(Ordering::SeqCst), 2);
    let asked = proxy.requests("GET /token?");
    assert!(
        asked
            .iter()
            .all(|head| head.contains("authorization: Basic ")),
        "{asked:?}"
    );
    assert!(
        proxy
            .requests("/v2/")
            .iter()
            .all(|head| !head.contains("Basic"))
    );
    host.airtight(&["image", "rm", &image]).ok();
}

#[test]
fn a_redirect_to_another_host_is_followed_without_what_opens_the_registry() {
    let registry = with_busybox();
    let host = Host::with(&[]);
    let store = Proxy::before(&registry.name, |_| Act::Pass);
    let to = store.name.clone();
    let proxy = Proxy::before(&registry.name, move |head| {
        if !head.contains("authorization: Basic ") {
            return answer(
                "401 Unauthorized",
                &["WWW-Authenticate: Basic realm=\"x\""],
                b"",
            );
        }
        let path = head.split(' ').nth(1).unwrap();
        match path.contains("/blobs/") {
            true => {
                let location = format!("Location: http://{to}{path}?signature=opens-the-store");
                answer("307 Temporary Redirect", &[&location], b"")
            }
            false => Act::Pass,
        }
    });
    let auth = credentials(&host, &proxy.name);
    let image = proxy.image("busybox:1");
    let output = host.airtight(&["image", "pull", "--registry-config", &auth, &image]);
    assert_eq!(output.code, 0, "{output:?}");
    let blobs = store.requests("/blobs/");
    assert!(!blobs.is_empty());
    assert!(
        blobs.iter().all(|head| !head.contains("authorization")),
        "{blobs:?}"
    );
    host.airtight(&["image", "rm", &image]).ok();
}

/// A registry that sends its users for `part` to `store`, and wants the password for everything.
fn that_redirects(registry: &Registry, part: &'static str, store: &Proxy) -> Proxy {
    let to = store.name.clone();
    Proxy::before(&registry.name, move |head| {
        if !head.contains("authorization: Basic ") {
            let challenge = "WWW-Authenticate: Basic realm=\"x\"";
            return answer("401 Unauthorized", &[challenge], b"");
        }
        let path = head.split(' ').nth(1).unwrap();
        match path.contains(part) {
            true => {
                let location = format!("Location: http://{to}{path}?signature=1");
                answer("307 Temporary Redirect", &[&location], b"")
            }
            false => Act::Pass,
        }
    })
}

#[test]
fn another_host_that_a_redirect_leads_to_is_told_no_password_whatever_it_asks_for() {
    for part in ["/manifests/", "/blobs/"] {
        let registry = with_busybox();
        let host = Host::with(&[]);
        let own_name = Arc::new(Mutex::new(String::new()));
        let name = Arc::clone(&own_name);
        let thief = Proxy::alone(move |_| {
            let realm = format!("http://{}/token", name.lock().unwrap());
            let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"x\"");
            answer("401 Unauthorized", &[&challenge], b"")
        });
        own_name.lock().unwrap().clone_from(&thief.name);
        let proxy = that_redirects(&registry, part, &thief);
        let auth = credentials(&host, &proxy.name);
        let image = proxy.image("busybox:1");
        let output = host.airtight(&["image", "pull", "--registry-config", &auth, &image]);
        assert_eq!(output.code, 1, "{output:?}");
        let said = format!("{} redirects there", proxy.name);
        assert!(output.stderr.contains(&said), "{output:?}");
        assert!(!thief.requests(part).is_empty());
        assert!(thief.requests("authorization").is_empty());
        assert!(thief.requests("/token").is_empty());
    }
}

#[test]
fn a_redirect_whose_signature_has_expired_is_asked_for_anew() {
    for expired in ["401 Unauthorized", "403 Forbidden", "400 Bad Request"] {
        let registry = with_busybox();
        let host = Host::with(&[]);
        let times = AtomicUsize::new(0);
        let store = Proxy::before(&registry.name, move |_| {
            match times.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => answer(expired, &[], b""),
                _ => Act::Pass,
            }
        });
        let proxy = that_redirects(&registry, "/blobs/", &store);
        let auth = credentials(&host, &proxy.name);
        let image = proxy.image("busybox:1");
        let output = host.airtight(&["image", "pull", "--registry-config", &auth, &image]);
        assert_eq!(output.code, 0, "{expired}: {output:?}");
        host.airtight(&["image", "rm", &image]).ok();
    }
}

#[test]
fn a_registry_that_does_not_take_head_is_asked_with_get() {
    for refused in ["405 Method Not Allowed", "403 Forbidden"] {
        let registry = with_busybox();
        let proxy = Proxy::before(&registry.name, move |head| match head.starts_with("HEAD") {
            true => answer(refused, &[], b""),
            false => Act::Pass,
        });
        let host = Host::with(&[]);
        let image = proxy.image("busybox:1");
        let output = host.airtight(&["image", "pull", &image]);
        assert_eq!(output.code, 0, "{refused}: {output:?}");
        host.airtight(&["image", "rm", &image]).ok();
    }
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    let registry = with_busybox();
    let times = AtomicUsize::new(0);
    let proxy = Proxy::before(&registry.name, move |_| {
        match times.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => answer("429 Too Many Requests", &["Retry-After: 0"], b""),
            _ => Act::Pass,
        }
    });
    let host = Host::with(&[]);
    let image = proxy.image("busybox:1");
    let output = host.airtight(&["image", "pull", &image]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("429"), "{output:?}");
    host.airtight(&["image", "rm", &image]).ok();
}

#[test]
fn a_proxy_of_the_environment_is_used_and_sees_nothing_but_the_host() {
    let registry = Registry::secure();
    registry.push_archive("busybox", "busybox:1");
    let proxy = Proxy::before(&registry.name, |_| Act::Pass);
    let host = Host::with(&[]);
    let port = registry.name.split(':').nth(1).unwrap();
    let name = format!("registry.test:{port}");
    let (auth, ca) = (credentials(&host, &name), registry.ca_file());
    let image = format!("{name}/busybox:1");
    let flags = ["--ca-file", &ca, "--registry-config", &auth, &image];
    let pull = |value: &str| {
        let mut command = host.command(&[&["image", "pull"], &flags[..]].concat());
        command
            .env("HTTPS_PROXY", value)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        Output::of(&mut command)
    };
    let output = pull(&format!("http://user:hidden@{}", proxy.name));
    assert_eq!(output.code, 0, "{output:?}");
    let asked = proxy.requests("");
    assert!(!asked.is_empty());
    for head in asked {
        assert!(head.starts_with(&format!("CONNECT {name} ")), "{head}");
        assert!(
            !head.contains("busybox") && !head.contains("s3cret"),
            "{head}"
        );
    }
    host.airtight(&["image", "rm", &image]).ok();
    let output = pull("http://user:hidden@localhost:1");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("through the proxy localhost"),
        "{output:?}"
    );
    assert!(!output.stderr.contains("hidden"), "{output:?}");
}
