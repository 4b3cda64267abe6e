//! How layers are put on top of each other.

use super::super::keys::find;
use super::*;

fn flags(pairs: &[(&str, &str)]) -> Layer {
    let mut layer = Layer::default();
    for (name, text) in pairs {
        layer.say(find(name).unwrap(), *text, Origin::Flag);
    }
    layer
}

#[test]
fn a_higher_layer_replaces_a_plain_value() {
    let merged = merge([&Layer::defaults(), &flags(&[("stop_timeout", "3")])]);
    assert_eq!(merged.one("stop_timeout").unwrap().text, "3");
    assert_eq!(merged.one("ipc_mode").unwrap().text, "private");
    assert!(merged.one("memory").is_none());
}

#[test]
fn clearing_leaves_what_holds_when_nobody_says_anything() {
    let mut clear = Layer::default();
    for name in ["stop_timeout", "init", "memory"] {
        clear.clear(find(name).unwrap(), Origin::Flag);
    }
    let said = flags(&[("stop_timeout", "3"), ("init", "false"), ("memory", "1g")]);
    let profile = Profile::TaskExecution.defaults();
    let merged = merge([&Layer::defaults(), &profile, &said, &clear]);
    assert_eq!(merged.one("stop_timeout").unwrap().text, "20");
    assert_eq!(merged.one("init").unwrap().text, "true");
    assert!(merged.one("memory").is_none());
}

fn texts<'a>(merged: &'a Merged, name: &str) -> Vec<&'a str> {
    merged.all(name).map(|item| item.text.as_str()).collect()
}

#[test]
fn named_items_replace_their_twins_and_keep_the_others() {
    let lower = flags(&[("labels", "a=1"), ("labels", "b=1"), ("labels", "b=2")]);
    let merged = merge([&lower, &flags(&[("labels", "a=2")])]);
    assert_eq!(texts(&merged, "labels"), ["b=2", "a=2"]);
}

#[test]
fn a_mount_replaces_the_one_with_its_target_however_it_is_spelt() {
    let lower = flags(&[("volumes", "/a:/x"), ("volumes", "/b:/y"), ("tmpfs", "/z")]);
    let higher = flags(&[("mounts", "type=tmpfs,target=/x"), ("volumes", "/c:/z/")]);
    let merged = merge([&lower, &higher]);
    assert_eq!(texts(&merged, "volumes"), ["/b:/y", "/c:/z/"]);
    assert_eq!(texts(&merged, "mounts"), ["type=tmpfs,target=/x"]);
    assert!(texts(&merged, "tmpfs").is_empty());
}

#[test]
fn several_keys_can_be_read_layer_by_layer() {
    let lower = flags(&[("environments", "A=1")]);
    let higher = flags(&[("environments", "B=1"), ("env_file", "f")]);
    let merged = merge([&lower, &higher]);
    let order: Vec<_> = merged.by_layer(&["env_file", "environments"]);
    let order: Vec<_> = order.iter().map(|item| item.text.as_str()).collect();
    assert_eq!(order, ["A=1", "f", "B=1"]);
}

#[test]
fn a_file_origin_names_file_and_line() {
    let mut layer = Layer::default();
    let origin = Origin::File(Place {
        path: std::sync::Arc::new("a.yaml".into()),
        line: Some(4),
        column: Some(9),
    });
    layer.say(find("memory").unwrap(), "x", origin);
    let merged = merge([&layer]);
    let item = merged.one("memory").unwrap();
    assert_eq!(
        item.refuse("no number").to_string(),
        "a.yaml:4:9: invalid value \"x\" for memory: no number"
    );
    assert_eq!(item.origin.to_string(), "a.yaml:4");
}
