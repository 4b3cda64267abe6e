//! `--pass-fd`: which descriptors of ours reach the payload, and which never do.

use std::fs;
use std::process::Stdio;

use super::support::{Host, Output, runs};

#[test]
fn a_pipe_reaches_the_payload_under_its_number() {
    let host = Host::new();
    let file = host.path("out");
    // `cat` outside writes what comes out of the pipe that is 7 inside.
    let script = format!("exec 7> >(cat >{}; echo end >>{0})", file.display());
    for number in ["7", "70"] {
        let script = script.replace("exec 7>", &format!("exec {number}>"));
        let say = format!("echo through >/proc/self/fd/{number}");
        let args = ["run", "--pass-fd", number, "busybox:test", "sh", "-c", &say];
        let mut command = runs::after(&script, &host.command(&args));
        assert_eq!(Output::of(&mut command).ok(), "");
        super::support::processes::until("the pipe has ended", || {
            fs::read_to_string(&file).is_ok_and(|text| text == "through\nend\n")
        });
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_socket_reaches_the_payload_and_both_sides_talk() {
    let host = Host::new();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let script = "read line <&9; echo \"heard $line\" >&9";
    let args = ["run", "--pass-fd", "9", "busybox:test", "sh", "-c", script];
    // The socket is bash's stdin, which it makes its 9.
    let mut command = runs::after("exec 9<&0 0</dev/null", &host.command(&args));
    let mut child = command
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    drop(command);
    let (mut reader, mut writer) = (std::io::BufReader::new(&ours), &ours);
    std::io::Write::write_all(&mut writer, b"hello\n").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert_eq!(line, "heard hello\n");
    assert!(runs::wait(&mut child).success());
    line.clear();
    assert_eq!(
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap(),
        0,
        "nobody else holds it"
    );
}

#[test]
fn files_are_handed_over_as_0_1_and_2_on_request() {
    let host = Host::new();
    let (input, output) = (host.path("in"), host.path("out"));
    fs::write(&input, "content\n").unwrap();
    let script = "cat; stat -L -c %F /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >&2";
    let args = [
        "run",
        "-i",
        "--pass-fd",
        "0",
        "--pass-fd",
        "1",
        "--pass-fd",
        "2",
        "busybox:test",
        "sh",
        "-c",
        script,
    ];
    let status = host
        .command(&args)
        .stdin(fs::File::open(&input).unwrap())
        .stdout(fs::File::create(&output).unwrap())
        .stderr(fs::File::options().append(true).open(&output).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(&output).unwrap();
    assert_eq!(text, format!("content\n{}", "regular file\n".repeat(3)));
}

#[test]
fn several_descriptors_keep_their_numbers() {
    let host = Host::new();
    let script = "exec 5< <(echo five) 3< <(echo three) 4< <(echo four)";
    let say = "cat <&3; cat <&4; cat <&5; ls /proc/self/fd | wc -l";
    let args = [
        "run",
        "--pass-fd",
        "4",
        "--pass-fd",
        "5",
        "--pass-fd",
        "3",
        "busybox:test",
        "sh",
        "-c",
        say,
    ];
    let output = Output::of(&mut runs::after(script, &host.command(&args)));
    // 0 to 5, and the directory itself.
    assert_eq!(output.ok(), "three\nfour\nfive\n7\n");
}

#[test]
fn what_could_be_used_against_the_host_is_refused() {
    let host = Host::new();
    let refused = |script: &str, fd: &str, words: &[&str]| {
        let args = ["run", "--pass-fd", fd, "busybox:test", "echo", "ran"];
        Output::of(&mut runs::after(script, &host.command(&args))).refused(words);
        host.assert_clean();
    };
    refused("exec 7</", "7", &["descriptor 7", "directory"]);
    refused("exec 7<&-", "7", &["descriptor 7"]);
    refused("exec 7</dev/ptmx", "7", &["descriptor 7"]);
    refused("exec 1</", "1", &["descriptor 1", "directory"]);
    refused("true", "-1", &[]);
    refused("true", "4294967297", &[]);
    refused("true", "x", &[]);
}

#[test]
fn a_block_device_is_refused() {
    let host = Host::new();
    let node = host.path("block");
    // A node of our own: reading it is never tried, so the device need not exist, but open it we must.
    let made = std::process::Command::new("mknod")
        .arg(&node)
        .args(["b", "7", "0"])
        .stderr(Stdio::null())
        .status();
    let script = format!("exec 7<{} || exit 99", node.display());
    assert!(made.unwrap().success(), "this test needs mknod(2)");
    let args = ["run", "--pass-fd", "7", "busybox:test", "echo", "ran"];
    let output = Output::of(&mut runs::after(&script, &host.command(&args)));
    assert_ne!(output.code, 99, "this test needs the loop device 0");
    output.refused(&["descriptor 7", "block device"]);
}

#[test]
fn a_terminal_is_refused_with_what_to_do() {
    let host = Host::new();
    let (_master, slave) = super::support::terminal::pair();
    let args = ["run", "--pass-fd", "0", "-i", "busybox:test", "echo", "ran"];
    Output::of(host.command(&args).stdin(slave)).refused(&["descriptor 0", "terminal"]);
}

#[test]
fn without_an_init_nothing_can_be_passed() {
    let host = Host::new();
    let args = [
        "run",
        "--no-init",
        "--pass-fd",
        "7",
        "busybox:test",
        "echo",
        "ran",
    ];
    Output::of(&mut runs::after("exec 7< <(true)", &host.command(&args)))
        .refused(&["descriptor 7", "--no-init"]);
}
