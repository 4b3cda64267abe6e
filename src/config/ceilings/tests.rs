//! What an author may and may not set.

use super::*;
use crate::config::airflow_cfg::Environment;
use crate::config::layer::{Origin, merge};
use crate::config::profile::Profile;
use crate::config::yaml;

/// Ceilings from `(KEY, value)` pairs of the section.
pub(super) fn ceilings(said: &[(&str, &str)]) -> Ceilings {
    let variable = |(key, value): &(&str, &str)| {
        (
            format!("AIRFLOW__DOCKER_RUNTIME_CEILINGS__{key}").into(),
            (*value).into(),
        )
    };
    let environment: Environment = said
        .iter()
        .map(variable)
        .collect::<Vec<(std::ffi::OsString, std::ffi::OsString)>>()
        .into_iter()
        .collect();
    let config = AirflowConfig::without_file(environment);
    Ceilings::read(&config, Some(Profile::TaskExecution)).unwrap()
}

fn author(body: &str) -> Layer {
    let text = format!("docker_runtime: {{{body}}}");
    yaml::body(&text, "d.yaml".into()).unwrap().layer
}

pub(super) fn operator(said: &[(&str, &str)]) -> Merged {
    let mut layer = Layer::default();
    for (name, text) in said {
        layer.say(super::super::keys::find(name).unwrap(), *text, Origin::Flag);
    }
    merge([&Layer::defaults(), &layer])
}

/// The first refusal.
pub(super) fn check_against(ceilings: &Ceilings, body: &str, operator: &Merged) -> Result<()> {
    let refusals = ceilings.refusals(&author(body), operator);
    refusals.into_iter().next().map_or(Ok(()), Err)
}

pub(super) fn check(ceilings: &Ceilings, body: &str) -> Result<()> {
    check_against(ceilings, body, &operator(&[]))
}

#[test]
fn without_consent_nothing_that_gives_power_over_the_host_can_be_set() {
    for body in [
        "privileged: true",
        "pid_mode: host",
        "network_mode: host",
        "ipc_mode: host",
        "uts_mode: host",
        "ipc_mode: 'container:x'",
        "devices: [/dev/sda]",
        "cap_add: [SYS_ADMIN]",
        "cap_add: [ALL]",
        "security_opt: [seccomp=unconfined]",
        "security_opt: ['no-new-privileges=false']",
        "sysctls: {net.core.somaxconn: 5}",
        "cgroup_mount_path: /x",
        "docker_cgroup_subpath: x",
        "runtime: io.x.y",
        "runtime_binary: /bin/sh",
        "snapshotter: native",
        "socket_path: /x.sock",
        "mount_docker_socket: true",
        "volume_mount_yaml: /etc/passwd",
        "env_file: [/etc/environment]",
        "environments: [AIRFLOW__CORE__FERNET_KEY]",
        "environment_variables_from_host: ['*']",
        "limit_resource: false",
        "init: false",
        "pass_fd: [3]",
        "oom_score_adj: -500",
        "oom_kill_disable: true",
        "group_add: [0]",
        "name: x",
        "volumes: ['/:/host']",
        "volumes: ['/etc/passwd:/p:ro']",
        "mounts: ['type=bind,source=/etc,target=/e']",
    ] {
        let failure = check(&Ceilings::default(), body).expect_err(body);
        assert!(failure.to_string().contains("d.yaml:1"), "{failure}");
        assert!(failure.hints()[0].contains(SECTION), "{failure:?}");
    }
}

#[test]
fn everything_else_is_the_author_s() {
    for body in [
        "image: a:1",
        "environments: {A: 1}",
        "environments: {A: null}",
        "labels: {a: b}",
        "memory: 64g",
        "cpus: 1.5",
        "timeout: 9h",
        "working_dir: /w",
        "entrypoint: /e",
        "hostname: h",
        "read_only: true",
        "privileged: false",
        "pid_mode: private",
        "network_mode: none",
        "cap_drop: [ALL]",
        "cap_add: [CHOWN]",
        "security_opt: [no-new-privileges]",
        "tmpfs: [/t]",
        "volumes: [/anonymous]",
        "run_as_user: 1000",
        "memory: null",
        "stop_signal: INT",
        "ulimits: {nofile: 10}",
    ] {
        check(&Ceilings::default(), body).expect(body);
    }
}

#[test]
fn every_refusal_is_told_not_only_the_first() {
    let author = author("privileged: true, memory: 2g, devices: [/dev/sda], image: a");
    let refusals = Ceilings::default().refusals(&author, &operator(&[]));
    assert_eq!(refusals.len(), 2, "{refusals:?}");
}

#[test]
fn consent_is_by_key() {
    let allowed = ceilings(&[("ALLOWED_KEYS", "devices, PRIVILEGED")]);
    check(&allowed, "devices: [/dev/sda]").unwrap();
    check(&allowed, "privileged: true").unwrap();
    check(&allowed, "cap_add: [ALL]").unwrap_err();
}

#[test]
fn a_mistake_in_allowed_keys_has_its_line_and_the_nearest_name() {
    let text = format!("[{SECTION}]\n\nALLOWED_KEYS = memory, devcies\n");
    let config = AirflowConfig::parse(&text, "a.cfg".into(), Environment::default()).unwrap();
    let failure = Ceilings::read(&config, None).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "a.cfg:3: [docker_runtime_ceilings] allowed_keys names \"devcies\", which is no runtime key"
    );
    assert_eq!(failure.hints(), ["did you mean devices?"]);
}

#[test]
fn quantities_stop_at_their_maximum_and_unlimited_is_above_any() {
    let limited = ceilings(&[
        ("MAX_MEMORY", "2g"),
        ("MAX_CPUS", "2"),
        ("MAX_PIDS_LIMIT", "100"),
        ("MAX_TIMEOUT", "1h"),
        ("MAX_SHM_SIZE", "64m"),
        ("MAX_CPU_SHARES", "512"),
        ("MAX_BLKIO_WEIGHT", "50"),
    ]);
    for body in [
        "memory: 2g",
        "cpus: 2",
        "pids_limit: 100",
        "timeout: 60m",
        "shm_size: 1m",
        "cpu_shares: 512",
        "blkio_weight: 50",
    ] {
        check(&limited, body).expect(body);
    }
    for body in [
        "memory: 2049m",
        "memory: 0",
        "memory: null",
        "cpus: 2.01",
        "pids_limit: -1",
        "pids_limit: 101",
        "timeout: 61m",
        "shm_size: 65m",
        "timeout: null",
        "cpu_shares: 513",
        "cpu_shares: 0",
        "blkio_weight: 51",
        "blkio_weight: 0",
    ] {
        let failure = check(&limited, body).expect_err(body);
        assert!(!failure.hints().is_empty(), "{failure}");
    }
}

#[test]
fn host_paths_are_followed_before_they_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = dir.path().join("allowed");
    std::fs::create_dir_all(allowed.join("in")).unwrap();
    std::os::unix::fs::symlink("/etc", allowed.join("out")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", allowed.join("dangling")).unwrap();
    let prefixes = ceilings(&[("ALLOWED_VOLUME_PREFIXES", allowed.to_str().unwrap())]);
    let volume = |path: &str| {
        check(
            &prefixes,
            &format!("volumes: ['{}/{path}:/x']", allowed.display()),
        )
    };
    volume("in").unwrap();
    volume("not/yet/there").unwrap();
    volume("").unwrap();
    for path in [
        "out",
        "out/passwd",
        "dangling",
        "dangling/x",
        "../secret",
        "in/../../secret",
        "in/../../../etc",
    ] {
        volume(path).expect_err(path);
    }
    check(
        &prefixes,
        &format!("volumes: ['{}2:/x']", allowed.display()),
    )
    .expect_err("a sibling");
    check(
        &prefixes,
        &format!("volumes: ['{}/in:/x:rshared']", allowed.display()),
    )
    .expect_err("rshared");
}

#[test]
fn at_a_shell_without_ceilings_any_host_path_is_the_caller_s_own_affair() {
    let read = |profile| {
        let config = AirflowConfig::without_file(Environment::from_iter(Vec::<(
            std::ffi::OsString,
            std::ffi::OsString,
        )>::new()));
        Ceilings::read(&config, profile).unwrap()
    };
    check(&read(None), "volumes: ['/etc:/e']").unwrap();
    check(&read(None), "privileged: true").unwrap_err();
    check(&read(Some(Profile::DagParsing)), "volumes: ['/etc:/e']").unwrap_err();
}

#[test]
fn the_final_image_must_be_one_that_is_allowed() {
    let images = ceilings(&[("ALLOWED_IMAGES", "registry.example/team/*, busybox:*")]);
    let image = |said: &[(&str, &str)]| images.check_image(&operator(said));
    image(&[("image", "registry.example/team/a:1")]).unwrap();
    image(&[("image", "busybox:1")]).unwrap();
    image(&[("image", "docker.io/library/busybox:1")]).unwrap();
    image(&[("container_repository", "busybox"), ("container_tag", "2")]).unwrap();
    image(&[("image", "evil.example/busybox:1")]).unwrap_err();
    image(&[("image", "registry.example/team2/a")]).unwrap_err();
    image(&[("image", "0123456789ab")]).unwrap_err();
    image(&[("container_repository", "evil")]).unwrap_err();
    image(&[]).unwrap();
}

#[test]
fn root_is_forbidden_where_the_operator_chose_a_user() {
    let forbidden =
        |user: &str| Ceilings::default().forbid_root(&operator(&[("run_as_user", user)]));
    assert!(forbidden("airflow") && forbidden("1000:0"));
    assert!(!forbidden("root") && !forbidden("0") && !forbidden("00:5"));
    assert!(!Ceilings::default().forbid_root(&operator(&[])));
    let consent = ceilings(&[("ALLOWED_KEYS", "run_as_user")]);
    assert!(!consent.forbid_root(&operator(&[("run_as_user", "airflow")])));
}

#[test]
fn clearing_a_restriction_of_the_operator_s_needs_consent() {
    let operator = operator(&[("cap_drop", "ALL"), ("security_opt", "no-new-privileges")]);
    for body in ["cap_drop: null", "security_opt: null"] {
        check_against(&Ceilings::default(), body, &operator).expect_err(body);
    }
    let mut said = Layer::default();
    let limit_resource = super::super::keys::find("limit_resource").unwrap();
    said.say(limit_resource, "true", Origin::Flag);
    for (profile, refused) in [(Profile::TaskExecution, false), (Profile::DagParsing, true)] {
        let operator = merge([&Layer::defaults(), &profile.defaults(), &said]);
        let found = check_against(&Ceilings::default(), "limit_resource: null", &operator);
        assert_eq!(found.is_err(), refused, "{profile}");
    }
}

#[test]
fn an_author_has_neither_root_nor_a_group_where_the_operator_chose_a_user() {
    let chosen = operator(&[("run_as_user", "airflow")]);
    let none = Ceilings::default();
    for user in ["root", "0", "00", "nobody:0", "nobody:root", "65534:audio"] {
        let body = format!("run_as_user: '{user}'");
        check_against(&none, &body, &chosen).expect_err(user);
        check_against(
            &ceilings(&[("ALLOWED_KEYS", "run_as_user")]),
            &body,
            &chosen,
        )
        .unwrap();
        check(&none, &body).unwrap();
    }
    check_against(&none, "run_as_user: nobody", &chosen).unwrap();
}

#[test]
fn shared_memory_has_its_maximum_however_it_is_mounted() {
    let limited = ceilings(&[("MAX_SHM_SIZE", "64m")]);
    for body in [
        "tmpfs: ['/dev/shm:size=100g']",
        "tmpfs: ['/dev/shm/:size=1g']",
        "mounts: ['type=tmpfs,target=/dev/shm,tmpfs-size=1g']",
    ] {
        check(&limited, body).expect_err(body);
        check(&Ceilings::default(), body).expect(body);
    }
}
