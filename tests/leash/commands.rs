//! Finding and executing the payload's command, and its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use airtight::leash::{Stage, Status};

use crate::inside::{Inside, PLACES, Place, run};

/// A file with these contents and mode.
fn file(path: &Path, contents: &str, mode: u32) -> String {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// How a command fails to start: stage, errno, init's exit code.
async fn failure(inside: Inside) -> (Stage, i32, i32) {
    let mut inside = inside;
    let _output = inside.start_with_output();
    let failure = inside.start_failed().await;
    (failure.stage, failure.errno, inside.exit_code().await)
}

#[tokio::test]
async fn the_exit_code_is_the_payloads() {
    for place in PLACES {
        let mut inside = Inside::new(place, &["sh", "-c", "exit 7"]).await;
        let _output = inside.start_with_output();
        let pid = inside.started().await;
        assert_eq!(pid == 2, place == Place::PidOne);
        assert_eq!(inside.exited().await.status, Status::Code(7));
        assert_eq!(inside.exit_code().await, 7, "{place:?}");
    }
}

#[tokio::test]
async fn a_payload_killed_by_a_signal_ends_with_128_and_the_number() {
    for place in PLACES {
        let mut inside = Inside::new(place, &["sh", "-c", "kill -USR1 $$"]).await;
        let _output = inside.start_with_output();
        inside.started().await;
        let status = inside.exited().await.status;
        assert_eq!(status, Status::Signal(libc::SIGUSR1.try_into().unwrap()));
        assert_eq!(inside.exit_code().await, 128 + libc::SIGUSR1, "{place:?}");
    }
}

#[tokio::test]
async fn the_end_comes_with_what_was_used() {
    let work = [
        "sh",
        "-c",
        "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done",
    ];
    let mut inside = Inside::new(Place::PidOne, &work).await;
    let _output = inside.start_with_output();
    inside.started().await;
    let exit = inside.exited().await;
    assert!(!(exit.user + exit.system).is_zero());
    assert!(exit.max_rss > 100 << 10, "{}", exit.max_rss);
}

#[tokio::test]
async fn pid_inside_is_1_in_a_namespace_of_its_own() {
    for place in PLACES {
        let inside = Inside::new(place, &["true"]).await;
        assert_eq!(inside.leash.pid_inside() == 1, place == Place::PidOne);
        assert_ne!(inside.leash.pid(), 1);
    }
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_127() {
    let absent = (Stage::Search, libc::ENOENT, 127);
    for place in PLACES {
        assert_eq!(
            failure(Inside::new(place, &["no-such"]).await).await,
            absent
        );
        assert_eq!(
            failure(Inside::new(place, &["/no/such"]).await).await,
            absent
        );
    }
    assert_eq!(
        failure(Inside::new(Place::PidOne, &[""]).await).await,
        absent
    );
    assert_eq!(failure(Inside::new(Place::PidOne, &[]).await).await, absent);
    let within_a_file = Inside::new(Place::PidOne, &["/etc/passwd/x"]).await;
    let expected = (Stage::Search, libc::ENOTDIR, 127);
    assert_eq!(failure(within_a_file).await, expected);
}

#[tokio::test]
async fn a_command_that_may_not_be_executed_is_126() {
    for path in ["/etc/passwd", "/etc"] {
        let inside = Inside::new(Place::PidOne, &[path]).await;
        let expected = (Stage::Exec, libc::EACCES, 126);
        assert_eq!(failure(inside).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_text_without_an_interpreter_is_not_given_to_a_shell() {
    let directory = tempfile::tempdir().unwrap();
    let script = file(&directory.path().join("script"), "exit 0\n", 0o755);
    let inside = Inside::new(Place::PidOne, &[&script]).await;
    assert_eq!(failure(inside).await, (Stage::Exec, libc::ENOEXEC, 126));
}

#[tokio::test]
async fn a_script_whose_interpreter_is_missing_exists() {
    let directory = tempfile::tempdir().unwrap();
    let script = file(&directory.path().join("script"), "#!/no/such\n", 0o755);
    let inside = Inside::new(Place::PidOne, &[&script]).await;
    assert_eq!(failure(inside).await, (Stage::Exec, libc::ENOENT, 126));
}

#[tokio::test]
async fn path_is_searched_past_what_cannot_be_executed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("1"), directory.path().join("2"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    file(&first.join("tool"), "", 0o644);
    let path = format!("PATH=/no/such:{}:{}", first.display(), second.display());
    let wrapper = ["env", path.as_str()];
    let command = || Inside::spawned(&wrapper, &["tool"]);

    let refused = (Stage::Exec, libc::EACCES, 126);
    assert_eq!(failure(command().await).await, refused);
    file(&second.join("tool"), "#!/bin/sh\necho found\n", 0o755);
    assert_eq!(run(command().await).await, ("found\n".into(), 0));
}

#[tokio::test]
async fn an_empty_entry_of_path_is_the_working_directory() {
    let directory = tempfile::tempdir().unwrap();
    file(
        &directory.path().join("tool"),
        "#!/bin/sh\necho found\n",
        0o755,
    );
    let there = format!("--chdir={}", directory.path().display());
    let inside = Inside::spawned(&["env", &there, "PATH=/no/such:"], &["tool"]).await;
    assert_eq!(run(inside).await, ("found\n".into(), 0));
}

#[tokio::test]
async fn without_path_the_usual_places_are_searched() {
    let inside = Inside::spawned(&["env", "-u", "PATH"], &["echo", "found"]).await;
    assert_eq!(run(inside).await, ("found\n".into(), 0));
}

#[tokio::test]
async fn the_environment_arrives_as_it_is() {
    let inside = Inside::spawned(&["env", "-i", "A=1", "B= x=y "], &["/usr/bin/env"]).await;
    assert_eq!(run(inside).await, ("A=1\nB= x=y \n".into(), 0));
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let inside = Inside::new(Place::PidOne, &["printf", "%s|", "", "a b", "-x"]).await;
    assert_eq!(run(inside).await, ("|a b|-x|".into(), 0));
}
