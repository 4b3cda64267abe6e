//! What is written down of a plan.

use serde_json::{Value, json};

use super::*;
use crate::fence::Fence;
use crate::plan::fixture::plan;

/// The spec of `airtight run task:1 work`, but for its system call filter, which has tests of its own.
const DEFAULT: &str = include_str!("../../../tests/expected/default-spec.json");

fn spec(flags: &[(&str, &str)]) -> Value {
    let user = ResolvedUser {
        uid: 1000,
        gid: 1000,
        groups: vec![1000, 2000],
        home: "/home/app".to_owned(),
    };
    let places = Places {
        run: "/run/airtight/0123456789abcdef".into(),
        volumes: "/var/lib/airtight/volumes/0123456789abcdef".into(),
        settled: SettledMounts::new(),
    };
    let spec = document(&plan(flags), &user, &places, Path::new("rootfs")).unwrap();
    let mut json = stable_json(&spec).unwrap();
    let linux = json.pointer_mut("/linux").and_then(Value::as_object_mut);
    if let Some(filter) = linux.unwrap().get_mut("seccomp") {
        *filter = json!(filter["defaultAction"]);
    }
    json
}

#[test]
fn a_mount_behind_a_fence_is_what_it_was_settled_to_be_and_no_less_restricted() {
    let planned = PlannedMount {
        target: "/x".to_owned(),
        kind: MountKind::Fenced {
            number: 3,
            host: "/data/x".into(),
            make: true,
            fence: Fence::default(),
        },
        options: ["rbind", "rw", "exec", "rprivate"]
            .map(str::to_owned)
            .to_vec(),
    };
    let mut places = Places {
        run: "/run".into(),
        volumes: "/volumes".into(),
        settled: SettledMounts::new(),
    };
    let seen = |places: &Places| {
        let mount = one_mount(&planned, places);
        let options = mount.options().clone().unwrap().join(",");
        (mount.source().clone().unwrap(), options)
    };
    assert_eq!(
        seen(&places),
        ("/data/x".into(), "rbind,rw,exec,rprivate".to_owned())
    );
    let settled = Settled {
        source: "/run/mounts/3".into(),
        flags: vec!["ro", "nosuid"],
    };
    places.settled.insert(3, settled);
    assert_eq!(
        seen(&places),
        (
            "/run/mounts/3".into(),
            "rbind,exec,rprivate,ro,nosuid".to_owned()
        )
    );
}

/// What differs from the default spec: a path for each leaf, and its value.
fn difference(flags: &[(&str, &str)]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    collect("", &spec(&[]), &spec(flags), &mut found);
    found
}

fn collect(path: &str, old: &Value, new: &Value, found: &mut Vec<(String, Value)>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                let member = |object: &serde_json::Map<_, _>| object.get(name).cloned();
                let (old, new) = (member(old), member(new));
                collect(
                    &format!("{path}/{name}"),
                    &old.unwrap_or_default(),
                    &new.unwrap_or_default(),
                    found,
                );
            }
        }
        (old, new) if old != new => found.push((path.to_owned(), new.clone())),
        _ => {}
    }
}

#[test]
fn the_spec_of_an_ordinary_run_is_the_one_on_file() {
    let expected: Value = serde_json::from_str(DEFAULT).unwrap();
    let mut found = Vec::new();
    collect("", &expected, &spec(&[]), &mut found);
    assert_eq!(found, []);
}

#[test]
fn each_limit_has_its_field() {
    let flags = [
        ("memory", "64m"),
        ("memory_swap", "96m"),
        ("memory_reservation", "32m"),
        ("cpus", "1.5"),
        ("cpu_shares", "512"),
        ("cpuset_cpus", "0-1"),
        ("cpuset_mems", "0"),
        ("pids_limit", "33"),
        ("blkio_weight", "300"),
    ];
    assert_eq!(
        difference(&flags),
        [
            (
                "/linux/resources/blockIO".to_owned(),
                json!({"weight": 300})
            ),
            (
                "/linux/resources/cpu".to_owned(),
                json!({"shares": 512, "quota": 150_000, "period": 100_000, "cpus": "0-1", "mems": "0"})
            ),
            (
                "/linux/resources/memory".to_owned(),
                json!({"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20})
            ),
            ("/linux/resources/pids".to_owned(), json!({"limit": 33})),
        ]
    );
}

#[test]
fn namespaces_of_the_host_are_left_out() {
    let flags = [
        ("pid_mode", "host"),
        ("uts_mode", "host"),
        ("network_mode", "host"),
    ];
    let namespaces = json!([{"type": "mount"}, {"type": "ipc"}, {"type": "cgroup"}]);
    let difference = difference(&flags);
    assert!(
        difference.contains(&("/linux/namespaces".to_owned(), namespaces)),
        "{difference:?}"
    );
    assert!(difference.contains(&("/hostname".to_owned(), Value::Null)));
    assert!(difference.contains(&(
        "/linux/sysctl/net.ipv4.ping_group_range".to_owned(),
        Value::Null
    )));
}

#[test]
fn root_propagation_is_as_open_as_the_most_open_mount() {
    for (options, expected) in [
        ("ro", Value::Null),
        ("slave", json!("rslave")),
        ("rslave", json!("rslave")),
        ("rshared", json!("rshared")),
        ("private", Value::Null),
    ] {
        let found = spec(&[("volumes", &format!("/a:/x:{options}"))]);
        let value = found.pointer("/linux/rootfsPropagation");
        assert_eq!(value.cloned().unwrap_or_default(), expected, "{options}");
    }
}

#[test]
fn a_terminal_is_the_runtime_s_to_make_only_without_the_init() {
    assert_eq!(spec(&[("tty", "true")])["process"]["terminal"], false);
    let flags = [("tty", "true"), ("init", "false")];
    assert_eq!(spec(&flags)["process"]["terminal"], true);
    assert_eq!(spec(&flags)["process"]["args"], json!(["work"]));
}

#[test]
fn small_switches_are_single_fields() {
    for (key, value, path, expected) in [
        ("read_only", "true", "/root/readonly", json!(true)),
        ("oom_score_adj", "500", "/process/oomScoreAdj", json!(500)),
        (
            "security_opt",
            "no-new-privileges",
            "/process/noNewPrivileges",
            json!(true),
        ),
        (
            "security_opt",
            "seccomp=unconfined",
            "/linux/seccomp",
            Value::Null,
        ),
        ("working_dir", "/work", "/process/cwd", json!("/work")),
        (
            "docker_cgroup_subpath",
            "a/b",
            "/linux/cgroupsPath",
            json!("/a/b/0123456789abcdef"),
        ),
    ] {
        let difference = difference(&[(key, value)]);
        assert!(
            difference.contains(&(path.to_owned(), expected)),
            "{difference:?}"
        );
    }
}

#[test]
fn home_is_the_user_s_unless_it_is_set() {
    let environment = |flags: &[(&str, &str)]| spec(flags)["process"]["env"].clone();
    let last = |env: Value| env.as_array().unwrap().last().cloned().unwrap();
    assert_eq!(last(environment(&[])), "HOME=/home/app");
    assert_eq!(
        last(environment(&[("environments", "HOME=/mine")])),
        "HOME=/mine"
    );
}
