use std::time::Duration;

use super::*;
use crate::moment::Moment;

fn state() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::new(dir.path().join("state"), dir.path().join("data"));
    (dir, state)
}

#[test]
fn a_name_in_use_is_refused() {
    let (_dir, state) = state();
    let record = Record::fixture("a");
    let held = state.create(&record).unwrap();
    let failure = state.create(&record).unwrap_err();
    assert_eq!(failure.to_string(), "the name a is in use");
    held.remove().unwrap();
    state.create(&record).unwrap();
}

#[test]
fn a_run_is_named_by_its_id_or_by_the_beginning_of_no_other_s() {
    let (_dir, state) = state();
    let ids = [
        "a000000000000001",
        "a000000000000002",
        "b1",
        "key-0000000000000003",
    ];
    let held = ids.map(|id| state.create(&Record::fixture(id)).unwrap());
    let named = |word: &str| state.named(word).map(|id| id.to_string());
    assert_eq!(named(ids[0]).unwrap(), ids[0]);
    assert_eq!(named("key-0").unwrap(), ids[3]);
    assert_eq!(named("b1").unwrap(), "b1");
    let several = named("a0").unwrap_err().to_string();
    assert_eq!(
        several,
        "\"a0\" may be any of 2 runs: a000000000000001, a000000000000002"
    );
    // A given name is said whole.
    assert!(named("").is_err() && named("b").is_err() && named("c").is_err());
    drop(held);
}

#[test]
fn a_living_owner_holds_its_run_and_a_dead_one_does_not() {
    let (_dir, state) = state();
    let record = Record::fixture("a");
    let owner = state.create(&record).unwrap();
    assert_eq!(state.ids().unwrap(), std::slice::from_ref(&record.id));
    assert!(matches!(state.find(&record.id).unwrap(), Found::Held));
    drop(owner);
    let Found::Dead(dir) = state.find(&record.id).unwrap() else {
        panic!("the owner is dead")
    };
    assert_eq!(dir.record().unwrap(), Some(record.clone()));
    dir.remove().unwrap();
    assert!(matches!(state.find(&record.id).unwrap(), Found::Absent));
}

#[test]
fn a_run_made_anew_between_a_look_and_a_lock_is_not_dead() {
    let (_dir, state) = state();
    let record = Record::fixture("a");
    let first = state.create(&record).unwrap();
    let path = first.path().to_owned();
    let looked_at = open_present_lock(&path);
    first.remove().unwrap();
    let _second = state.create(&record).unwrap();
    assert!(matches!(try_lock(&path, looked_at), Ok(Found::Absent)));
}

#[test]
fn what_is_left_of_a_removal_that_was_cut_short_can_be_removed() {
    let (_dir, state) = state();
    let record = Record::fixture("a");
    let dir = state.create(&record).unwrap();
    fs::write(dir.path().join("hosts"), "").unwrap();
    fs::remove_file(dir.path().join(RECORD)).unwrap();
    drop(dir);
    let Found::Dead(rest) = state.find(&record.id).unwrap() else {
        panic!("nobody holds it")
    };
    assert_eq!(rest.record().unwrap(), None);
    rest.remove().unwrap();
    state.create(&record).unwrap();
}

#[test]
fn what_another_run_has_made_where_one_was_removed_is_left_alone() {
    let (_dir, state) = state();
    let record = Record::fixture("a");
    let first = state.create(&record).unwrap();
    fs::remove_dir_all(first.path()).unwrap();
    let second = state.create(&record).unwrap();
    first.remove().unwrap();
    assert_eq!(second.record().unwrap(), Some(record));
}

#[test]
fn what_is_no_run_directory_is_somebody_else_s() {
    let (_dir, state) = state();
    let others = state.directory(&"others".parse().unwrap());
    fs::create_dir_all(others.join("tasks")).unwrap();
    let begun = "begun".parse().unwrap();
    fs::create_dir(state.directory(&begun)).unwrap();
    assert!(matches!(
        state.find(&"others".parse().unwrap()).unwrap(),
        Found::Absent
    ));
    assert!(!others.join(LOCK).exists());
    // Its maker died before it was locked.
    let Found::Dead(dir) = state.find(&begun).unwrap() else {
        panic!("nobody holds it")
    };
    dir.remove().unwrap();
    assert!(!state.directory(&begun).exists());
}

#[test]
fn a_state_directory_that_does_not_exist_has_no_runs() {
    let (_dir, state) = state();
    assert!(state.ids().unwrap().is_empty());
}

#[test]
fn how_long_a_run_is_without_an_owner_counts_from_the_first_question() {
    let (_dir, state) = state();
    let left = state.create(&Record::fixture("a")).unwrap();
    assert_eq!(left.left_for().unwrap(), Duration::ZERO);
    let file = left.path().join(LEFT);
    // Its time of day says nothing.
    let hour = Duration::from_secs(3600);
    let touched = File::options().write(true).open(&file).unwrap();
    touched
        .set_modified(std::time::SystemTime::now() - hour)
        .unwrap();
    assert!(left.left_for().unwrap() < hour);
    fs::write(&file, Moment::ago(Duration::from_secs(1)).to_string()).unwrap();
    assert!(left.left_for().unwrap() >= Duration::from_secs(1));
    fs::write(&file, "").unwrap();
    assert_eq!(left.left_for().unwrap(), Duration::ZERO);
}
