//! The image hook: `get_docker_runtime_image` of the operator's airflow_local_settings.py.

use std::fs;

use super::support::{Host, Output};

/// An Airflow whose airflow_local_settings.py is `hook`, and a DAG file with `metadata`; the DAG
/// file's path.
fn set_up(host: &Host, hook: &str, metadata: &str) -> String {
    let config = "[docker_runtime]\nCONTAINER_REPOSITORY = nosuch\nCONTAINER_TAG = 1\n[docker_runtime_ceilings]\nALLOWED_IMAGES = team/*\n";
    let dag = host.airflow(config, metadata);
    let directory = host.path("airflow/config");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("airflow_local_settings.py"), hook).unwrap();
    dag
}

/// Says which image it was asked for, and names the test image.
const TO_BUSYBOX: &str = "def get_docker_runtime_image(image):\n    print('asked for', image)\n    return 'busybox:test'\n";

const BROKEN: &str =
    "def get_docker_runtime_image(image):\n    raise LookupError('no such \\x1b[2J team')\n";

const RUN: [&str; 3] = ["run", "--profile", "task-execution"];

#[test]
fn the_hook_s_answer_decides_over_every_layer() {
    let host = Host::new();
    let dag = set_up(&host, TO_BUSYBOX, "docker_runtime: {image: team/a:1}");
    for (flags, asked) in [
        (&[][..], "nosuch:1"),
        (&["--dag-file", &dag], "team/a:1"),
        (&["--dag-file", &dag, "--image", "mine:2"], "mine:2"),
    ] {
        let output = host.airtight(&[&RUN, flags, &["echo", "hi"]].concat());
        let said = format!("airtight: warning: asked for {asked}\n");
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (0, "hi\n", said.as_str())
        );
    }
}

#[test]
fn show_names_the_function_that_named_the_image() {
    let host = Host::with(&[]);
    set_up(&host, TO_BUSYBOX, "");
    let output = host.airtight(&["config", "show", "--profile", "dag-parsing"]);
    let row = output
        .stdout
        .lines()
        .find(|line| line.starts_with("image "));
    let row = row.unwrap_or_default();
    assert!(
        row.contains("busybox:test")
            && row.contains("get_docker_runtime_image (")
            && row.ends_with("airflow/config/airflow_local_settings.py:1)"),
        "{output:?}"
    );
    assert_eq!(output.stderr.matches("asked for").count(), 1, "{output:?}");
}

#[test]
fn a_failing_hook_is_told_with_its_traceback_and_nothing_runs() {
    let host = Host::new();
    set_up(&host, BROKEN, "");
    host.airtight(&[&RUN[..], &["echo", "hi"]].concat())
        .refused(&[
            "\nTraceback (most recent call last):\n  File \"",
            "config/airflow_local_settings.py\", line 2, in get_docker_runtime_image\n    raise LookupError",
            "\nLookupError: no such \\u{1b}[2J team\n",
            "hint: the operator's",
        ]);
}

#[test]
fn a_plain_run_and_a_check_do_not_ask() {
    let host = Host::new();
    set_up(&host, BROKEN, "");
    assert_eq!(host.run(&["busybox:test", "echo", "hi"]).ok(), "hi\n");
    let checked = host.airtight(&["config", "check"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""));
}

#[test]
fn an_image_that_its_author_may_not_use_is_refused_before_the_hook_is_asked() {
    let host = Host::with(&[]);
    let dag = set_up(&host, TO_BUSYBOX, "docker_runtime: {image: other:1}");
    let output = host.airtight(&[&RUN[..], &["--dag-file", &dag, "true"]].concat());
    assert!(!output.stderr.contains("asked for"), "{output:?}");
    output.refused(&["other:1", "ALLOWED_IMAGES"]);
}

#[test]
fn the_python_that_a_variable_names_is_asked() {
    let host = Host::with(&[]);
    set_up(&host, TO_BUSYBOX, "");
    let mut command = host.command(&[&RUN[..], &["true"]].concat());
    command.env("AIRTIGHT_PYTHON", "/no/such/python");
    Output::of(&mut command).refused(&["AIRTIGHT_PYTHON", "/no/such/python"]);
}
