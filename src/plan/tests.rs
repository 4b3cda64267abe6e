//! What becomes of settings, host and image together.

use serde_json::json;

use super::Plan;
use super::fixture::{image, plan, plan_of, plan_on, refusal, settings, survey};
use crate::spec::capabilities;

#[test]
fn the_host_name_is_the_id_s_start_the_name_or_the_host_s() {
    let hostname = |flags: &[(&str, &str)]| plan(flags).hostname;
    let long = "x".repeat(76);
    for (flags, expected) in [
        (&[][..], Some("0123456789ab")),
        (&[("name", "my_task.1")], Some("my-task-1")),
        (&[("name", &long)], long.get(..63)),
        (&[("hostname", "a.b")], Some("a.b")),
        (&[("network_mode", "host")], Some("worker.example.org")),
        (
            &[("network_mode", "host"), ("hostname", "a.b")],
            Some("a.b"),
        ),
        (&[("uts_mode", "host")], None),
    ] {
        assert_eq!(hostname(flags).as_deref(), expected, "{flags:?}");
    }
    let both = [("uts_mode", "host"), ("hostname", "x")];
    assert!(refusal(&both).contains("--uts host"));
}

#[test]
fn the_three_files_are_the_container_s_own_or_copies_of_the_host_s() {
    let own = plan(&[]).files;
    assert_eq!(own.hostname, "0123456789ab\n");
    assert!(own.hosts.starts_with("127.0.0.1\tlocalhost\n") && !own.hosts.contains("worker"));
    let shared = plan(&[("network_mode", "host")]).files;
    assert_eq!(shared.hosts, survey().hosts);
    assert_eq!(shared.hostname, "worker.example.org\n");
}

#[test]
fn only_v2_gives_a_container_a_cgroup_namespace_of_its_own() {
    assert!(plan(&[]).namespaces.own_cgroup);
    let mut v1 = survey();
    v1.facts.cgroup_layout = crate::cgroup::Layout::Hybrid;
    assert!(!plan_on(&v1, &[]).unwrap().namespaces.own_cgroup);
}

#[test]
fn privileged_means_every_capability_no_filter_and_nothing_hidden() {
    let plan = plan(&[("privileged", "true"), ("cap_drop", "KILL")]);
    assert_eq!(plan.process.capabilities, capabilities::of_mask(u64::MAX));
    assert!(plan.seccomp.is_none());
    assert!(plan.masked_paths.is_empty() && plan.readonly_paths.is_empty());
    assert!(
        plan.warnings[0].contains("--cap-drop"),
        "{:?}",
        plan.warnings
    );
    for target in ["/sys", "/sys/fs/cgroup"] {
        let mount = plan.mounts.iter().find(|mount| mount.target == target);
        assert!(!mount.unwrap().options.contains(&"ro".to_owned()));
    }
}

/// As with docker: naming a profile is stronger than being privileged.
#[test]
fn a_profile_of_the_user_s_holds_for_a_privileged_container_too() {
    let flags = [
        ("privileged", "true"),
        ("security_opt", "seccomp=/profile.json"),
    ];
    assert!(plan(&flags).seccomp.is_some());
    assert!(
        plan(&[("security_opt", "seccomp=unconfined")])
            .seccomp
            .is_none()
    );
}

#[test]
fn an_app_armor_profile_needs_a_kernel_that_has_app_armor() {
    let flags = [("security_opt", "apparmor=mine")];
    assert!(refusal(&flags).contains("AppArmor is not enabled"));
    let mut host = survey();
    host.facts.app_armor = true;
    let planned = plan_on(&host, &flags).unwrap();
    assert_eq!(planned.process.app_armor_profile.as_deref(), Some("mine"));
    assert!(
        plan(&[("security_opt", "apparmor=unconfined")])
            .process
            .app_armor_profile
            .is_none()
    );
}

#[test]
fn the_stop_signal_is_the_user_s_the_image_s_or_term() {
    let interrupt = image(json!({"StopSignal": "SIGINT"}));
    assert_eq!(plan_of(&interrupt, &[]).unwrap().stop.signal, 2);
    assert_eq!(
        plan_of(&interrupt, &[("stop_signal", "HUP")])
            .unwrap()
            .stop
            .signal,
        1
    );
    assert_eq!(plan(&[]).stop.signal, 15);
    let bogus = plan_of(&image(json!({"StopSignal": "SIGBOGUS"})), &[]).unwrap_err();
    assert!(bogus.to_string().contains("STOPSIGNAL"), "{bogus}");
}

#[test]
fn without_the_init_nothing_of_ours_is_mounted() {
    let inside = |plan: &Plan| {
        plan.mounts
            .iter()
            .any(|mount| mount.target == crate::leash::INSIDE)
    };
    assert!(inside(&plan(&[])));
    assert!(!inside(&plan(&[("init", "false")])));
    assert!(!inside(&plan(&[]).without_init()));
}

#[test]
fn labels_are_the_user_s_and_never_the_image_s() {
    let labelled = image(json!({"Labels": {"containerd.io/restart.status": "running"}}));
    let labels = plan_of(&labelled, &[("labels", "team=data")])
        .unwrap()
        .labels;
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        [("team".to_owned(), "data".to_owned())]
    );
}

#[test]
fn the_same_settings_make_the_same_plan() {
    let json = || {
        let image = image(json!({"Volumes": {"/b": {}, "/a": {}}, "Env": ["A=1", "B=2"]}));
        let plan = plan_of(&image, &[("environments", "C=3"), ("volumes", "/x")]);
        serde_json::to_value(plan.unwrap()).unwrap()
    };
    assert_eq!(json(), json());
    assert_eq!(settings(&[]).command, ["work"]);
}

#[test]
fn a_masked_plan_holds_no_secret_and_is_otherwise_the_same() {
    let image = image(json!({"Env": ["IMAGE_TOKEN=hunter2", "PLAIN=seen"]}));
    let flags = [
        ("environments", "DB_PASSWORD=hunter2"),
        ("environments", "DB=pg://me:hunter2@host/d"),
        ("private_environments", "STAGE=hunter2"),
        ("labels", "api-key=hunter2"),
        ("labels", "team=data"),
    ];
    let plan = plan_of(&image, &flags).unwrap();
    let open = serde_json::to_value(&plan).unwrap();
    let shown = serde_json::to_value(plan.masked()).unwrap();
    assert!(open.to_string().contains("hunter2") && !shown.to_string().contains("hunter2"));
    assert_eq!(
        shown["process"]["environment"],
        json!([
            open["process"]["environment"][0],
            "HOSTNAME=0123456789ab",
            "IMAGE_TOKEN=***",
            "PLAIN=seen",
            "DB=pg://me:***@host/d",
            "DB_PASSWORD=***",
            "STAGE=***"
        ])
    );
    assert_eq!(shown["labels"], json!({"api-key": "***", "team": "data"}));
    assert_eq!(shown["mounts"], open["mounts"]);
}
