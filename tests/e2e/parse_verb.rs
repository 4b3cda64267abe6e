//! `airtight parse` as far as it goes without an Airflow; with one, python/tests try it.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::support::{Host, Run, processes};

/// A folder with a DAG file, whose image has Python and no Airflow.
fn dags(host: &Host) -> PathBuf {
    let config = format!(
        "[docker_runtime]\nIMAGE = python:test\nDOCKER_CGROUP_SUBPATH = {}\n",
        host.subpath()
    );
    host.airflow(&config, "");
    let dags = host.path("dags");
    fs::create_dir_all(dags.join("empty")).unwrap();
    fs::write(dags.join("a.py"), "from airflow import DAG\n").unwrap();
    fs::write(dags.join("helper.py"), "import os\n").unwrap();
    dags
}

#[test]
fn a_file_that_airtight_cannot_have_parsed_is_told_below_the_table_and_is_125() {
    let host = Host::with(&["python"]);
    let dags = dags(&host);
    let output = host.airtight(&["parse", dags.to_str().unwrap()]);
    assert_eq!(output.code, 125, "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("FILE"), "{output:?}");
    assert!(lines[1].contains("/dags/a.py") && lines[1].contains("failed"));
    assert!(output.stdout.contains("No module named 'airflow'"));
    assert!(output.stdout.ends_with("1 could not be parsed\n"));
    assert_eq!(output.stderr, "");
}

#[test]
fn an_interrupt_ends_it_while_an_import_hangs() {
    let host = Host::with(&["python"]);
    let dags = dags(&host);
    let hangs = host.path("hangs");
    fs::create_dir(&hangs).unwrap();
    fs::write(
        hangs.join("sitecustomize.py"),
        "import time\ntime.sleep(100000)\n",
    )
    .unwrap();
    let volume = format!("{}:/hangs:ro", hangs.display());
    let dags = dags.to_str().unwrap();
    let args = ["parse", "-e", "PYTHONPATH=/hangs", "-v", &volume, dags];
    let run = Run::start(&mut host.command(&args));
    processes::until("a program is inside", || {
        let inside = processes::below(&host.subpath());
        inside.iter().any(|pid| processes::name(*pid) == "python3")
    });
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().code, 130);
    host.assert_clean();
}

#[test]
fn what_is_data_is_nothing_but_data() {
    let host = Host::with(&["python"]);
    let dags = dags(&host);
    fs::write(
        dags.join("a.py.metadata.yaml"),
        "docker_runtime: {image: 'no/such:1'}",
    )
    .unwrap();
    let output = host.airtight(&["parse", "--format", "json", dags.to_str().unwrap()]);
    let files: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(files[0]["file"], dags.join("a.py").to_str().unwrap());
    let reason = files[0]["failure"]["reason"].as_str().unwrap();
    assert!(reason.contains("no/such:1"), "{reason}");
    assert_eq!(files[0]["dags"], serde_json::json!([]));
}

#[test]
fn a_command_line_that_names_nothing_to_parse_is_refused() {
    let host = Host::with(&[]);
    let dags = dags(&host);
    let (all, empty) = (dags.to_str().unwrap(), dags.join("empty"));
    let empty = empty.to_str().unwrap();
    for (args, words) in [
        (&[][..], "FILE|DIR is missing"),
        (&[empty], "there is no DAG file there"),
        (&["/no/such"], "cannot parse /no/such"),
        (&["--bundle", empty, all], "is not in the bundle"),
        (&["--timeout", "0", all], "--timeout"),
    ] {
        let args = [&["parse"], args].concat();
        host.airtight(&args).refused(&[words]);
    }
}
