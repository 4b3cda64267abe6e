//! `airtight config`: what a run would be set to, and what is wrong with it.

use super::support::Host;

/// A host whose airflow.cfg says `config`, and a DAG file with `metadata`; the DAG file's path.
fn set_up(config: &str, metadata: &str) -> (Host, String) {
    let host = Host::with(&[]);
    let dag = host.airflow(config, metadata);
    (host, dag)
}

#[test]
fn show_says_where_each_value_comes_from_and_hides_secrets() {
    let config = "[docker_runtime]\nMEMORY = 1g\n[docker_runtime_environment_variables]\ndb_password = hunter2\n";
    let (host, dag) = set_up(config, "docker_runtime:\n  image: a:1\n");
    let args = [
        "config",
        "show",
        "--diff",
        "--profile",
        "task-execution",
        "--dag-file",
        &dag,
        "--cpus",
        "1",
    ];
    let table = host.airtight(&args).ok();
    let row = |key: &str| {
        table
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        row("memory").contains("1g") && row("memory").contains("airflow.cfg:2"),
        "{table}"
    );
    assert!(row("image").contains("dag.py.metadata.yaml:2"), "{table}");
    assert!(
        row("cpus").ends_with("flag") && row("stop_timeout").contains("default of task-execution"),
        "{table}"
    );
    assert!(
        row("environments").contains("DB_PASSWORD=***") && !table.contains("hunter2"),
        "{table}"
    );
    assert!(
        row("ipc_mode").is_empty(),
        "a default differs from nothing: {table}"
    );
    let json = host
        .airtight(&[&args[..], &["--format", "json"]].concat())
        .ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["memory"]["value"], "1g");
    assert_eq!(json["environments"][0]["value"], "DB_PASSWORD=***");
}

#[test]
fn check_tells_every_finding_once_with_file_and_line() {
    let config = "[docker_runtime]\nMEMRY = 1g\n[docker_runtime_ceilings]\nMAX_MEMORY = 1g\n";
    let metadata =
        "docker_runtime:\n  image: a:1\n  memory: 2g\n  privileged: true\n  cpus: many\n";
    let (host, dag) = set_up(config, metadata);
    let output = host.airtight(&["config", "check", &dag]);
    assert_eq!(output.code, 1, "{output:?}");
    for words in ["airflow.cfg:2", "yaml:3", "yaml:4", "yaml:5"] {
        assert_eq!(
            output.stdout.matches(words).count(),
            1,
            "{words}: {output:?}"
        );
    }
    let (host, dag) = set_up("", "docker_runtime:\n  image: a:1\n  memory: 2g\n");
    assert_eq!(
        host.airtight(&["config", "check", &format!("{dag}.metadata.yaml")])
            .ok(),
        ""
    );
}

#[test]
fn keys_lists_every_key_with_what_an_author_may_do() {
    let host = Host::with(&[]);
    let table = host.airtight(&["config", "keys"]).ok();
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("privileged ") && line.ends_with("false")),
        "{table}"
    );
    let json = host.airtight(&["config", "keys", "--format", "json"]).ok();
    let keys: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert!(
        keys.iter()
            .any(|key| key["airflow_cfg"] == "DOCKER_CGROUP_SUBPATH"
                && key["flag"] == "--cgroup-subpath")
    );
}
