//! `airtight parse --serve`: which files share a container, how they end, and what nobody can break.

use serde_json::json;

use super::support::Host;
use super::support::keeper::{Keeper, closed};

#[test]
fn files_with_the_same_image_and_settings_are_forked_in_one_container() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let names = ["a.py", "b.py"].map(|name| keeper.begin(&keeper.file(name, ""), "name"));
    let [a, b] = names.map(|job| job.output());
    assert_eq!(a, b);
    let other = keeper.file("c.py", "docker_runtime: {environments: {A: 1}}");
    assert_ne!(keeper.begin(&other, "name").output(), a);
    assert_eq!(keeper.end().ok(), "");
}

#[test]
fn a_file_ends_as_its_fork_did() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    assert_eq!(keeper.begin(&file, "seven").end(), json!({"code": 7}));
    assert_eq!(keeper.begin(&file, "signal").end(), json!({"signal": 11}));
    keeper.end().ok();
}

#[test]
fn a_file_that_nobody_waits_for_is_killed_and_the_others_go_on() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    let mut forever = keeper.begin(&file, "forever");
    let name = keeper.begin(&file, "name");
    forever.begun();
    closed(forever.give_up());
    let name = name.output();
    assert_eq!(keeper.begin(&file, "name").output(), name);
    keeper.end().ok();
}
