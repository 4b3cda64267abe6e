//! What fingers used to `docker run` type.

use std::process::Command;

use super::support::{Host, Output};

const SHOW: &str = "busybox:test";

#[test]
fn flags_may_be_joined_to_their_values_or_not() {
    let host = Host::new();
    let output = host.run(&[
        "-eA=1",
        "-e",
        "B=2",
        "--env=C=3",
        "--env",
        "D=x=y z",
        "-w/tmp",
        "-u65534",
        "-hbox",
        SHOW,
        "sh",
        "-c",
        "echo $A $B $C $D $PWD $(id -u) $(hostname)",
    ]);
    assert_eq!(output.ok(), "1 2 3 x=y z /tmp 65534 box\n");
}

#[test]
fn letters_may_be_bundled() {
    let host = Host::new();
    let mut command = host.command(&["run", "-ie", "A=b", SHOW, "sh", "-c", "cat; echo $A"]);
    assert_eq!(Output::with_stdin(&mut command, b"in\n").ok(), "in\nb\n");
}

#[test]
fn switches_take_a_value_behind_an_equals_sign() {
    let host = Host::new();
    let pid_1 = "cat /proc/1/comm; touch /x 2>/dev/null && echo written";
    for (switches, expected) in [
        (["--init=false", "--read-only=true"], "sh\n"),
        (["--init=0", "--read-only=F"], "sh\nwritten\n"),
        (["--init=true", "--read-only"], "airtight-init\n"),
    ] {
        let output = host.run(&[&switches[..], &[SHOW, "sh", "-c", pid_1]].concat());
        assert_eq!(output.stdout, expected, "{switches:?}: {}", output.stderr);
    }
    host.run(&["--init=maybe", SHOW, "true"])
        .refused(&["\"maybe\"", "--init", "true or false"]);
}

#[test]
fn of_a_flag_given_twice_the_later_one_counts() {
    let host = Host::new();
    let output = host.run(&[
        "-w",
        "/etc",
        "-w",
        "/tmp",
        "-e",
        "A=1",
        "-e",
        "A=2",
        "--no-init",
        "--init",
        "--rm",
        "--rm",
        SHOW,
        "sh",
        "-c",
        "echo $PWD $A $(cat /proc/1/comm)",
    ]);
    assert_eq!(output.ok(), "/tmp 2 airtight-init\n");
}

#[test]
fn what_is_behind_the_image_belongs_to_the_command() {
    let host = Host::new();
    let output = host.run(&[SHOW, "echo", "-e", "--env", "--help", "--", "-v"]);
    // (busybox's echo takes the first.)
    assert_eq!(output.ok(), "--env --help -- -v\n");
    assert_eq!(host.run(&["--", SHOW, "echo", "a"]).ok(), "a\n");
}

#[test]
fn docker_s_other_names_are_known() {
    let host = Host::new();
    let output = host.run(&["--net=host", "-c", "512", SHOW, "cat", "/etc/hostname"]);
    let ours = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(output.ok(), ours);
}

#[test]
fn a_bare_name_takes_the_value_from_our_environment_or_none() {
    let host = Host::new();
    let output = Output::of(
        host.command(&["run", "-e", "SET", "-e", "UNSET", SHOW, "env"])
            .env("SET", "a b\nc")
            .env_remove("UNSET"),
    );
    let text = output.ok();
    assert!(
        text.contains("SET=a b\nc\n") && !text.contains("UNSET"),
        "{text}"
    );
}

#[test]
fn limits_of_zero_are_none() {
    let host = Host::new();
    let zeros = [
        "-m0",
        "--cpus=0",
        "-c0",
        "--pids-limit=0",
        "--blkio-weight=0",
        "--shm-size=0",
    ];
    let shm = "df -k /dev/shm | awk 'END { print $2 }'";
    let output = host.run(&[&zeros[..], &[SHOW, "sh", "-c", shm]].concat());
    assert_eq!(output.ok(), "65536\n", "docker's default size");
}

#[test]
fn docker_s_flags_that_are_not_here_say_what_to_do_instead() {
    let host = Host::with(&[]);
    for (flags, words) in [
        (&["-P"][..], "--network host"),
        (&["-itP"], "--network host"),
        (&["-p", "80:80"], "--network host"),
        (&["--link", "db"], "--network host"),
        (&["--restart=always"], "Restart="),
        (&["--gpus", "all"], "--device"),
        (&["--pull=always"], "airtight image pull"),
        (&["--dns", "1.1.1.1"], "/etc/resolv.conf"),
        (&["--userns=host"], "nothing in its place"),
    ] {
        for verb in ["run", "bundle"] {
            let args = [&[verb][..], flags, &[SHOW, "true"]].concat();
            host.airtight(&args).refused(&["docker's flag -", words]);
        }
    }
}

#[test]
fn an_unknown_flag_or_verb_suggests_the_nearest() {
    let host = Host::with(&[]);
    for (args, words) in [
        (
            &["run", "--memry=5m", SHOW][..],
            &["no flag --memry", "--memory"][..],
        ),
        (
            &["run", "--netwrok", "host", SHOW],
            &["--netwrok", "--network"],
        ),
        (&["rnu", SHOW], &["\"rnu\"", "did you mean run?"]),
        (
            &["image", "improt"],
            &["\"improt\"", "did you mean import?"],
        ),
        (&["run", "-Q", SHOW], &["no flag -Q", "airtight run --help"]),
        (&["bundle", SHOW], &["--output is missing"]),
        (&["image", "import"], &["FILE is missing"]),
        (&["config", "schema", "extra"], &["one argument too many"]),
    ] {
        host.airtight(args).refused(words);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_by_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let host = Host::new();
    let bad = |prefix: &[u8]| OsStr::from_bytes(&[prefix, b"\xff"].concat()).to_owned();
    let refused = |command: &mut Command, words: &[&str]| Output::of(command).refused(words);
    refused(
        host.command(&["run", "-e"]).arg(bad(b"A=")).arg(SHOW),
        &["\"A=…\"", "not UTF-8"],
    );
    refused(host.command(&["run"]).arg(bad(b"--")), &["no flag --"]);
    refused(host.command(&["run"]).arg(bad(b"")), &[r#""\xFF""#]);
    refused(
        host.command(&["run", SHOW, "echo"]).arg(bad(b"")),
        &[r#""\xFF""#],
    );
    refused(host.command(&[]).arg(bad(b"")), &["no verb"]);
    refused(
        host.command(&["run", "--env-file"])
            .arg(bad(b"/"))
            .arg(SHOW),
        &["not UTF-8"],
    );
    refused(
        host.command(&["run", "-e", "X", SHOW]).env("X", bad(b"")),
        &["the value of X", "not UTF-8"],
    );
    refused(
        host.command(&["image", "ls"])
            .env("CONTAINERD_ADDRESS", bad(b"/")),
        &["CONTAINERD_ADDRESS"],
    );
}
