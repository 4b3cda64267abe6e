//! `airtight parse --serve`: which files share a container, how they end, and what nobody can break.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;

use serde_json::json;

use super::support::keeper::{Keeper, closed};
use super::support::{Host, processes};

#[test]
fn files_with_the_same_image_and_settings_are_forked_in_one_container() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let names = ["a.py", "b.py"].map(|name| keeper.begin(&keeper.file(name, ""), "name"));
    let [a, b] = names.map(|job| job.output());
    assert_eq!(a, b);
    let other = keeper.file("c.py", "docker_runtime: {environments: {A: 1}}");
    assert_ne!(keeper.begin(&other, "name").output(), a);
    assert_eq!(keeper.end().ok(), "");
}

#[test]
fn a_file_ends_as_its_fork_did() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    assert_eq!(keeper.begin(&file, "seven").end(), json!({"code": 7}));
    assert_eq!(keeper.begin(&file, "signal").end(), json!({"signal": 11}));
    keeper.end().ok();
}

#[test]
fn a_file_that_nobody_waits_for_is_killed_and_the_others_go_on() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    let mut forever = keeper.begin(&file, "forever");
    let name = keeper.begin(&file, "name");
    forever.begun();
    closed(forever.give_up());
    let name = name.output();
    assert_eq!(keeper.begin(&file, "name").output(), name);
    keeper.end().ok();
}

#[test]
fn a_file_that_takes_too_long_is_killed_and_said_to_be_late() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let mut order = keeper.order(&keeper.file("a.py", ""), "forever");
    order["timeout"] = json!(0.1);
    assert_eq!(keeper.ask(&order).end(), json!({"timeout": 1}));
    keeper.end().ok();
}

#[test]
fn variables_reach_the_container_and_no_command_line() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    let mut order = keeper.order(&file, "variable");
    order["variables"] = json!({"WORD": "two\nlines: of-a-secret"});
    assert_eq!(keeper.ask(&order).output(), "two\nlines: of-a-secret");
    let seen = processes::arguments().find(|(_, line)| line.contains("of-a-secret"));
    assert_eq!(seen, None);
    keeper.end().ok();
}

#[test]
fn a_cold_file_has_a_container_of_its_own() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let by_key = keeper.file("a.py", "docker_runtime: {cold_parsing: true}");
    let mut asked = keeper.order(&keeper.file("b.py", ""), "name");
    asked["cold"] = json!(true);
    let names = [
        keeper.begin(&by_key, "name").output(),
        keeper.begin(&by_key, "name").output(),
        keeper.ask(&asked).output(),
        keeper.ask(&asked).output(),
        keeper.begin(&keeper.file("b.py", ""), "name").output(),
    ];
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    keeper.end().ok();
}

#[test]
fn a_container_that_dies_fails_its_files_with_its_reason_and_the_next_gets_another() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    let mut forever = keeper.begin(&file, "forever");
    forever.begun();
    let end = keeper.begin(&file, "die").end();
    let why = end["lost"].as_str().unwrap();
    for words in [
        "one other",
        "exited with code 3",
        "the program's last words",
    ] {
        assert!(why.contains(words), "{why}");
    }
    assert_eq!(forever.end()["lost"], end["lost"]);
    assert!(!keeper.begin(&file, "name").output().is_empty());
    assert_eq!(keeper.end().code, 0);
}

#[test]
fn a_program_that_says_what_no_program_says_costs_its_container_and_nothing_else() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    for word in ["garbage", "strange"] {
        let end = keeper.begin(&file, word).end();
        assert!(end["failed"].is_string(), "{end}");
    }
    assert!(!keeper.begin(&file, "name").output().is_empty());
    keeper.end().ok();
}

#[test]
fn a_program_that_kills_nothing_is_killed_with_its_container() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    let mut forever = keeper.begin(&file, "forever");
    forever.begun();
    let mut stopped = keeper.begin(&file, "stop");
    stopped.begun();
    closed(forever.give_up());
    assert!(stopped.end()["lost"].is_string());
    assert!(!keeper.begin(&file, "name").output().is_empty());
    assert_eq!(keeper.end().code, 0);
}

#[test]
fn a_file_whose_container_cannot_start_is_told_why() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let missing = keeper.file("a.py", "docker_runtime: {image: 'no/such:1'}");
    let end = keeper.begin(&missing, "name").end();
    assert!(
        end["failed"].as_str().unwrap().contains("no/such:1"),
        "{end}"
    );
    assert!(!end["hint"].as_str().unwrap().is_empty(), "{end}");
    let unfit = keeper.file("b.py", "docker_runtime: {environments: {WORD: unfit}}");
    let end = keeper.begin(&unfit, "name").end();
    let why = end["failed"].as_str().unwrap();
    assert!(
        why.contains("could not be started") && why.contains("unfit for this"),
        "{end}"
    );
    let refuses = keeper.file("d.py", "docker_runtime: {environments: {WORD: refuses}}");
    let end = keeper.begin(&refuses, "name").end();
    let why = end["failed"].as_str().unwrap();
    assert!(why.ends_with("not with this image"), "{end}");
    let refused = keeper.file("c.py", "docker_runtime: {privileged: true}");
    let end = keeper.begin(&refused, "name").end();
    assert!(
        end["failed"]
            .as_str()
            .unwrap()
            .contains("c.py.metadata.yaml:1"),
        "{end}"
    );
    assert_eq!(keeper.end().code, 0);
}

#[test]
fn a_changed_metadata_file_counts_for_the_next_parse_and_the_old_container_ends() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let word = |word: &str| format!("docker_runtime: {{environments: {{WORD: {word}}}}}");
    let file = keeper.file("a.py", &word("old"));
    assert_eq!(keeper.begin(&file, "variable").output(), "old");
    let old = processes::below(&host.subpath());
    assert!(!old.is_empty());
    keeper.file("a.py", &word("new"));
    assert_eq!(keeper.begin(&file, "variable").output(), "new");
    processes::until("the old container is gone", || {
        let now = processes::below(&host.subpath());
        !old.iter().any(|pid| now.contains(pid))
    });
    keeper.end().ok();
}

#[test]
fn another_image_under_the_same_name_counts_for_the_next_parse() {
    let host = Host::with(&["python"]);
    let name = "docker.io/library/changing:1";
    host.ctr(&["images", "tag", "docker.io/library/python:test", name]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "docker_runtime: {image: 'changing:1'}");
    let first = keeper.begin(&file, "name").output();
    assert_eq!(keeper.begin(&file, "name").output(), first);
    host.ctr(&["images", "rm", name]);
    host.ctr(&[
        "images",
        "convert",
        "--uncompress",
        "docker.io/library/python:test",
        name,
    ]);
    assert_ne!(keeper.begin(&file, "name").output(), first);
    keeper.end().ok();
    host.ctr(&["images", "rm", "--sync", name]);
}

/// Whoever can write the metadata file can change it between two readers. Here the image hook does so,
/// which both of them ask behind it.
const SWAP: &str = "import os, pathlib

def get_docker_runtime_image(image):
    here = pathlib.Path(__file__).parent
    with open(here / 'asked', 'a') as asked:
        asked.write('.')
    if (here / 'asked').stat().st_size == 1:
        (here / '../../dags/a.py.metadata.yaml').write_text('docker_runtime: {environments: {WORD: swapped}}')
    return image
";

#[test]
fn a_metadata_file_that_is_swapped_while_the_container_starts_is_read_anew() {
    let host = Host::with(&["python"]);
    let config = host.path("airflow/config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("airflow_local_settings.py"), SWAP).unwrap();
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "docker_runtime: {environments: {WORD: first}}");
    assert_eq!(keeper.begin(&file, "variable").output(), "swapped");
    // The keeper, the airtight run that refused to start, the keeper again, the one that started.
    assert_eq!(fs::read_to_string(config.join("asked")).unwrap(), "....");
    assert_eq!(keeper.end().code, 0);
}

#[test]
fn a_hook_that_has_changed_its_mind_is_asked_again() {
    let host = Host::with(&["python"]);
    let config = host.path("airflow/config");
    fs::create_dir_all(&config).unwrap();
    let (answer, other) = (config.join("answer"), "docker.io/library/another:1");
    host.ctr(&["images", "tag", "docker.io/library/python:test", other]);
    fs::write(&answer, "python:test").unwrap();
    let hook =
        format!("def get_docker_runtime_image(image):\n    return open({answer:?}).read()\n");
    fs::write(config.join("airflow_local_settings.py"), hook).unwrap();
    let keeper = Keeper::of(&host);
    let name = keeper.begin(&keeper.file("a.py", ""), "name").output();
    // The keeper remembers what it said; the airtight run that starts another container does not.
    fs::write(&answer, "another:1").unwrap();
    let file = keeper.file("b.py", "docker_runtime: {environments: {A: 1}}");
    assert_ne!(keeper.begin(&file, "name").output(), name);
    assert_eq!(keeper.end().code, 0);
    host.ctr(&["images", "rm", "--sync", other]);
}

#[test]
fn a_folder_that_was_replaced_counts_for_the_next_parse() {
    let host = Host::with(&["python"]);
    for version in ["one", "two"] {
        fs::create_dir(host.path(version)).unwrap();
        fs::write(host.path(version).join("file"), version).unwrap();
    }
    let link = host.path("link");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let keeper = Keeper::of(&host);
    let mut order = keeper.order(&keeper.file("a.py", ""), "read");
    let seen = format!("type=bind,source={},target=/seen,readonly", link.display());
    order["mounts"].as_array_mut().unwrap().push(json!(seen));
    assert_eq!(keeper.ask(&order).output(), "one");
    // As git-sync does it.
    std::os::unix::fs::symlink("two", host.path("next")).unwrap();
    fs::rename(host.path("next"), &link).unwrap();
    assert_eq!(keeper.ask(&order).output(), "two");
    keeper.end().ok();
}

#[test]
fn a_descriptor_that_a_program_sends_holds_nobody_up() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    let end = keeper.begin(&file, "linger").end();
    assert!(
        end["failed"].as_str().unwrap().contains("no parser says"),
        "{end}"
    );
    assert!(!keeper.begin(&file, "name").output().is_empty());
    keeper.end().ok();
}

#[test]
fn a_program_that_closes_its_socket_is_not_waited_for() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    assert_eq!(keeper.begin(&file, "part").end(), json!({"code": 0}));
    // It may come just before the end of the socket, and is lost then.
    assert!(keeper.begin(&file, "name").end().is_object());
    assert!(!keeper.begin(&file, "name").output().is_empty());
    keeper.end().ok();
}

#[test]
fn a_program_that_has_to_be_killed_leaves_nothing() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let end = keeper.begin(&keeper.file("a.py", ""), "garbage").end();
    assert!(end["failed"].is_string(), "{end}");
    keeper.end().ok();
    host.assert_clean();
}

#[test]
fn a_program_that_is_never_ready_fails_its_file_and_leaves_nothing() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::with(&host, &["--start", "1s"], |_| {});
    let file = keeper.file("a.py", "docker_runtime: {environments: {WORD: hangs}}");
    let end = keeper.begin(&file, "name").end();
    assert!(
        end["failed"]
            .as_str()
            .unwrap()
            .contains("not ready within 1 s"),
        "{end}"
    );
    keeper.end().ok();
    host.assert_clean();
}

#[test]
fn an_idle_container_ends() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::with(&host, &["--idle", "50ms"], |_| {});
    keeper.begin(&keeper.file("a.py", ""), "name").output();
    host.until_nobody_is_inside();
    keeper.end().ok();
}

#[test]
fn where_there_are_as_many_containers_as_there_may_be_the_idle_one_goes() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::with(&host, &["--containers", "1"], |_| {});
    let files = ["a.py", "b.py", "c.py"].map(|name| {
        let metadata = format!("docker_runtime: {{environments: {{WORD: {name}}}}}");
        keeper.file(name, &metadata)
    });
    let jobs = files.map(|file| keeper.begin(&file, "variable"));
    let words = jobs.map(|job| job.output());
    assert_eq!(words, ["a.py", "b.py", "c.py"]);
    keeper.end().ok();
}

#[test]
fn no_packet_of_a_client_breaks_the_keeper() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let file = keeper.file("a.py", "");
    let no_socket = fs::File::open(&file).unwrap();
    keeper.send(b"{}", &[]);
    keeper.send(b"{}", &[no_socket.as_fd()]);
    for order in [
        json!(null),
        json!([]),
        json!({"file": "a.py", "program": "/p"}),
        json!({"file": file, "program": "/p", "unknown": 1}),
        json!({"file": file, "program": "/p", "flags": ["--help"]}),
        json!({"file": file, "program": "/p", "flags": ["--no-such"]}),
        json!({"file": file, "program": "/p", "mounts": ["x"]}),
        json!({"file": file, "program": "/p", "variables": {"": "x"}}),
        json!({"file": file, "program": "/p", "variables": {"A=B": "x"}}),
        json!({"file": file, "program": "/p", "job": "x".repeat(130_000)}),
    ] {
        let end = keeper.ask(&order).end();
        assert!(end["failed"].is_string(), "{order}: {end}");
    }
    let (control, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let order = keeper.order(&file, "name").to_string();
    keeper.send(order.as_bytes(), &[theirs.as_fd(); 18]);
    let mut end = [0; 1000];
    let length = control.recv(&mut end).unwrap();
    assert!(String::from_utf8_lossy(&end[..length]).contains("more than 16 descriptors"));
    assert!(!keeper.begin(&file, "name").output().is_empty());
    let output = keeper.end();
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
}

#[test]
fn everything_dies_with_the_keeper() {
    let host = Host::with(&["python"]);
    let keeper = Keeper::of(&host);
    let mut forever = keeper.begin(&keeper.file("a.py", ""), "forever");
    forever.begun();
    keeper.destroy();
    closed(forever.give_up());
    host.until_nobody_is_inside();
    let output = host.airtight(&["image", "ls", "--quiet"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}
