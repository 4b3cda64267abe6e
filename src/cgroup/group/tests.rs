//! Groups on fixture trees and on this host's real hierarchies.

use std::fs;
use std::thread;

use super::super::fixture::{Fixture, Payload, Real, id, path};
use super::*;

fn create(fixture: &Fixture, subpath: &str, name: &str) -> Result<Group> {
    Group::create(
        &fixture.hierarchies(),
        &path(subpath),
        &id(name),
        &fixture.parents(),
        name,
    )
}

#[test]
fn a_group_is_made_in_every_hierarchy_and_nothing_is_left_after_its_removal() {
    for fixture in [Fixture::unified(), Fixture::hybrid(), Fixture::legacy()] {
        let before = fixture.listing();
        let group = create(&fixture, "airflow/tasks", "a").unwrap();
        assert!(
            group
                .directories()
                .all(|d| d.ends_with("airflow/tasks/a") && d.is_dir())
        );
        group.remove(&fixture.parents()).unwrap();
        assert_eq!(fixture.listing(), before);
    }
}

#[test]
fn a_parent_stays_while_another_container_needs_it() {
    let fixture = Fixture::hybrid();
    let before = fixture.listing();
    let outer = create(&fixture, "a", "one").unwrap();
    let inner = create(&fixture, "a/b", "two").unwrap();
    outer.remove(&fixture.parents()).unwrap();
    assert!(inner.directories().all(|d| d.is_dir()));
    inner.remove(&fixture.parents()).unwrap();
    assert_eq!(fixture.listing(), before);
}

#[test]
fn a_parent_that_an_operator_made_stays() {
    let fixture = Fixture::legacy();
    for hierarchy in fixture.hierarchies().iter() {
        fs::create_dir(hierarchy.root().join("docker")).unwrap();
    }
    let before = fixture.listing();
    let group = create(&fixture, "docker/ours", "a").unwrap();
    group.remove(&fixture.parents()).unwrap();
    assert_eq!(fixture.listing(), before);
}

#[test]
fn removal_works_after_the_runtime_removed_the_group_itself() {
    let fixture = Fixture::unified();
    let before = fixture.listing();
    let group = create(&fixture, "docker", "a").unwrap();
    for directory in group.directories() {
        fs::remove_dir(directory).unwrap();
    }
    group.remove(&fixture.parents()).unwrap();
    group.remove(&fixture.parents()).unwrap();
    assert_eq!(fixture.listing(), before);
}

#[test]
fn a_group_that_cannot_be_made_everywhere_is_made_nowhere() {
    let fixture = Fixture::legacy();
    fs::write(fixture.mount().join("systemd/docker"), "in the way").unwrap();
    let before = fixture.listing();
    let why = create(&fixture, "docker", "a").unwrap_err();
    assert!(why.to_string().contains("systemd/docker"), "{why}");
    assert_eq!(fixture.listing(), before);
}

#[test]
fn an_empty_group_that_was_left_over_is_made_anew() {
    let fixture = Fixture::hybrid();
    let left = fixture.group("docker", "a");
    fs::create_dir(left.v2().unwrap().join("nested")).unwrap();
    let group = create(&fixture, "docker", "a").unwrap();
    assert!(group.v2().unwrap().is_dir());
    assert!(!group.v2().unwrap().join("nested").exists());
}

#[test]
fn a_group_in_systemds_form_is_left_to_systemd() {
    let fixture = Fixture::unified();
    let before = fixture.listing();
    let group = create(&fixture, "a-b.slice:airtight", "x").unwrap();
    assert_eq!(group.shown(), "/a.slice/a-b.slice/airtight-x.scope");
    group.remove(&fixture.parents()).unwrap();
    assert_eq!(fixture.listing(), before);
}

#[test]
fn two_hundred_runs_at_once_do_not_break_each_other() {
    for fixture in [Fixture::unified(), Fixture::hybrid()] {
        let before = fixture.listing();
        thread::scope(|scope| {
            for worker in 0..8 {
                let fixture = &fixture;
                scope.spawn(move || {
                    for round in 0..25 {
                        let subpath = if round % 2 == 0 { "a/b" } else { "a" };
                        let group = create(fixture, subpath, &format!("w{worker}")).unwrap();
                        assert!(group.directories().all(|d| d.is_dir()));
                        group.remove(&fixture.parents()).unwrap();
                    }
                });
            }
        });
        assert_eq!(fixture.listing(), before);
    }
}

#[test]
fn runs_at_once_on_the_real_hierarchies_leave_nothing() {
    let place = Real::new();
    thread::scope(|scope| {
        for worker in 0..4 {
            let place = &place;
            scope.spawn(move || {
                for _ in 0..10 {
                    let group = place.create(&format!("w{worker}"));
                    assert!(group.directories().all(|d| d.is_dir()));
                    group.remove(&place.parents()).unwrap();
                }
            });
        }
    });
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_process_can_be_put_into_a_new_group_of_every_hierarchy() {
    let place = Real::new();
    let group = place.create("joined");
    let payload = Payload::start(&group, "exec sleep 1000");
    let pid = i32::try_from(payload.0.id()).unwrap();
    assert_eq!(group.pids().unwrap(), [pid]);
    assert!(!group.is_empty());
}

#[test]
fn a_group_in_use_is_refused_with_its_processes_and_left_alone() {
    let place = Real::new();
    let group = place.create("used");
    let payload = Payload::start(&group, "exec sleep 1000");
    let why = place.try_create("used").unwrap_err().to_string();
    assert!(why.contains(&payload.0.id().to_string()), "{why}");
    let why = group.remove_directories().unwrap_err().to_string();
    assert!(why.contains("processes are in it"), "{why}");
    assert!(!group.is_empty());
}

#[test]
fn a_frozen_group_in_use_is_called_frozen() {
    let place = Real::new();
    let group = place.create("frozen");
    let _payload = Payload::start(&group, "exec sleep 1000");
    let freezer = group.freezer().unwrap();
    let _frozen = freezer.freeze(Instant::now() + REMOVAL).unwrap();
    let why = place.try_create("frozen").unwrap_err().to_string();
    assert!(why.contains("frozen"), "{why}");
}

#[test]
fn a_frozen_empty_group_is_made_anew() {
    let place = Real::new();
    let group = place.create("frozen");
    std::mem::forget(group.freezer().unwrap().freeze(Instant::now()).unwrap());
    let group = place.create("frozen");
    assert!(!group.freezer().unwrap().is_frozen());
}

#[test]
fn removal_waits_for_a_process_that_is_about_to_end() {
    let place = Real::new();
    let group = place.create("ending");
    let _payload = Payload::start(&group, "sleep 0.05");
    group.remove(&place.parents()).unwrap();
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_group_bears_its_maker_s_mark_and_is_found_by_it() {
    let place = Real::new();
    let name = format!("marked-{}", std::process::id());
    let group = place.create(&name);
    assert_eq!(group.mark().as_deref(), Some(name.as_bytes()));
    let mount = Path::new(super::super::fixture::REAL);
    let marks = mark::all_below(mount).unwrap();
    assert!(marks.contains(name.as_bytes()));
    group.remove(&place.parents()).unwrap();
    assert_eq!(group.mark(), None);
}

#[test]
fn parents_are_removed_though_the_list_of_them_was_lost() {
    let place = Real::new();
    let group = place.create("a");
    fs::remove_file(place.parents()).unwrap();
    group.remove(&place.parents()).unwrap();
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_group_is_found_until_neither_it_nor_its_parents_exist() {
    let place = Real::new();
    let mount = Path::new(super::super::fixture::REAL);
    let find = || Group::find(mount, &path(&place.subpath), &id("a")).unwrap();
    assert!(find().is_none());
    let group = place.create("a");
    for directory in group.directories() {
        fs::remove_dir(directory).unwrap();
    }
    find().unwrap().remove(&place.parents()).unwrap();
    assert!(find().is_none());
}
