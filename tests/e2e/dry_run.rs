//! `--dry-run`: everything that would be done, and nothing done.

use serde_json::Value;

use super::support::Host;

fn dry_run(host: &Host, args: &[&str]) -> String {
    let args = [&["--dry-run"], args, &["busybox:test", "echo", "a b"]].concat();
    host.run(&args).ok()
}

#[test]
fn the_plan_and_the_spec_are_printed_and_nothing_is_made() {
    let host = Host::new();
    let json: Value = serde_json::from_str(&dry_run(&host, &["-e", "A=b", "-v", "/data"])).unwrap();
    assert_eq!(
        json["plan"]["process"]["args"],
        serde_json::json!(["echo", "a b"])
    );
    let args = json["spec"]["process"]["args"].as_array().unwrap();
    assert_eq!(args[args.len() - 2..], ["echo", "a b"]);
    assert!(json["spec"]["linux"]["seccomp"].is_object());
    assert!(
        !host.state().exists() && !host.data().exists(),
        "directories of ours"
    );
}

#[test]
fn the_same_command_gives_the_same_bytes() {
    let host = Host::new();
    let flags = [
        "--name",
        "same",
        "-e",
        "B=1",
        "-e",
        "A=2",
        "-l",
        "z=1",
        "-l",
        "a=2",
        "--cap-add",
        "NET_ADMIN",
        "--sysctl",
        "net.b=1",
        "--sysctl",
        "net.a=1",
    ];
    let first = dry_run(&host, &flags);
    for _ in 0..4 {
        assert_eq!(dry_run(&host, &flags), first);
    }
}

#[test]
fn without_a_name_only_the_id_differs() {
    let host = Host::new();
    let [one, other] = [(), ()].map(|()| {
        let text = dry_run(&host, &[]);
        let json: Value = serde_json::from_str(&text).unwrap();
        let id = json["plan"]["id"].as_str().unwrap().to_owned();
        let name = json["plan"]["hostname"].as_str().unwrap().to_owned();
        assert!(id.starts_with(&name));
        text.replace(&id, "ID").replace(&name, "NAME")
    });
    assert_eq!(one, other);
}

#[test]
fn what_cannot_run_cannot_be_planned() {
    let host = Host::new();
    host.run(&["--dry-run", "nosuch:image"])
        .refused(&["nosuch:image"]);
    host.run(&["--dry-run", "-u", "nosuch", "busybox:test"])
        .refused(&["nosuch"]);
    host.run(&["--dry-run", "-m", "1k", "busybox:test"])
        .refused(&["--memory"]);
    host.run(&["--dry-run", "--verdict", "/dev/null", "busybox:test"])
        .refused(&["--verdict", "cannot be combined", "--dry-run"]);
}
