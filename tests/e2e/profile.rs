//! `--profile`: settings from airflow.cfg, and what a DAG's author may change of them.

use super::support::Host;

const CONFIG: &str = "\
[docker_runtime]
CONTAINER_REPOSITORY = busybox
CONTAINER_TAG = test
STOP_TIMEOUT = 7
RUN_AS_USER = app
MEMORY = 64m
ENVIRONMENT_VARIABLES_FROM_HOST = FROM_*

[docker_runtime_environment_variables]
airflow_home = /opt/airflow

[task_execution_docker_runtime]
PIDS_LIMIT = 50

[task_execution_docker_runtime_labels]
app = airflow_task

[docker_runtime_ceilings]
MAX_MEMORY = 128m
ALLOWED_IMAGES = busybox:*
";

/// A host whose airflow.cfg says `config`, and a DAG file with `metadata`; the DAG file's path.
fn set_up(config: &str, metadata: &str) -> (Host, String) {
    let host = Host::new();
    let dag = host.airflow(config, metadata);
    (host, dag)
}

#[test]
fn a_task_runs_as_airflow_cfg_says() {
    let (host, _) = set_up(CONFIG, "");
    let mut command = host.command(&[
        "run",
        "--profile",
        "task-execution",
        "sh",
        "-c",
        "id -un; env | sort",
    ]);
    command.env("FROM_HERE", "yes").env("NOT_HERE", "no");
    let seen = super::support::Output::of(&mut command).ok();
    assert!(seen.starts_with("app\n"), "{seen}");
    assert!(
        seen.contains("AIRFLOW_HOME=/opt/airflow\n") && seen.contains("FROM_HERE=yes\n"),
        "{seen}"
    );
    assert!(!seen.contains("NOT_HERE"), "{seen}");
}

#[test]
fn a_metadata_file_changes_what_it_may_and_a_flag_wins_over_both() {
    let (host, dag) = set_up(
        CONFIG,
        "docker_runtime:\n  memory: 100m\n  environments: {AIRFLOW_HOME: /mine}\n",
    );
    let run = |flags: &[&str]| {
        let args = [
            &[
                "run",
                "--dry-run",
                "--profile",
                "task-execution",
                "--dag-file",
                &dag,
            ],
            flags,
            &["true"],
        ]
        .concat();
        let plan: serde_json::Value = serde_json::from_str(&host.airtight(&args).ok()).unwrap();
        plan["plan"].clone()
    };
    let plan = run(&[]);
    assert_eq!(plan["resources"]["memory"], 100 << 20);
    assert_eq!(plan["resources"]["pids"], 50);
    assert_eq!(plan["stop"]["timeout"]["secs"], 7);
    assert_eq!(plan["labels"]["app"], "airflow_task");
    let environment = plan["process"]["environment"].to_string();
    assert!(environment.contains("AIRFLOW_HOME=/mine"), "{environment}");
    assert_eq!(run(&["-m", "200m"])["resources"]["memory"], 200 << 20);
}

#[test]
fn where_an_author_must_not_be_root_a_set_user_id_program_makes_nobody_root() {
    let (host, dag) = set_up(CONFIG, "docker_runtime: {memory: 100m}");
    let run = |rest: &[&str]| {
        let words = ["grep", "NoNewPrivs", "/proc/self/status"];
        host.run(&[&["--profile", "task-execution"], rest, &words].concat())
            .ok()
    };
    assert_eq!(run(&["--dag-file", &dag]), "NoNewPrivs:\t1\n");
    assert_eq!(run(&[]), "NoNewPrivs:\t0\n");
}

#[test]
fn what_is_beyond_the_ceilings_is_refused_with_the_setting_that_would_allow_it() {
    for (metadata, words) in [
        ("privileged: true", &["privileged", "ALLOWED_KEYS"][..]),
        ("memory: 1g", &["memory", "MAX_MEMORY"]),
        (
            "volumes: ['/etc:/e']",
            &["volumes", "ALLOWED_VOLUME_PREFIXES"],
        ),
        ("image: other:1", &["image", "ALLOWED_IMAGES"]),
        ("run_as_user: root", &["root", "run_as_user"]),
        ("run_as_user: 0", &["root", "run_as_user"]),
    ] {
        let (host, dag) = set_up(CONFIG, &format!("docker_runtime: {{{metadata}}}"));
        host.run(&["--profile", "task-execution", "--dag-file", &dag, "id"])
            .refused(words);
    }
}

#[test]
fn a_variable_wins_over_airflow_cfg_and_an_unknown_key_is_a_warning() {
    let (host, _) = set_up(
        "[docker_runtime]\nCONTAINER_REPOSITORY = nosuch\nMEMRY = 5m\n",
        "",
    );
    let mut command = host.command(&["run", "--profile", "dag-parsing", "echo", "hi"]);
    command.env("AIRFLOW__DOCKER_RUNTIME__CONTAINER_REPOSITORY", "busybox");
    command.env(
        "AIRFLOW__SCHEDULER_DAG_PARSING_DOCKER_RUNTIME__CONTAINER_TAG",
        "test",
    );
    let output = super::support::Output::of(&mut command);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "hi\n"),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("memry") && output.stderr.contains("MEMORY"),
        "{output:?}"
    );
}
