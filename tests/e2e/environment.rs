//! Environment variables, in Docker's order: defaults, image, files, flags.

use super::support::Host;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The payload's environment, sorted; values must not contain newlines.
fn environment(host: &Host, flags: &[&str], image: &str) -> Vec<String> {
    let command = ["--name", "named", "--entrypoint", "", image, "env"];
    let output = host.run(&[flags, &command].concat()).ok();
    let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_defaults_are_path_home_and_hostname_and_nothing_of_ours() {
    let host = Host::new();
    assert_eq!(
        environment(&host, &[], "busybox:test"),
        ["HOME=/root", "HOSTNAME=named", PATH]
    );
    assert_eq!(
        environment(&host, &["-u", "app", "-h", "other"], "busybox:test"),
        ["HOME=/home/app", "HOSTNAME=other", PATH]
    );
    assert_eq!(
        environment(&host, &["-u", "4242"], "busybox:test"),
        ["HOME=/", "HOSTNAME=named", PATH]
    );
}

#[test]
fn a_terminal_brings_its_type() {
    let host = Host::new();
    let env = environment(&host, &["-t"], "busybox:test");
    assert!(
        env.contains(&"TERM=xterm\r".to_owned()) || env.contains(&"TERM=xterm".to_owned()),
        "{env:?}"
    );
    let env = environment(&host, &["-t", "-e", "TERM=vt100"], "busybox:test");
    assert!(
        env.iter().any(|line| line.trim() == "TERM=vt100"),
        "{env:?}"
    );
}

#[test]
fn files_win_over_the_image_and_flags_over_files() {
    let host = Host::with(&["kitchen"]);
    let file = host.path("env");
    std::fs::write(
        &file,
        "# comment\n\nKITCHEN=file\nEMPTY=filled\nTAKEN\nABSENT_HERE\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let mut command = host.command(&[
        "run",
        "--name",
        "named",
        "--entrypoint",
        "",
        "--env-file",
        file,
        "-e",
        "KITCHEN=flag",
        "-e",
        "LATER=1",
        "-e",
        "LATER=2",
        "kitchen:test",
        "env",
    ]);
    let output = super::support::Output::of(command.env("TAKEN", "from here")).ok();
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "EMPTY=filled",
            "EQUALS=a=b",
            "HOME=/home/app",
            "HOSTNAME=named",
            "KITCHEN=flag",
            "LATER=2",
            PATH,
            "SPACES=a b  c",
            "TAKEN=from here",
        ]
    );
}

#[test]
fn a_bare_name_takes_our_value_or_unsets_the_image_s() {
    let host = Host::with(&["kitchen"]);
    let mut command = host.command(&[
        "run",
        "--entrypoint",
        "",
        "-e",
        "KITCHEN",
        "-e",
        "EQUALS",
        "kitchen:test",
        "env",
    ]);
    command.env("EQUALS", "ours=1").env_remove("KITCHEN");
    let output = super::support::Output::of(&mut command).ok();
    assert!(output.contains("EQUALS=ours=1\n"), "{output}");
    assert!(!output.contains("KITCHEN"), "{output}");
}

#[test]
fn any_text_is_a_value() {
    let host = Host::new();
    for value in [
        "two\nlines",
        "a=b=c",
        "'single' \"double\" $HOME `x` \\n",
        "für 漢字 🔒",
        "",
        " ",
        "\t\r",
    ] {
        let variable = format!("VALUE={value}");
        let output = host.sh(&["-e", &variable], "printf '%s|' \"$VALUE\"");
        assert_eq!(output, format!("{value}|"));
    }
    for (bad, words) in [("=x", "no name"), ("", "no name")] {
        host.run(&["-e", bad, "busybox:test", "true"])
            .refused(&["--env", words]);
    }
}

#[test]
fn a_variable_longer_than_the_kernel_takes_is_refused() {
    let host = Host::new();
    let most = "x".repeat((128 << 10) - "LONG=".len() - 1);
    let fits = format!("LONG={most}");
    assert_eq!(
        host.sh(&["-e", &fits], "echo ${#LONG}"),
        format!("{}\n", most.len())
    );
}
