//! `airtight config`: what a run would be set to, and what is wrong with it.

use std::fs;

use serde_json::Value;

use super::support::{Host, Output};

/// A host whose airflow.cfg says `config`, and a DAG file with `metadata`; the DAG file's path.
fn set_up(config: &str, metadata: &str) -> (Host, String) {
    let host = Host::with(&[]);
    let dag = host.airflow(config, metadata);
    (host, dag)
}

const SHOWN: &str = "\
[core]
task_execution_runtime = docker
[docker_runtime]
MEMORY = 1g
IPC_MODE = private
READ_ONLY = yes
[docker_runtime_environment_variables]
db_password = hunter2
stage = test
";

fn show(host: &Host, dag: &str, flags: &[&str]) -> Output {
    let args = [
        "config",
        "show",
        "--diff",
        "--profile",
        "task-execution",
        "--dag-file",
        dag,
    ];
    host.airtight(&[&args[..], flags].concat())
}

#[test]
fn show_says_where_each_value_comes_from_and_hides_secrets() {
    let (host, dag) = set_up(SHOWN, "docker_runtime:\n  image: a:1\n");
    let table = show(&host, &dag, &["--cpus", "1"]).ok();
    let row = |key: &str| {
        table
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        row("memory").contains("1g") && row("memory").contains("airflow.cfg:4"),
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
        row("ipc_mode").is_empty() && row("pid_mode").is_empty(),
        "what is as the default differs from nothing, whoever says it: {table}"
    );
}

#[test]
fn show_prints_the_same_as_json_and_as_yaml() {
    let (host, dag) = set_up(SHOWN, "docker_runtime:\n  image: a:1\n");
    let json = show(&host, &dag, &["--format", "json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["memory"]["value"], "1g");
    assert_eq!(json["read_only"]["value"], true);
    assert_eq!(json["environments"][0]["value"], "DB_PASSWORD=***");
    let yaml = show(&host, &dag, &["--format", "yaml"]).ok();
    let yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn show_has_each_name_once_with_the_value_that_counts() {
    let metadata = "docker_runtime:\n  environments: {STAGE: live}\n  labels: [a=1, a=2]\n";
    let (host, dag) = set_up(SHOWN, metadata);
    let flags = ["--image", "x", "--tmpfs", "/t", "--format", "json"];
    let json: Value = serde_json::from_str(&show(&host, &dag, &flags).ok()).unwrap();
    let texts = |key: &str| -> Vec<String> {
        let items = json[key].as_array().unwrap().iter();
        items
            .map(|item| item["value"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts("environments"), ["DB_PASSWORD=***", "STAGE=live"]);
    assert_eq!(texts("labels"), ["a=2"]);
}

#[test]
fn show_needs_no_image() {
    let host = Host::with(&[]);
    let table = host
        .airtight(&["config", "show", "--diff", "-m", "1g"])
        .ok();
    assert!(table.contains("memory   1g      flag"), "{table}");
}

#[test]
fn docker_s_socket_is_no_containerd_s_and_check_says_so() {
    let (host, _) = set_up(
        "[docker_runtime]\nSOCKET_PATH = unix:///var/run/docker.sock\n",
        "",
    );
    let output = host.airtight(&["config", "check"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stdout.contains("airflow.cfg:2: error: ") && output.stdout.contains("dockerd"),
        "{output:?}"
    );
}

#[test]
fn show_says_when_airflow_itself_would_not_use_it() {
    let (host, _) = set_up("", "");
    let args = ["config", "show", "--profile", "dag-parsing", "--image", "a"];
    let output = host.airtight(&args);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stderr.contains("scheduler_dag_parsing_runtime"),
        "{output:?}"
    );
}

const WRONG: &str = "\
docker_runtime:
  image: a:1
  memory: 2g
  privileged: true
  cpus: many
  imagee: b
  environments: {A=B: 1}
";

#[test]
fn check_tells_every_finding_of_every_file_once_with_file_and_line() {
    let config = "[docker_runtime]\nMEMRY = 1g\n[docker_runtime_ceilings]\nMAX_MEMORY = 1g\n";
    let (host, dag) = set_up(config, &WRONG.replace("  environments: {A=B: 1}\n", ""));
    fs::write(host.path("b.py"), "").unwrap();
    fs::write(
        host.path("b.py.metadata.yaml"),
        "docker_runtime:\n\timage: a\n",
    )
    .unwrap();
    fs::write(host.path("c.py.metadata.yaml"), WRONG).unwrap();
    let directory = host.path("").display().to_string();
    let output = host.airtight(&["config", "check", &directory]);
    assert_eq!(output.code, 1, "{output:?}");
    let begins = |words: &str| {
        let lines = output.stdout.lines();
        let count = lines.filter(|line| line.contains(words)).count();
        assert_eq!(count, 1, "{words}: {output:?}");
    };
    begins("airflow.cfg:2: warning: [docker_runtime] memry");
    begins(&format!(
        "{dag}.metadata.yaml:3:11: error: invalid value \"2g\" for memory"
    ));
    begins(&format!(
        "{dag}.metadata.yaml:4:15: error: invalid value \"true\" for privileged"
    ));
    begins(&format!(
        "{dag}.metadata.yaml:5:9: error: invalid value \"many\" for cpus"
    ));
    begins(&format!(
        "{dag}.metadata.yaml:6:3: error: unknown key \"imagee\" (did you mean image?)"
    ));
    begins("b.py.metadata.yaml:2:2: error: invalid YAML: tabs");
    begins("error: cannot read the DAG file");
    assert_eq!(output.stdout.lines().count(), 7, "{output:?}");
}

#[test]
fn check_annotates_lines_for_github() {
    let (host, dag) = set_up("", "docker_runtime: {imagee: a}\n");
    let mut command = host.command(&["config", "check", &dag]);
    let output = Output::of(command.env("GITHUB_ACTIONS", "true"));
    let expected = format!(
        "::error file={dag}.metadata.yaml,line=1,col=18::unknown key \"imagee\"%0Adid you mean image?\n"
    );
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (1, expected.as_str())
    );
}

#[test]
fn check_prints_json_for_scripts() {
    let (host, dag) = set_up("", "docker_runtime: {imagee: a}\n");
    let output = host.airtight(&["config", "check", "--format", "json", &dag]);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (
            output.code,
            json[0]["line"].as_u64(),
            json[0]["severity"].as_str()
        ),
        (1, Some(1), Some("error"))
    );
}

#[test]
fn check_of_what_is_right_exits_with_0() {
    let (host, dag) = set_up("", "docker_runtime:\n  image: a:1\n  memory: 2g\n");
    for path in [dag.clone(), format!("{dag}.metadata.yaml")] {
        let output = host.airtight(&["config", "check", &path]);
        assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
        assert!(output.stderr.contains("no findings"), "{output:?}");
    }
}

#[test]
fn check_runs_no_command_of_airflow_cfg() {
    let host = Host::with(&[]);
    let trace = host.path("trace");
    host.airflow(
        &format!("[docker_runtime]\nimage_cmd = touch {}\n", trace.display()),
        "",
    );
    assert_eq!(host.airtight(&["config", "check"]).code, 0);
    assert!(!trace.exists());
}

#[test]
fn check_opens_no_file_of_variables() {
    let (host, dag) = set_up(
        "[docker_runtime_ceilings]\nALLOWED_KEYS = env_file\n",
        "docker_runtime: {env_file: [/nosuch, /dev/zero]}\n",
    );
    let output = host.airtight(&["config", "check", &dag]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
}

#[test]
fn a_ceiling_with_a_mistake_in_its_name_stops_everything() {
    let (host, dag) = set_up("[docker_runtime_ceilings]\nMAX_MEMROY = 1g\n", "");
    let output = host.airtight(&["config", "show", "--dag-file", &dag, "--image", "a"]);
    assert_eq!(output.code, 125, "{output:?}");
    assert!(
        output.stderr.contains("airflow.cfg:2: ") && output.stderr.contains("MAX_MEMORY?"),
        "{output:?}"
    );
}

#[test]
fn keys_lists_every_key_with_what_an_author_may_do() {
    let host = Host::with(&[]);
    let table = host.airtight(&["config", "keys"]).ok();
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("privileged ")
                && line.ends_with("false (true: ALLOWED_KEYS)")),
        "{table}"
    );
    let json = host.airtight(&["config", "keys", "--format", "json"]).ok();
    let keys: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert!(
        keys.iter()
            .any(|key| key["airflow_cfg"] == "DOCKER_CGROUP_SUBPATH"
                && key["flag"] == "--cgroup-subpath")
    );
}

#[test]
fn keys_shows_the_ceilings_of_the_airflow_cfg_at_hand() {
    let config = "[docker_runtime_ceilings]\nMAX_MEMORY = 8g\nALLOWED_KEYS = devices\n";
    let (host, _) = set_up(config, "");
    let table = host.airtight(&["config", "keys"]).ok();
    for (key, words) in [
        ("memory ", "up to MAX_MEMORY = 8g"),
        ("cpus ", "anything (MAX_CPUS is not set)"),
        ("devices ", "anything (listed in ALLOWED_KEYS)"),
    ] {
        let row = table.lines().find(|line| line.starts_with(key));
        assert!(row.unwrap_or_default().ends_with(words), "{key}: {table}");
    }
    let page = host.airtight(&["config", "keys", "--format", "markdown"]);
    assert!(!page.ok().contains("8g"), "the page is of no machine");
}

#[test]
fn keys_refuses_an_airflow_cfg_that_cannot_be_read() {
    let (host, _) = set_up("[docker_runtime_ceilings\n", "");
    let output = host.airtight(&["config", "keys"]);
    assert_eq!(output.code, 125, "{output:?}");
    assert!(output.stderr.contains("airflow.cfg:1"), "{output:?}");
}

#[test]
fn schema_is_one_that_editors_know() {
    let schema = Host::with(&[]).airtight(&["config", "schema"]).ok();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let keys = &schema["properties"]["docker_runtime"]["properties"];
    assert_eq!(keys["network_mode"]["default"], "none");
}
