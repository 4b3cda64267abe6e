//! What is mounted where.

use serde_json::json;

use super::super::Plan;
use super::super::fixture::{image, plan, plan_of, plan_on, refusal, settings, survey};
use super::*;

fn mounts(flags: &[(&str, &str)]) -> Vec<PlannedMount> {
    let mut host = survey();
    for source in ["/a", "/b", "/c", SHM] {
        host.sources.insert(source.into(), Source::Present);
    }
    plan_on(&host, flags).unwrap().mounts
}

fn targets(mounts: &[PlannedMount]) -> Vec<&str> {
    mounts.iter().map(|mount| mount.target.as_str()).collect()
}

fn at<'a>(mounts: &'a [PlannedMount], target: &str) -> &'a PlannedMount {
    let found: Vec<_> = mounts
        .iter()
        .filter(|mount| mount.target == target)
        .collect();
    assert_eq!(found.len(), 1, "{target}");
    found[0]
}

#[test]
fn the_kernel_s_file_systems_come_first_and_then_a_parent_before_its_child() {
    let flags = [
        ("volumes", "/a:/x/y/z"),
        ("tmpfs", "/x"),
        ("volumes", "/b:/x/y"),
    ];
    assert_eq!(
        targets(&mounts(&flags)),
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm",
            "/.airtight",
            "/x",
            "/etc/hosts",
            "/etc/hostname",
            "/etc/resolv.conf",
            "/x/y",
            "/x/y/z",
        ]
    );
}

#[test]
fn a_mount_of_the_user_s_replaces_ours_and_hides_what_would_lie_below() {
    let mounts = mounts(&[("volumes", "/a:/dev"), ("volumes", "/b:/etc/hosts")]);
    assert!(
        !targets(&mounts)
            .iter()
            .any(|target| target.starts_with("/dev/"))
    );
    for (target, source) in [("/dev", "/a"), ("/etc/hosts", "/b")] {
        let MountKind::Bind { host, .. } = &at(&mounts, target).kind else {
            panic!("{target} is not the user's");
        };
        assert_eq!(host, &PathBuf::from(source));
    }
}

#[test]
fn binds_are_recursive_and_private_unless_said_otherwise() {
    let mounts = mounts(&[("volumes", "/a:/x"), ("volumes", "/b:/y:ro,rslave")]);
    assert_eq!(at(&mounts, "/x").options, ["rbind", "rprivate"]);
    assert_eq!(at(&mounts, "/y").options, ["rbind", "ro", "rslave"]);
}

#[test]
fn a_missing_source_is_made_for_a_volume_alone() {
    let mounts = mounts(&[("volumes", "/missing:/x"), ("volumes", "/a:/y")]);
    let made = |target| matches!(at(&mounts, target).kind, MountKind::Bind { make: true, .. });
    assert!(made("/x") && !made("/y"));
    let option = "type=bind,source=/missing,target=/x";
    assert_eq!(
        refusal(&[("mounts", option)]),
        "cannot mount /missing: it does not exist"
    );
    let mut host = survey();
    host.sources
        .insert("/a".into(), Source::Unusable("it is odd"));
    let refused = plan_on(&host, &[("volumes", "/a:/x")]).unwrap_err();
    assert_eq!(refused.to_string(), "cannot mount /a: it is odd");
}

#[test]
fn a_mount_behind_a_fence_keeps_it_and_is_numbered() {
    let mut host = survey();
    host.sources.insert("/a".into(), Source::Present);
    let fence = Fence::below(vec!["/data".into()]);
    let mut settings = settings(&[
        ("volumes", "/a:/x"),
        ("volumes", "/b:/y"),
        ("volumes", "/a:/z"),
    ]);
    for mount in settings.mounts.iter_mut().skip(1) {
        *mount = mount.clone().behind(&fence);
    }
    let id = "0123456789abcdef".parse().unwrap();
    let mounts = Plan::make(&settings, &host, &image(json!({})), id)
        .unwrap()
        .mounts;
    assert!(matches!(at(&mounts, "/x").kind, MountKind::Bind { .. }));
    for (target, expected, path) in [("/y", 0, "/b"), ("/z", 1, "/a")] {
        let kind = MountKind::Fenced {
            number: expected,
            host: path.into(),
            make: true,
            fence: fence.clone(),
        };
        assert_eq!(at(&mounts, target).kind, kind);
    }
}

#[test]
fn the_image_s_volumes_are_anonymous_unless_something_else_is_mounted_there() {
    let image = image(json!({"Volumes": {"/data": {}, "/other/": {}, "/": {}, "/proc": {}}}));
    let mounts = plan_of(&image, &[("tmpfs", "/data"), ("volumes", "/mine")])
        .unwrap()
        .mounts;
    let anonymous: Vec<_> = mounts
        .iter()
        .filter_map(|mount| match mount.kind {
            MountKind::Anonymous(number) => Some((mount.target.as_str(), number)),
            _ => None,
        })
        .collect();
    assert_eq!(anonymous, [("/mine", 0), ("/other", 1)]);
    assert!(matches!(
        at(&mounts, "/data").kind,
        MountKind::Kernel { .. }
    ));
}

#[test]
fn an_image_s_volume_that_leads_out_or_nowhere_is_refused() {
    for volume in ["data", "/../etc", "/a/../../b", ""] {
        let image = image(json!({"Volumes": {volume: {}}}));
        let refused = plan_of(&image, &[]).unwrap_err().to_string();
        assert!(refused.contains("VOLUME"), "{refused}");
    }
}

#[test]
fn shared_memory_follows_the_ipc_mode() {
    let own = mounts(&[("shm_size", "1m")]);
    assert!(at(&own, SHM).options.contains(&"size=1048576".to_owned()));
    assert!(
        at(&mounts(&[]), SHM)
            .options
            .contains(&"size=67108864".to_owned())
    );
    assert!(!targets(&mounts(&[("ipc_mode", "none")])).contains(&SHM));
    let shared = mounts(&[("ipc_mode", "host")]);
    assert!(matches!(at(&shared, SHM).kind, MountKind::Bind { .. }));
    // The queues of a namespace appear wherever it mounts them.
    assert!(matches!(
        at(&shared, "/dev/mqueue").kind,
        MountKind::Kernel { .. }
    ));
    for mode in ["none", "host"] {
        let flags = [("ipc_mode", mode), ("shm_size", "1m")];
        let mut host = survey();
        host.sources.insert(SHM.into(), Source::Present);
        let refused = plan_on(&host, &flags).unwrap_err().to_string();
        assert!(refused.contains("--shm-size"), "{refused}");
    }
    assert!(refusal(&[("ipc_mode", "host")]).contains("--ipc host cannot be had"));
}

#[test]
fn a_read_only_root_makes_the_three_files_read_only_and_nothing_of_the_user_s() {
    let mounts = mounts(&[
        ("read_only", "true"),
        ("volumes", "/a:/x"),
        ("volumes", "/y"),
    ]);
    let is_ro = |target| at(&mounts, target).options.contains(&"ro".to_owned());
    for target in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
        assert!(is_ro(target), "{target}");
        assert!(
            !at(&plan(&[]).mounts, target)
                .options
                .contains(&"ro".to_owned())
        );
    }
    assert!(!is_ro("/x") && !is_ro("/y") && !is_ro("/dev/shm"));
}
