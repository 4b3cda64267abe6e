//! What an author may mount, from where and to where.

use super::super::super::airflow_cfg::{AirflowConfig, Environment};
use super::super::super::keys::find;
use super::super::tests::{ceilings, check};
use super::*;
use std::ffi::OsString;
use std::fs;

#[test]
fn a_prefix_is_an_absolute_path_or_an_error_says_so() {
    for bad in ["data", "./data", "/data, data", "/data/../etc"] {
        let environment: Environment = [(
            OsString::from("AIRFLOW__DOCKER_RUNTIME_CEILINGS__ALLOWED_VOLUME_PREFIXES"),
            OsString::from(bad),
        )]
        .into_iter()
        .collect();
        let config = AirflowConfig::without_file(environment);
        let refused = Ceilings::read(&config, None).unwrap_err();
        assert!(refused.to_string().contains("absolute path"), "{refused}");
        assert!(
            refused.to_string().contains("ALLOWED_VOLUME_PREFIXES"),
            "{refused}"
        );
    }
}

#[test]
fn nothing_of_an_author_s_is_mounted_in_the_runtime_s_way() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().display().to_string();
    let allowed = ceilings(&[("ALLOWED_VOLUME_PREFIXES", &source)]);
    for target in [
        "/proc/sys",
        "/proc/self/attr",
        "/sys",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/null",
    ] {
        for body in [
            format!("volumes: ['{source}:{target}']"),
            format!("volumes: ['{target}']"),
            format!("mounts: ['type=bind,source={source},target={target}']"),
            format!("mounts: ['type=tmpfs,target={target}']"),
            format!("tmpfs: ['{target}']"),
        ] {
            check(&allowed, &body).expect_err(&body);
        }
    }
    for target in ["/dev/shm", "/dev/shm/x", "/devices", "/x/dev"] {
        check(&allowed, &format!("volumes: ['{source}:{target}']")).expect(target);
    }
    for target in ["/proc", "/.airtight", "/.airtight/init", "/"] {
        check(&allowed, &format!("tmpfs: ['{target}']")).expect_err(target);
    }
}

#[test]
fn an_author_s_mounts_reach_nobody_on_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().display().to_string();
    let allowed = ceilings(&[("ALLOWED_VOLUME_PREFIXES", &source)]);
    for mode in ["shared", "rshared"] {
        check(&allowed, &format!("volumes: ['{source}:/x:{mode}']")).expect_err(mode);
        let mount =
            format!("mounts: ['type=bind,source={source},target=/x,bind-propagation={mode}']");
        check(&allowed, &mount).expect_err(mode);
    }
    check(&allowed, &format!("volumes: ['{source}:/x:rslave']")).unwrap();
}

#[test]
fn what_is_guarded_needs_consent_below_an_allowed_path_too() {
    let run = ceilings(&[("ALLOWED_VOLUME_PREFIXES", "/run, /")]);
    let body = "volumes: ['/run/containerd/containerd.sock:/c.sock']";
    let refused = check(&run, body).unwrap_err();
    assert!(
        refused.hints()[0].contains("volumes to ALLOWED_KEYS"),
        "{refused:?}"
    );
    let consent = ceilings(&[("ALLOWED_KEYS", "volumes")]);
    check(&consent, body).unwrap();
}

fn author() -> Layer {
    let text = "docker_runtime:\n  volumes: ['/data:/x']\n  mounts: ['type=bind,source=/data,target=/y']\n";
    super::super::super::yaml::body(text, "d.yaml".into())
        .unwrap()
        .layer
}

fn fenced(ceilings: &Ceilings) -> Vec<&'static str> {
    let layer = author();
    let fences = ceilings.fences(&layer);
    let said = layer.said().iter();
    said.filter_map(|said| match said {
        Said::Value(item) if fences.of(item).is_some() => Some(item.key.name),
        _ => None,
    })
    .collect()
}

#[test]
fn every_mount_of_an_author_s_stays_behind_a_fence_unless_the_operator_consents() {
    assert_eq!(fenced(&ceilings(&[])), ["volumes", "mounts"]);
    assert_eq!(
        fenced(&ceilings(&[("ALLOWED_VOLUME_PREFIXES", "/")])),
        ["volumes", "mounts"]
    );
    assert_eq!(
        fenced(&ceilings(&[("ALLOWED_KEYS", "volumes")])),
        ["mounts"]
    );
    let shell = Ceilings {
        host_paths: HostPaths::Any,
        ..Ceilings::default()
    };
    assert!(fenced(&shell).is_empty());
}

#[test]
fn a_mount_of_the_operator_s_has_no_fence() {
    let item = Item {
        key: find("volumes").unwrap(),
        text: "/data:/x".to_owned(),
        origin: Origin::Flag,
    };
    assert!(ceilings(&[]).fences(&author()).of(&item).is_none());
}

#[test]
fn data_does_not_allow_database_nor_what_lies_above() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    for name in ["data", "database", "etc"] {
        fs::create_dir(path.join(name)).unwrap();
    }
    let data = path.join("data").display().to_string();
    let allowed = ceilings(&[("ALLOWED_VOLUME_PREFIXES", &data)]);
    check(&allowed, &format!("volumes: ['{data}:/x']")).unwrap();
    for bad in ["base", "/../etc", "/.."] {
        check(&allowed, &format!("volumes: ['{data}{bad}:/x']")).expect_err(bad);
    }
}
