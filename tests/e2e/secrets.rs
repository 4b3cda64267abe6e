//! Secrets: the payload gets them, and nobody else is shown them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::{Host, Output, Run, processes};

/// Each way to give the payload a secret, by the variable that it becomes.
const WAYS: [&str; 9] = [
    "CFG_PASSWORD",
    "CFG_PLAIN",
    "VARIABLE_TOKEN",
    "DAG_API_KEY",
    "DAG_PLAIN",
    "FLAG_SECRET",
    "FLAG_PLAIN",
    "FILE_PASSWD",
    "HOST_TOKEN",
];

/// A host with a secret in every source of settings.
struct Vault {
    host: Host,
    /// A part of every secret, and of nothing else on this machine.
    mark: String,
    dag: String,
}

impl Vault {
    fn new() -> Self {
        let host = Host::new();
        // Its end keeps it from being the beginning of another test's.
        let mark = format!("hunter2-{}.", host.namespace());
        let file = host.path("secrets.env").display().to_string();
        fs::write(&file, format!("FILE_PASSWD={mark}-FILE_PASSWD\n")).unwrap();
        fs::create_dir(host.path("airflow")).unwrap();
        let config = format!(
            "[core]\n\
             task_execution_runtime = docker\n\
             [docker_runtime]\n\
             CONTAINER_REPOSITORY = busybox\n\
             CONTAINER_TAG = test\n\
             ENV_FILE = {file}\n\
             ENVIRONMENT_VARIABLES_FROM_HOST = HOST_*\n\
             PRIVATE_ENVIRONMENTS = CFG_PLAIN={mark}-CFG_PLAIN\n\
             [docker_runtime_environment_variables]\n\
             cfg_password = {mark}-CFG_PASSWORD\n"
        );
        fs::write(host.path("airflow/airflow.cfg"), config).unwrap();
        let metadata = format!(
            "docker_runtime:\n\
             \x20 environments: {{DAG_API_KEY: {mark}-DAG_API_KEY, DAG_PLAIN: not private}}\n\
             \x20 private_environments: {{DAG_PLAIN: {mark}-DAG_PLAIN}}\n\
             \x20 labels: {{db: 'pg://me:{mark}@host/db'}}\n"
        );
        fs::write(host.path("dag.py.metadata.yaml"), metadata).unwrap();
        let dag = host.path("dag.py");
        fs::write(&dag, "").unwrap();
        Self {
            host,
            mark,
            dag: dag.display().to_string(),
        }
    }

    /// `airtight VERB ARGS COMMAND`, with settings from every source.
    fn command(&self, verb: &[&str], args: &[&str], command: &[&str]) -> Command {
        let mark = &self.mark;
        let secret = format!("FLAG_SECRET={mark}-FLAG_SECRET");
        let plain = format!("FLAG_PLAIN={mark}-FLAG_PLAIN");
        let label = format!("label-token={mark}");
        let flags = ["--profile", "task-execution", "--dag-file", &self.dag];
        let values = ["--env", &secret, "--private-env", &plain, "-l", &label];
        let all = [verb, &flags, &values, args, command].concat();
        let mut command = self.host.command(&all);
        command.env(
            "AIRFLOW__DOCKER_RUNTIME_ENVIRONMENT_VARIABLES__VARIABLE_TOKEN",
            format!("{mark}-VARIABLE_TOKEN"),
        );
        command.env("HOST_TOKEN", format!("{mark}-HOST_TOKEN"));
        command
    }

    #[track_caller]
    fn assert_hidden(&self, text: &str) {
        assert!(!text.contains(&self.mark), "{text}");
    }
}

#[test]
fn config_show_and_a_dry_run_name_each_secret_and_show_none() {
    let vault = Vault::new();
    let named = |text: &str, ways: &[&str]| {
        vault.assert_hidden(text);
        for way in ways {
            assert!(text.contains(&format!("{way}=***")), "{way}: {text}");
        }
        assert!(text.contains("pg://me:***@host/db"), "{text}");
    };
    // Files and patterns are shown as such.
    let written: Vec<&str> = WAYS[..7].to_vec();
    for format in ["table", "json"] {
        let mut show = vault.command(&["config", "show"], &["--format", format], &[]);
        named(&Output::of(&mut show).ok(), &written);
    }
    let plan = Output::of(&mut vault.command(&["run"], &["--dry-run"], &["true"])).ok();
    named(&plan, &WAYS);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    for environment in ["/plan/process/environment", "/spec/process/env"] {
        let variables = plan.pointer(environment).unwrap().as_array().unwrap();
        assert!(variables.contains(&"DAG_PLAIN=***".into()), "{environment}");
    }
    assert_eq!(plan["plan"]["labels"]["label-token"], "***");
}

#[test]
fn the_payload_gets_every_secret_and_no_file_message_or_argument_of_ours_does() {
    let vault = Vault::new();
    let verdict = vault.host.path("verdict.json");
    let runtime = vault.host.path("logging-runc");
    let log = vault.host.path("runtime.log");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{}\nexec runc \"$@\"\n",
        log.display()
    );
    fs::write(&runtime, script).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).unwrap();
    let flags = [
        "-i",
        "--verbose",
        "--verdict",
        verdict.to_str().unwrap(),
        "--runtime-binary",
        runtime.to_str().unwrap(),
    ];
    let script = ["sh", "-c", "env; echo ready; exec cat >/dev/null"];
    let mut command = vault.command(&["run"], &flags, &script);
    let mut run = Run::start(command.stdin(Stdio::piped()));
    let lines = std::iter::repeat_with(|| run.line());
    let seen: Vec<String> = lines.take_while(|line| line != "ready").collect();
    for way in WAYS {
        let variable = format!("{way}={}-{way}", vault.mark);
        assert!(seen.contains(&variable), "{way}: {seen:?}");
    }

    let state = vault.host.state();
    let mode = fs::metadata(&state).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    assert!(!files_below(&state).is_empty());
    for (path, bytes) in files_below(&state) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&vault.mark), "{path}: {text}");
    }
    for (pid, arguments) in processes::arguments() {
        // The values of our own flags are for all to see, as docker's are.
        if pid != run.pid() {
            vault.assert_hidden(&arguments);
        }
    }
    vault.assert_hidden(&fs::read_to_string(&log).unwrap());

    let output = run.end();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("exited with code 0"), "{output:?}");
    vault.assert_hidden(&output.stderr);
    vault.assert_hidden(&fs::read_to_string(&verdict).unwrap());
}

/// Every regular file and its bytes.
fn files_below(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            let name = entry.path().display().to_string();
            files.push((name, fs::read(entry.path()).unwrap()));
        }
    }
    files
}

#[test]
fn a_mistake_beside_a_secret_does_not_show_it() {
    let vault = Vault::new();
    let verdict = vault.host.path("verdict.json");
    let verdict = verdict.to_str().unwrap();
    for (flags, words) in [
        (&["--memory", "lots"][..], "--memory"),
        (&["-u", "nosuch"], "nosuch"),
        (
            &["--runtime-binary", "/nonexistent/runc"],
            "/nonexistent/runc",
        ),
        (
            &["--no-init", "--runtime-binary", "/nonexistent/runc"],
            "/nonexistent/runc",
        ),
        (&["--entrypoint", "nosuch"], "nosuch"),
    ] {
        let args = [&["--verbose", "--verdict", verdict], flags].concat();
        let output = Output::of(&mut vault.command(&["run"], &args, &["true"]));
        assert!(
            output.code >= 125 && output.stderr.contains(words),
            "{output:?}"
        );
        vault.assert_hidden(&output.stderr);
        vault.assert_hidden(&fs::read_to_string(verdict).unwrap());
        vault.host.assert_clean();
    }
    let check = ["config", "check", &vault.dag];
    let output = vault.host.airtight(&check);
    vault.assert_hidden(&format!("{output:?}"));
}

#[test]
fn a_mistake_in_a_secret_names_the_variable_and_does_not_show_its_value() {
    let host = Host::new();
    let file = |name: &str, text: &str| {
        let path = host.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let bad = file("bad.env", "DB TOKEN=hunter2\n");
    let long = file(
        "long.env",
        &format!("STAGE=hunter2{}", "x".repeat(128 << 10)),
    );
    for (flags, words) in [
        (&["-e", "=hunter2"][..], "--env: the variable has no name"),
        (&["--private-env", "=hunter2"], "--private-env"),
        (&["--env-file", &long], "STAGE"),
        (
            &["-l", "containerd.io/token=hunter2"],
            "containerd.io/token=***",
        ),
        (&["--env-file", &bad], "line 1"),
        (&["--password=hunter2"], "--password"),
        (&["-v", "nfs://me:hunter2@host/x:/y"], "nfs://me:***@host"),
        (
            &["--image", "https://me:hunter2@host/x"],
            "https://me:***@host",
        ),
    ] {
        let output = host.run(&[flags, &["busybox:test", "true"]].concat());
        assert!(!output.stderr.contains("hunter2"), "{flags:?}: {output:?}");
        output.refused(&[words]);
    }
}

#[test]
fn a_mistake_around_a_secret_in_a_metadata_file_does_not_show_it() {
    let host = Host::new();
    let dag = host.path("dag.py");
    fs::write(&dag, "").unwrap();
    let dag = dag.to_str().unwrap();
    for metadata in [
        "docker_runtime: hunter2",
        "docker_runtime: {environments: DB_TOKEN=hunter2}",
        "docker_runtime: {private_environments: {A=hunter2}}",
        "docker_runtime: {private_environments: [{A: hunter2}]}",
        "docker_runtime: {private_environments: {A: [hunter2]}}",
        "docker_runtime: {private_environments: [A B=hunter2, '=hunter2']}",
        "docker_runtime: {environments: {A: hunter2, A: hunter2}}",
        "docker_runtime: {environments: {A: 'hunter2}}",
        "docker_runtime: {environments: {A: !x hunter2, B: &a hunter2, C: *b}}",
        "docker_runtime:\n  environments:\n    A: |\n  hunter2\n",
        "docker_runtime:\n\tenvironments: {A: hunter2}\n",
    ] {
        fs::write(host.path("dag.py.metadata.yaml"), metadata).unwrap();
        let output = host.run(&["--dag-file", dag, "--image", "busybox:test", "true"]);
        assert!(!output.stderr.contains("hunter2"), "{metadata}: {output:?}");
        assert_eq!(output.code, 125, "{metadata}");
        let check = host.airtight(&["config", "check", dag]);
        assert!(
            !format!("{check:?}").contains("hunter2"),
            "{metadata}: {check:?}"
        );
    }
}

#[test]
fn a_private_variable_wins_over_one_of_the_same_name_in_its_layer() {
    let vault = Vault::new();
    let flags = ["-e", "HOST_TOKEN=flag", "--private-env", "HOST_TOKEN"];
    let output = Output::of(&mut vault.command(&["run"], &flags, &["env"])).ok();
    for way in ["CFG_PLAIN", "DAG_PLAIN", "HOST_TOKEN"] {
        let variable = format!("{way}={}-{way}\n", vault.mark);
        assert!(output.contains(&variable), "{output}");
    }
}

#[test]
fn the_author_of_a_dag_cannot_make_the_host_s_variables_private_ones_of_the_task() {
    let vault = Vault::new();
    let metadata = "docker_runtime: {private_environments: [HOST_TOKEN]}";
    fs::write(vault.host.path("dag.py.metadata.yaml"), metadata).unwrap();
    let output = Output::of(&mut vault.command(&["run"], &[], &["true"]));
    output.refused(&["private_environments", "ALLOWED_KEYS"]);
}

#[test]
fn a_bundle_holds_the_real_values_for_its_owner_alone() {
    let vault = Vault::new();
    let dir = vault.host.path("bundle");
    let flags = ["-o", dir.to_str().unwrap()];
    let output = Output::of(&mut vault.command(&["bundle"], &flags, &["true"]));
    assert_eq!(output.code, 0, "{output:?}");
    vault.assert_hidden(&output.stderr);
    let config = dir.join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    for way in WAYS {
        assert!(
            text.contains(&format!("{way}={}-{way}", vault.mark)),
            "{way}"
        );
    }
    let mode = fs::metadata(config).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}
