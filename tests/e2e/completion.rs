//! What the tabulator finds.

use std::process::Command;

use nix::sys::signal::Signal;

use super::support::{Host, Output, Run, processes};

/// The candidates for `words`, as a shell asks for them.
fn complete(host: &Host, words: &[&str]) -> Vec<String> {
    let text = host.airtight(&[&["__complete", "--"], words].concat()).ok();
    let word = |line: &str| line.split('\t').next().unwrap().to_owned();
    text.lines().map(word).collect()
}

#[test]
fn runs_and_images_are_completed_where_they_are_meant() {
    let host = Host::new();
    let wait = "echo ready; exec sleep 1000";
    let args = ["run", "--name", "web", "busybox:test", "sh", "-c", wait];
    let run = Run::ready(&mut host.command(&args));
    for verb in ["stop", "kill", "exec", "stats"] {
        assert_eq!(complete(&host, &[verb, "w"]), ["web"], "{verb}");
    }
    assert_eq!(complete(&host, &["stop", "web", ""]), ["web"]);
    assert!(complete(&host, &["stop", "x"]).is_empty());
    assert_eq!(complete(&host, &["run", "--rm", "busy"]), ["busybox:test"]);
    assert_eq!(complete(&host, &["image", "rm", ""]), ["busybox:test"]);
    assert_eq!(complete(&host, &["exec", "web", ""]), [":files"]);
    let elsewhere = ["--state-dir", "/nowhere", "stop", ""];
    assert!(complete(&host, &elsewhere).is_empty());
    host.airtight(&["stop", "-t", "0", "web"]).ok();
    drop(run);
}

#[test]
fn ended_runs_are_completed_where_they_are_kept_and_orphaned_ones_where_they_can_be_stopped() {
    let host = Host::new();
    let ended = ["-d", "--name", "ended", "busybox:test", "true"];
    host.run(&ended).ok();
    host.airtight(&["wait", "ended"]).ok();
    let keep = ["run", "--key", "k", "--on-owner-death", "keep"];
    let wait = "echo ready; exec sleep 1000";
    let command = ["busybox:test", "sh", "-c", wait];
    let owner = Run::ready(&mut host.command(&[&keep[..], &command].concat()));
    let orphan = host.airtight(&["ps", "-q"]).ok().trim_end().to_owned();
    owner.destroy();
    for verb in ["logs", "inspect", "rm", "wait"] {
        assert_eq!(complete(&host, &[verb, "en"]), ["ended"], "{verb}");
        assert_eq!(complete(&host, &[verb, &orphan[..6]]), [&*orphan], "{verb}");
    }
    assert_eq!(complete(&host, &["stop", ""]), [&*orphan]);
    for verb in ["exec", "kill", "stats"] {
        assert!(complete(&host, &[verb, ""]).is_empty(), "{verb}");
    }
    assert_eq!(host.airtight(&["stop", "-t", "0", &orphan]).code, 0);
    host.airtight(&["rm", "ended"]).ok();
    host.assert_clean();
}

#[test]
fn nothing_that_dead_owners_left_is_touched() {
    let host = Host::new();
    let args = ["-d", "--rm", "--name", "dead", "-i", "busybox:test", "cat"];
    host.run(&args).ok();
    processes::signal(host.owner("dead"), Signal::SIGKILL);
    host.until_nobody_is_inside();
    let output = host.airtight(&["__complete", "--", "rm", ""]);
    assert_eq!(
        (output.code, output.stdout, output.stderr),
        Default::default()
    );
    assert!(host.state().join("dead").exists() && host.data().join("runs/dead").exists());
    assert_eq!(host.airtight(&["ps", "-aq"]).ok(), "");
}

#[test]
fn without_containerd_there_are_no_images_and_no_message() {
    let host = Host::with(&[]);
    let mut command = host.command(&["__complete", "--", "run", ""]);
    let output = Output::of(command.env("CONTAINERD_ADDRESS", "/nowhere"));
    assert_eq!(output.ok(), "");
}

/// What bash has in COMPREPLY when the cursor is at the end of `words`, split as bash does.
fn in_bash(host: &Host, words: &[&str]) -> String {
    let script = r#"
        source <("$1" completion bash)
        COMP_WORDS=("$@")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _airtight
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let airtight = host.command(&[]);
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"])
        .arg(airtight.get_program())
        .args(words);
    for (name, value) in airtight.get_envs() {
        bash.env(name, value.unwrap_or_default());
    }
    Output::of(&mut bash).ok()
}

#[test]
fn bash_completes_verbs_values_and_names_with_a_colon() {
    let host = Host::new();
    assert_eq!(in_bash(&host, &["sto"]), "stop\n");
    assert_eq!(in_bash(&host, &["doctor", "--format", "=", "j"]), "json\n");
    assert_eq!(in_bash(&host, &["run", "busy"]), "busybox:test\n");
    assert_eq!(in_bash(&host, &["run", "busybox", ":", "te"]), "test\n");
}

#[test]
fn each_shell_has_a_script() {
    let host = Host::with(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let script = host.airtight(&["completion", shell]).ok();
        assert!(script.contains("__complete"), "{shell}");
    }
    host.airtight(&["completion", "csh"])
        .refused(&["bash, zsh, fish"]);
}
