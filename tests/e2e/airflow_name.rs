//! airtight called as `airflow`: which calls are ours, and what the container gets.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::support::{Host, Output};

const ON: &str =
    "[core]\ntask_execution_runtime = docker\n[docker_runtime]\nIMAGE = busybox:test\n";
const TASK: [&str; 8] = [
    "tasks",
    "run",
    "d",
    "t",
    "r",
    "--local",
    "--subdir",
    "DAGS_FOLDER/d.py",
];

/// `airflow ARGS` on a host with airtight's first and a real one, which says what it is called with. In
/// the container, `airflow` is a script in the DAGs folder that does the same.
fn airflow(host: &Host, config: &str, args: &[&str]) -> Command {
    let (first, real, dags) = (
        host.path("first"),
        host.path("real"),
        host.path("airflow/dags"),
    );
    for directory in [&first, &real, &dags] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(host.path("airflow/airflow.cfg"), config).unwrap();
    fs::write(dags.join("d.py"), "").unwrap();
    symlink(env!("CARGO_BIN_EXE_airtight"), first.join("airflow")).unwrap();
    let place = "place=host; [ -e /.airtight ] && place=container";
    let script = format!(
        "#!/bin/sh\n{place}\necho \"$place: $*\"\n[ \"$END\" = KILL ] && kill -KILL $$\nexit ${{END:-7}}\n"
    );
    for directory in [&real, &dags] {
        let path = directory.join("airflow");
        fs::write(&path, &script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = host.command(args);
    let inside = format!("PATH={}:/bin", dags.display());
    command
        .env("PATH", format!("{}:{}", first.display(), real.display()))
        .env(
            "AIRFLOW__DOCKER_RUNTIME__DOCKER_CGROUP_SUBPATH",
            host.subpath(),
        )
        .env("AIRFLOW__DOCKER_RUNTIME__ENVIRONMENTS", inside)
        .env(
            "AIRFLOW__DOCKER_RUNTIME__ENVIRONMENT_VARIABLES_FROM_HOST",
            "END",
        );
    as_airflow(command)
}

/// The same command under the other name.
fn as_airflow(command: Command) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = command;
    command.arg0("airflow");
    command
}

#[test]
fn with_the_flag_off_and_for_every_other_command_the_real_airflow_is_called_as_it_was() {
    for (config, args) in [
        ("", &TASK[..]),
        (ON, &["dags", "list", "--local"][..]),
        (ON, &["tasks", "run", "d", "t", "r", "--raw"][..]),
    ] {
        let host = Host::new();
        let output = Output::of(&mut airflow(&host, config, args));
        assert_eq!(output.stdout, format!("host: {}\n", args.join(" ")));
        assert_eq!((output.code, output.stderr.as_str()), (7, ""));
    }
}

#[test]
fn a_task_runs_in_its_container_and_ends_as_it_ended_there() {
    for (args, end, code) in [(&TASK[..], "0", 0), (&TASK[..], "3", 3)] {
        let host = Host::new();
        let output = Output::of(airflow(&host, ON, args).env("END", end));
        assert_eq!(output.stdout, format!("container: {}\n", args.join(" ")));
        assert_eq!(output.code, code, "{}", output.stderr);
    }
}

#[test]
fn docker_on_the_command_line_is_enough_and_is_not_handed_on() {
    let host = Host::new();
    let args = [&TASK[..], &["--docker"]].concat();
    let config = ON.replace("runtime = docker", "runtime =");
    let output = Output::of(&mut airflow(&host, &config, &args));
    assert_eq!(output.stdout, format!("container: {}\n", TASK.join(" ")));
}

#[test]
fn airtight_s_own_failure_is_121_and_nothing_runs_on_the_host() {
    let host = Host::new();
    let output = Output::of(&mut airflow(
        &host,
        &ON.replace("busybox", "no-such"),
        &TASK,
    ));
    assert_eq!((output.code, output.stdout.as_str()), (121, ""));
    assert!(output.stderr.contains("no-such:test"), "{}", output.stderr);
}

#[test]
fn airflow_cfg_that_the_user_inside_cannot_read_is_refused() {
    let host = Host::new();
    let mut command = airflow(&host, &format!("{ON}RUN_AS_USER = 4711\n"), &TASK);
    let file = host.path("airflow/airflow.cfg");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    let output = Output::of(&mut command);
    assert_eq!((output.code, output.stdout.as_str()), (121, ""));
    let why = "user 4711 of the container may not read it";
    assert!(output.stderr.contains(why), "{}", output.stderr);
}

#[test]
fn the_payload_s_pid_is_random_where_that_is_asked_for() {
    let host = Host::new();
    let pid = |flags: &[&str]| -> u32 {
        let words = ["busybox:test", "sh", "-c", "echo $$"];
        let output = host.run(&[flags, &words].concat()).ok();
        output.trim().parse().unwrap()
    };
    assert!(pid(&[]) < 10);
    let (one, other) = (pid(&["--random-pids"]), pid(&["--random-pids"]));
    assert!(one >= 300 && other >= 300 && one != other, "{one} {other}");
}
