//! `airtight events`: what happens to runs.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::containerd::Containerd;
use super::support::{Host, Run, processes, runs};

/// `airtight events ARGS` that hears already.
fn listen(host: &Host, args: &[&str]) -> Run {
    let args = [&["events", "--format", "json"], args].concat();
    let mut events = Run::start(&mut runs::hearing(&host.command(&args)));
    // Nobody says when a subscription holds: until it does, there is something to hear.
    processes::until("it hears", || {
        host.run(&["--name", "probe", "busybox:test", "true"]).ok();
        events.has_output()
    });
    host.run(&["--name", "last", "busybox:test", "true"]).ok();
    while next(&mut events) != "delete last" {}
    events
}

/// The next event without what differs each time.
fn next(events: &mut Run) -> String {
    let event: Value = serde_json::from_str(&events.line()).unwrap();
    let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    assert!(word("time").starts_with("20"), "{event}");
    let code = event["exit_code"].as_u64();
    let code = code.map_or(String::new(), |code| format!(" {code}"));
    format!("{} {}{code}", word("type"), word("run"))
}

#[test]
fn the_life_of_a_run_is_told_with_its_code() {
    let host = Host::new();
    let mut events = listen(&host, &[]);
    host.run(&["--name", "web", "busybox:test", "sh", "-c", "exit 7"]);
    let told = [(); 4].map(|()| next(&mut events));
    assert_eq!(
        told,
        ["create web", "start web", "exit web 7", "delete web"]
    );
    events.signal(Signal::SIGINT);
    assert_eq!(events.end().code, 130);
}

#[test]
fn a_command_beside_the_payload_is_told_apart() {
    let host = Host::new();
    let mut events = listen(&host, &[]);
    let wait = "echo ready; exec sleep 1000";
    let args = ["run", "--name", "web", "busybox:test", "sh", "-c", wait];
    let run = Run::ready(&mut host.command(&args));
    let code = host.airtight(&["exec", "web", "sh", "-c", "exit 5"]).code;
    assert_eq!(code, 5);
    host.airtight(&["kill", "web"]).ok();
    assert_eq!(run.end().code, 137);
    let told = [(); 6].map(|()| next(&mut events));
    let expected = [
        "create web",
        "start web",
        "exec-start web",
        "exec-exit web 5",
        "exit web 137",
        "delete web",
    ];
    assert_eq!(told, expected);
    events.destroy();
}

#[test]
fn only_what_the_filters_name_is_shown_and_only_our_own_containers() {
    let host = Host::new();
    let mut events = listen(&host, &["--filter", "event=destroy"]);
    host.ctr(&[
        "containers",
        "create",
        "docker.io/library/busybox:test",
        "another",
    ]);
    host.ctr(&["containers", "rm", "another"]);
    for name in ["a1", "b1"] {
        host.run(&["--name", name, "busybox:test", "true"]);
    }
    assert_eq!(next(&mut events), "delete a1");
    assert_eq!(next(&mut events), "delete b1");
    events.destroy();
}

#[test]
fn a_run_is_named_whole_in_a_filter() {
    let host = Host::new();
    let filters = ["probe", "last", "web"].map(|name| format!("--filter=container={name}"));
    let mut events = listen(&host, &filters.each_ref().map(String::as_str));
    for name in ["web2", "web"] {
        host.run(&["--name", name, "busybox:test", "true"]).ok();
    }
    assert_eq!(next(&mut events), "create web");
    events.destroy();
}

#[test]
fn they_end_at_the_time_that_is_said_and_those_of_the_past_are_refused() {
    let host = Host::with(&[]);
    assert_eq!(host.airtight(&["events", "--until", "200ms"]).ok(), "");
    assert_eq!(
        host.airtight(&["events", "--until", "2020-01-01T00:00:00Z"])
            .ok(),
        ""
    );
    host.airtight(&["events", "--since", "1h"])
        .refused(&["containerd keeps none"]);
    host.airtight(&["events", "--filter", "type=birth"])
        .refused(&["there is no event \"birth\""]);
}

#[test]
fn a_containerd_that_goes_and_comes_is_told_and_heard_again() {
    let mut containerd = Containerd::start();
    let host = Host::at(containerd.address(), &["busybox"]);
    let events = listen(&host, &[]);
    let again = containerd.kill();
    containerd.start_again(again);
    processes::until("it hears again", || {
        host.run(&["--name", "a", "busybox:test", "true"]).code == 0 && events.has_output()
    });
    events.signal(Signal::SIGTERM);
    let output = events.end();
    assert!(output.stderr.contains("containerd is away"), "{output:?}");
    assert!(output.stderr.contains("containerd is back"), "{output:?}");
}
