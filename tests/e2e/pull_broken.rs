//! Pulls whose connections break, which are interrupted or killed; and what is not fetched twice.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use nix::sys::signal::Signal;

use super::support::processes::{LIMIT, until};
use super::support::proxy::{Act, Proxy};
use super::support::registry::{Layout, Registry, noise, this_host};
use super::support::{Host, Run};

const MEGABYTE: usize = 1 << 20;

/// A registry with `big:1`, which has one layer of four megabytes, and the layer's digest.
fn with_big_image() -> (Registry, String) {
    let registry = Registry::plain();
    let mut layout = Layout::new();
    let mut layers = layout.add(&this_host(), &[("big", noise(4 * MEGABYTE))]);
    registry.push_layout(&layout, "big:1");
    (registry, layers.remove(0))
}

/// Whether a request is for a layer: configurations are blobs too, and small.
fn is_layer(head: &str, layers: &[String]) -> bool {
    layers.iter().any(|digest| head.contains(digest.as_str()))
}

#[test]
fn a_layer_goes_on_where_its_connection_broke() {
    let (registry, layer) = with_big_image();
    let cuts = AtomicUsize::new(0);
    let digest = layer.clone();
    let proxy = Proxy::before(&registry.name, move |head| {
        let first = head.contains(&digest) && cuts.fetch_add(1, Ordering::SeqCst) < 2;
        if first {
            Act::Cut(3 * MEGABYTE / 2)
        } else {
            Act::Pass
        }
    });
    let host = Host::with(&[]);
    let name = proxy.image("big:1");
    let output = host.airtight(&["image", "pull", &name]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("going on"), "{output:?}");
    let requests = proxy.requests(&layer);
    assert_eq!(requests.len(), 3);
    for (n, request) in requests.iter().enumerate() {
        assert_eq!(request.contains("range: bytes="), n > 0, "{request}");
    }
    host.airtight(&["image", "rm", &name]).ok();
}

#[test]
fn a_registry_that_does_not_know_ranges_sends_the_beginning_again() {
    let (registry, layer) = with_big_image();
    let cuts = AtomicUsize::new(0);
    let asked = layer.clone();
    let proxy = Proxy::before(&registry.name, move |head| match head.contains(&asked) {
        true if cuts.fetch_add(1, Ordering::SeqCst) == 0 => Act::Cut(3 * MEGABYTE / 2),
        true => Act::Whole,
        false => Act::Pass,
    });
    let host = Host::with(&[]);
    let name = proxy.image("big:1");
    let output = host.airtight(&["image", "pull", &name]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(proxy.requests(&layer).len(), 2);
    host.airtight(&["image", "rm", &name]).ok();
}

#[test]
fn a_registry_that_breaks_again_and_again_is_given_up_and_nothing_is_left() {
    let (registry, _) = with_big_image();
    let proxy = Proxy::before(&registry.name, |head| match head.contains("/blobs/") {
        true => Act::Cut(100),
        false => Act::Pass,
    });
    let host = Host::with(&[]);
    let output = host.airtight(&["image", "pull", &proxy.image("big:1")]);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(host.ctr(&["content", "ls", "-q"]), "");
}

#[test]
fn three_layers_come_at_once() {
    let registry = Registry::plain();
    let mut layout = Layout::new();
    let files: Vec<_> = (1..=5)
        .map(|n| (["a", "b", "c", "d", "e"][n - 1], noise(1000)))
        .collect();
    let ours = this_host();
    let layers = layout.add(&ours, &files);
    registry.push_layout(&layout, "five:1");
    // No layer is answered before three are asked for; the last two come without such company.
    let waiting = Arc::new((Mutex::new(0), Condvar::new()));
    let proxy = Proxy::before(&registry.name, move |head| {
        if is_layer(head, &layers) {
            let (asked, changed) = &*waiting;
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            changed.notify_all();
            let few = |asked: &mut i32| *asked < 3;
            drop(changed.wait_timeout_while(asked, LIMIT, few).unwrap());
        }
        Act::Pass
    });
    let host = Host::with(&[]);
    let name = proxy.image("five:1");
    let output = host.airtight(&["image", "pull", "--idle-timeout", "30s", &name]);
    assert_eq!(output.code, 0, "{output:?}");
    host.airtight(&["image", "rm", &name]).ok();
}

#[test]
fn what_is_here_is_not_fetched_again() {
    let registry = Registry::plain();
    let ours = this_host();
    let base = ("base", noise(1000));
    let mut layout = Layout::new();
    let first = layout.add(&ours, &[base.clone(), ("one", noise(1000))]);
    registry.push_layout(&layout, "image:1");
    let mut layout = Layout::new();
    let second = layout.add(&ours, &[base, ("two", noise(1000))]);
    registry.push_layout(&layout, "image:2");
    let proxy = Proxy::before(&registry.name, |_| Act::Pass);
    let host = Host::with(&[]);
    let (one, two) = (proxy.image("image:1"), proxy.image("image:2"));

    // Both at once: what they share comes once.
    let output = host.airtight(&["image", "pull", &one, &two]);
    assert_eq!(output.code, 0, "{output:?}");
    let all: HashSet<&String> = first.iter().chain(&second).collect();
    for digest in all {
        assert_eq!(proxy.requests(digest).len(), 1, "{digest}");
    }
    proxy.forget();
    let output = host.airtight(&["image", "pull", &one]);
    assert_eq!(output.code, 0, "{output:?}");
    let requests = proxy.requests("/v2/image/");
    assert!(
        requests.len() == 1 && requests[0].starts_with("HEAD "),
        "{requests:?}"
    );
    host.airtight(&["image", "rm", &one, &two]).ok();
}

#[test]
fn of_two_processes_that_pull_one_layer_one_fetches_it() {
    let (registry, layer) = with_big_image();
    let both = Arc::new((Mutex::new(0), Condvar::new()));
    let asked = layer.clone();
    // The layer is not sent before both have asked for the tag.
    let proxy = Proxy::before(&registry.name, move |head| {
        let (tags, changed) = &*both;
        let mut tags = tags.lock().unwrap();
        if head.starts_with("HEAD ") {
            *tags += 1;
            changed.notify_all();
        } else if head.contains(&asked) {
            drop(
                changed
                    .wait_timeout_while(tags, LIMIT, |tags| *tags < 2)
                    .unwrap(),
            );
        }
        Act::Pass
    });
    let host = Host::with(&[]);
    let name = proxy.image("big:1");
    let pull = || Run::start(&mut host.command(&["image", "pull", &name]));
    for run in [pull(), pull()] {
        let output = run.end();
        assert_eq!(output.code, 0, "{output:?}");
    }
    assert_eq!(proxy.requests(&layer).len(), 1);
    host.airtight(&["image", "rm", &name]).ok();
}

#[test]
fn an_interrupted_pull_exits_with_the_signal_and_leaves_nothing() {
    let (registry, _) = with_big_image();
    let proxy = Proxy::before(&registry.name, |head| match head.contains("/blobs/") {
        true => Act::Stall(2 * MEGABYTE),
        false => Act::Pass,
    });
    let host = Host::with(&[]);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let run = Run::start(&mut host.command(&["image", "pull", &proxy.image("big:1")]));
        proxy.wait_for("/blobs/");
        run.signal(signal);
        let output = run.end();
        assert_eq!(output.code, 128 + signal as i32, "{output:?}");
        assert!(output.stderr.contains("interrupted"), "{output:?}");
        assert_eq!(host.ctr(&["content", "ls", "-q"]), "");
        host.assert_clean();
        proxy.forget();
    }
}

#[test]
fn the_next_pull_goes_on_where_a_killed_one_ended() {
    let (registry, _) = with_big_image();
    let stall = Arc::new(AtomicUsize::new(1));
    let stalls = Arc::clone(&stall);
    let proxy = Proxy::before(&registry.name, move |head| {
        // The configuration is a blob of a few bytes and passes whole.
        let blob = head.contains("/blobs/") && stalls.load(Ordering::SeqCst) == 1;
        if blob {
            Act::Stall(5 * MEGABYTE / 2)
        } else {
            Act::Pass
        }
    });
    let host = Host::with(&[]);
    let name = proxy.image("big:1");
    let run = Run::start(&mut host.command(&["image", "pull", &name]));
    until("a part of it is stored", || {
        host.ctr(&["content", "active"]).contains("MB")
    });
    run.destroy();
    stall.store(0, Ordering::SeqCst);
    proxy.forget();
    let output = host.airtight(&["image", "pull", &name]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(proxy.requests("range: bytes=").len(), 1);
    host.airtight(&["image", "rm", &name]).ok();
    // The killed one's lease would expire within a day.
    assert_eq!(host.airtight(&["reap"]).code, 0);
}

#[test]
fn the_lease_of_a_pull_is_reaped_with_what_it_kept_once_the_pull_is_dead() {
    let (registry, _) = with_big_image();
    let proxy = Proxy::before(&registry.name, |head| match head.contains("/blobs/") {
        true => Act::Stall(5 * MEGABYTE / 2),
        false => Act::Pass,
    });
    let host = Host::with(&[]);
    let pull = Run::start(&mut host.command(&["image", "pull", &proxy.image("big:1")]));
    until("a part of it is stored", || {
        host.ctr(&["content", "active"]).contains("MB")
    });
    let living = host.airtight(&["reap"]);
    assert_eq!((living.code, living.stdout.as_str()), (0, ""));
    pull.destroy();
    let looked = host.airtight(&["reap", "--dry-run"]);
    assert_eq!(looked.code, 1, "{looked:?}");
    let output = host.airtight(&["reap"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("airtight-pull-"), "{output:?}");
    host.assert_clean();
}
