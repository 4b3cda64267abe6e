//! `airtight image pull --for-dags`: what DAG files will want.

use std::fs;

use serde_json::Value;

use super::support::Host;
use super::support::registry::Registry;

/// A folder of DAG files with the metadata given, and an airflow.cfg.
fn dags(host: &Host, config: &str, files: &[(&str, &str)]) -> String {
    host.airflow(config, "");
    let directory = host.path("dags");
    fs::create_dir_all(directory.join("team")).unwrap();
    for (name, metadata) in files {
        fs::write(directory.join(name), "").unwrap();
        fs::write(directory.join(format!("{name}.metadata.yaml")), metadata).unwrap();
    }
    directory.display().to_string()
}

#[test]
fn each_image_of_a_folder_is_pulled_once_and_told_in_a_table() {
    let registry = Registry::plain();
    registry.push_archive("busybox", "busybox:1");
    registry.push_archive("layers", "layers:1");
    registry.push_archive("scratch", "default:1");
    let host = Host::with(&[]);
    let (busybox, layers) = (registry.image("busybox:1"), registry.image("layers:1"));
    let default = registry.image("default:1");
    let metadata = |image: &str| format!("docker_runtime: {{image: '{image}'}}\n");
    let config = format!(
        "[docker_runtime]\nIMAGE = {default}\n[docker_runtime_ceilings]\nALLOWED_IMAGES = *\n"
    );
    let directory = dags(
        &host,
        &config,
        &[
            ("a.py", &metadata(&busybox)),
            ("team/b.py", &metadata(&busybox)),
            ("team/c.py", &metadata(&layers)),
        ],
    );
    let pull = || host.airtight(&["image", "pull", "--for-dags", &directory]);

    let output = pull();
    assert_eq!(output.code, 0, "{output:?}");
    let row = |image: &str| {
        let row = output.stdout.lines().find(|line| line.starts_with(image));
        row.unwrap_or_else(|| panic!("{image} is not in {output:?}"))
    };
    assert!(row(&busybox).contains("a.py, team/b.py") && row(&busybox).contains("pulled"));
    assert!(row(&layers).contains("team/c.py") && row(&default).contains("airflow.cfg"));
    assert_eq!(output.stdout.lines().count(), 4, "{output:?}");
    let table = pull().ok();
    assert_eq!(table.matches("present").count(), 3, "{table}");
    assert_eq!(host.run(&[&busybox, "echo", "hi"]).ok(), "hi\n");
    host.airtight(&["image", "rm", &busybox, &layers, &default])
        .ok();
}

#[test]
fn an_image_is_unpacked_with_every_snapshotter_that_the_settings_name() {
    let registry = Registry::plain();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let image = registry.image("busybox:1");
    let own = format!("docker_runtime: {{image: '{image}', snapshotter: overlayfs}}\n");
    let common = format!("docker_runtime: {{image: '{image}'}}\n");
    let config = "[docker_runtime]\nSNAPSHOTTER = native\n[docker_runtime_ceilings]\nALLOWED_IMAGES = *\nALLOWED_KEYS = snapshotter\n";
    let snapshots = |name: &str| {
        let listed = host.ctr(&["snapshots", "--snapshotter", name, "ls"]);
        listed.lines().count().saturating_sub(1)
    };
    let files = [("common.py", common.as_str()), ("own.py", &own)];
    let directory = dags(&host, config, &files);
    let pull = |flags: &[&str]| {
        let pull = ["image", "pull", "--for-dags", &directory];
        let output = host.airtight(&[&pull, flags].concat());
        assert_eq!(output.code, 0, "{output:?}");
        (snapshots("native"), snapshots("overlayfs"), output.stdout)
    };
    let (native, overlayfs, told) = pull(&["--snapshotter", "native"]);
    assert!(native > 0 && told.contains("pulled"), "{told}");
    assert_eq!(overlayfs, 0, "the flag is above the settings");
    host.airtight(&["image", "rm", &image]).ok();

    let (native, overlayfs, _) = pull(&[]);
    assert!(native > 0 && overlayfs > 0, "{native} {overlayfs}");
    host.airtight(&["image", "rm", &image]).ok();
}

#[test]
fn flags_that_weaken_tls_are_not_for_registries_that_authors_name() {
    let host = Host::with(&[]);
    let directory = dags(&host, "", &[]);
    for flags in [&["--plain-http"][..], &["--ca-file", "/etc/ssl/x.pem"]] {
        let pull = ["image", "pull", "--for-dags", &directory];
        let output = host.airtight(&[&pull[..], flags].concat());
        assert_eq!(output.code, 125, "{output:?}");
        assert!(output.stderr.contains(flags[0]), "{output:?}");
        assert!(output.stderr.contains("--for-dags"), "{output:?}");
    }
}

#[test]
fn what_fails_is_told_and_stops_nothing_else() {
    let registry = Registry::plain();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let (good, missing) = (registry.image("busybox:1"), registry.image("busybox:2"));
    let directory = dags(
        &host,
        "[docker_runtime_ceilings]\nALLOWED_IMAGES = *\n",
        &[
            ("good.py", &format!("docker_runtime: {{image: '{good}'}}\n")),
            (
                "missing.py",
                &format!("docker_runtime: {{image: '{missing}'}}\n"),
            ),
            ("broken.py", "docker_runtime: {image: x, memory: many}\n"),
            (
                "greedy.py",
                "docker_runtime: {image: x, privileged: true}\n",
            ),
            ("silent.py", "docker_runtime: {memory: 1g}\n"),
        ],
    );
    let output = host.airtight(&["image", "pull", "--format=json", "--for-dags", &directory]);
    assert_eq!(output.code, 1, "{output:?}");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let images = told["images"].as_array().unwrap();
    let result = |image: &str| {
        let told = images.iter().find(|told| told["image"] == image);
        told.unwrap_or_else(|| panic!("{image} is not in {output:?}"))
    };
    assert_eq!(result(&good)["result"], "pulled");
    assert_eq!(result(&good)["files"], serde_json::json!(["good.py"]));
    assert!(result(&good)["size"].as_u64().unwrap() > 0);
    assert_eq!(result(&missing)["result"], "failed");
    let why = result(&missing)["error"]["message"].as_str().unwrap();
    assert!(why.contains("has no tag 2"), "{why}");
    assert_eq!(images.len(), 2, "{images:?}");
    let refused = told["refused"].as_array().unwrap();
    let of = |file: &str| {
        let mut told = refused.iter();
        told.any(|told| told["file"] == file)
    };
    assert!(
        of("broken.py") && of("greedy.py") && !of("silent.py"),
        "{refused:?}"
    );
    host.airtight(&["image", "rm", &good]).ok();
}

#[test]
fn the_hook_decides_which_image_is_pulled() {
    let registry = Registry::plain();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let image = registry.image("busybox:1");
    let directory = dags(
        &host,
        "[docker_runtime_ceilings]\nALLOWED_IMAGES = *\n",
        &[("a.py", "docker_runtime: {image: team/a}\n")],
    );
    let hook =
        format!("def get_docker_runtime_image(image):\n    return {image:?} if image else None\n");
    fs::create_dir(host.path("airflow/config")).unwrap();
    fs::write(host.path("airflow/config/airflow_local_settings.py"), hook).unwrap();
    let output = host.airtight(&["image", "pull", "--for-dags", &directory]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stdout.contains(&image) && !output.stdout.contains("team/a"),
        "{output:?}"
    );
    host.airtight(&["image", "rm", &image]).ok();
}

#[test]
fn a_run_of_an_image_that_is_not_here_names_the_pull_and_does_not_do_it() {
    let registry = Registry::plain();
    registry.push_archive("busybox", "busybox:1");
    let host = Host::with(&[]);
    let image = registry.image("busybox:1");
    let hint = format!("airtight image pull {image}");
    host.run(&[&image, "true"]).refused(&["is not here", &hint]);
    host.run(&["--profile", "dag-parsing", "--image", &image, "true"])
        .refused(&["is not here", &hint]);
    host.run(&["--pull", "always", &image, "true"])
        .refused(&["--pull", "airtight image pull IMAGE"]);
}
