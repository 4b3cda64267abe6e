//! stdin, stdout and stderr: the payload's bytes, all of them, and nothing else.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::thread;

use super::support::{Host, Output, Run, runs, terminal};

const MEBIBYTE: usize = 1 << 20;
const BLOCKS: u64 = 1024;

/// The `number`th MiB of a stream in which no two are alike.
fn block(number: u64) -> Vec<u8> {
    let mut block: Vec<u8> = (0..MEBIBYTE).map(|index| (index % 251) as u8).collect();
    block[..8].copy_from_slice(&number.to_le_bytes());
    block
}

fn write_gibibyte(mut to: impl Write) {
    let mut block = block(0);
    for number in 0..BLOCKS {
        block[..8].copy_from_slice(&number.to_le_bytes());
        to.write_all(&block).unwrap();
    }
}

fn assert_gibibyte(mut from: impl Read) {
    let mut expected = block(0);
    let mut found = vec![0; MEBIBYTE];
    for number in 0..BLOCKS {
        expected[..8].copy_from_slice(&number.to_le_bytes());
        from.read_exact(&mut found).unwrap();
        assert!(found == expected, "MiB {number} is not what was written");
    }
    assert_eq!(from.read(&mut found).unwrap(), 0, "more than was written");
}

#[test]
fn a_gibibyte_from_a_pipe_through_cat_into_a_pipe_arrives_whole() {
    let host = Host::new();
    let mut airtight = host
        .command(&["run", "-i", "busybox:test", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (airtight.stdin.take(), airtight.stdout.take());
    let writer = thread::spawn(move || write_gibibyte(stdin.unwrap()));
    assert_gibibyte(stdout.unwrap());
    writer.join().unwrap();
    assert!(runs::wait(&mut airtight).success());
}

#[test]
fn a_gibibyte_from_a_pipe_through_cat_into_a_file_arrives_whole() {
    let host = Host::new();
    let path = host.path("out");
    let mut airtight = host
        .command(&["run", "-i", "busybox:test", "cat"])
        .stdin(Stdio::piped())
        .stdout(File::create(&path).unwrap())
        .spawn()
        .unwrap();
    write_gibibyte(airtight.stdin.take().unwrap());
    assert!(runs::wait(&mut airtight).success());
    assert_gibibyte(File::open(&path).unwrap());
}

#[test]
fn a_gibibyte_without_an_init_arrives_whole() {
    let host = Host::new();
    let mut airtight = host
        .command(&["run", "--no-init", "-i", "busybox:test", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (airtight.stdin.take(), airtight.stdout.take());
    let writer = thread::spawn(move || write_gibibyte(stdin.unwrap()));
    assert_gibibyte(stdout.unwrap());
    writer.join().unwrap();
    assert!(runs::wait(&mut airtight).success());
}

#[test]
fn stdin_reaches_the_payload_with_i_and_is_empty_without() {
    let host = Host::new();
    let with = |args: &[&str], stdin: Stdio| {
        let args = [&["run"], args, &["busybox:test", "wc", "-c"]].concat();
        let mut command = host.command(&args);
        let mut run = Run::start(command.stdin(stdin));
        if run.has_stdin() {
            run.write(b"twelve bytes");
        }
        run.end().ok()
    };
    let file = || {
        fs::write(host.path("in"), "from a file").unwrap();
        Stdio::from(File::open(host.path("in")).unwrap())
    };
    for init in ["--init", "--no-init"] {
        assert_eq!(with(&[init, "-i"], Stdio::piped()), "12\n", "{init}");
        assert_eq!(with(&[init, "-i"], file()), "11\n", "{init}");
        assert_eq!(with(&[init, "-i"], Stdio::null()), "0\n", "{init}");
        assert_eq!(with(&[init], file()), "0\n", "{init}");
    }
}

#[test]
fn the_end_of_stdin_arrives_while_the_payload_runs() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let script = "echo ready; cat; echo then more";
        let args = ["run", init, "-i", "busybox:test", "sh", "-c", script];
        let mut run = Run::ready(host.command(&args).stdin(Stdio::piped()));
        run.write(b"one\n");
        assert_eq!(run.line(), "one");
        run.close_stdin();
        assert_eq!(run.end().ok(), "then more\n", "{init}");
    }
}

#[test]
fn a_payload_that_does_not_read_its_stdin_ends_all_the_same() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let mut airtight = host
            .command(&["run", init, "-i", "busybox:test", "true"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let held = airtight.stdin.take();
        assert!(runs::wait(&mut airtight).success(), "{init}");
        drop(held);
    }
}

#[test]
fn a_payload_whose_reader_is_gone_dies_of_sigpipe() {
    let host = Host::new();
    let args = ["run", "busybox:test", "sh", "-c", "echo ready; exec yes"];
    let mut run = Run::ready(&mut host.command(&args));
    run.close_stdout();
    assert_eq!(run.end().code, 128 + 13);
}

#[test]
fn a_payload_whose_terminal_is_gone_dies_of_sigpipe() {
    let host = Host::new();
    let (mut master, slave) = terminal::pair();
    let mut airtight = host
        .command(&["run", "busybox:test", "sh", "-c", "echo ready; exec yes"])
        .stdout(slave)
        .spawn()
        .unwrap();
    assert_eq!(runs::line(&mut master), "ready\r");
    drop(master);
    assert_eq!(runs::code(runs::wait(&mut airtight)), 128 + 13);
}

#[test]
fn without_an_init_a_run_whose_reader_is_gone_ends_too() {
    let host = Host::new();
    let args = [
        "run",
        "--no-init",
        "busybox:test",
        "sh",
        "-c",
        "echo ready; exec yes",
    ];
    let mut run = Run::ready(&mut host.command(&args));
    run.close_stdout();
    assert_ne!(run.end().code, 0);
}

#[test]
fn every_byte_value_and_a_last_line_without_its_end_arrive() {
    let host = Host::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    fs::write(host.path("bytes"), &bytes).unwrap();
    for init in ["--init", "--no-init"] {
        let mut command = host.command(&["run", init, "-i", "busybox:test", "cat"]);
        let output = command
            .stdin(File::open(host.path("bytes")).unwrap())
            .output()
            .unwrap();
        assert!(output.stdout == bytes, "{init}");
        let output = host.run(&[init, "busybox:test", "printf", "no newline"]);
        assert_eq!(output.ok(), "no newline", "{init}");
    }
}

#[test]
fn stderr_is_a_stream_of_its_own_and_one_with_stdout_where_both_are_one_file() {
    let host = Host::new();
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
    let merged = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n";
    let output = host.run(&["busybox:test", "sh", "-c", script]);
    assert_eq!(output.stdout, "out 1\nout 2\nout 3\n");
    assert_eq!(output.stderr, "err 1\nerr 2\nerr 3\n");

    let path = host.path("both");
    let file = File::create(&path).unwrap();
    let mut command = host.command(&["run", "busybox:test", "sh", "-c", script]);
    command.stderr(file.try_clone().unwrap()).stdout(file);
    assert!(command.status().unwrap().success());
    assert_eq!(fs::read_to_string(&path).unwrap(), merged);
}

#[test]
fn a_file_that_is_appended_to_keeps_what_it_had() {
    let host = Host::new();
    let path = host.path("log");
    fs::write(&path, "before\n").unwrap();
    let file = File::options().append(true).open(&path).unwrap();
    let mut command = host.command(&["run", "busybox:test", "echo", "after"]);
    assert!(command.stdout(file).status().unwrap().success());
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\nafter\n");
}

#[test]
fn what_is_written_just_before_the_end_is_not_lost() {
    let host = Host::new();
    // More than a pipe holds, and the reader begins only at the end.
    let script = "head -c 60000 /dev/zero; echo last >&2";
    for init in ["--init", "--no-init"] {
        for _ in 0..5 {
            let output = host.run(&[init, "busybox:test", "sh", "-c", script]);
            assert_eq!(
                (output.stdout.len(), output.stderr.as_str()),
                (60_000, "last\n")
            );
        }
    }
    let path = host.path("file");
    for _ in 0..5 {
        let mut command =
            host.command(&["run", "busybox:test", "head", "-c", "300000", "/dev/zero"]);
        let status = command.stdout(File::create(&path).unwrap()).status();
        assert!(status.unwrap().success());
        assert_eq!(fs::metadata(&path).unwrap().len(), 300_000);
    }
}

#[test]
fn what_a_child_writes_that_outlives_the_payload_is_cut_off_with_it() {
    let host = Host::new();
    let script = "(trap '' HUP; while :; do sleep 1; done) & echo done";
    assert_eq!(
        host.run(&["busybox:test", "sh", "-c", script]).ok(),
        "done\n"
    );
}

#[test]
fn closed_standard_descriptors_are_dev_null_inside() {
    let host = Host::new();
    let script = "readlink /proc/self/fd/0; readlink /proc/self/fd/2";
    for init in ["--init", "--no-init"] {
        let args = ["run", init, "-i", "busybox:test", "sh", "-c", script];
        let mut command = runs::after("exec <&- 2>&-", &host.command(&args));
        let output = command.stderr(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{init}");
        if init == "--init" {
            assert_eq!(output.stdout, b"/dev/null\n/dev/null\n");
        }
        let mut command = runs::after("exec <&- >&- 2>&-", &host.command(&args));
        assert_eq!(Output::of(&mut command).code, 0, "{init}");
    }
}

#[test]
fn a_full_device_is_the_payload_s_own_trouble() {
    let host = Host::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = host.command(&["run", "busybox:test", "sh", "-c", "echo lost || exit 7"]);
    assert_eq!(command.stdout(full()).status().unwrap().code(), Some(7));
    // Nor does airtight fall over its own words.
    let mut command = host.command(&["run", "--verbose", "busybox:test", "sh", "-c", "exit 7"]);
    assert_eq!(command.stderr(full()).status().unwrap().code(), Some(7));
    let mut command = host.command(&["run", "busybox:test", "nosuch"]);
    assert_eq!(command.stderr(full()).status().unwrap().code(), Some(127));
}

#[test]
fn descriptors_of_airtight_do_not_reach_the_payload() {
    let host = Host::new();
    let open = "ulimit -n 4096; for i in $(seq 10 1009); do eval \"exec $i</dev/zero\"; done";
    for init in ["--init", "--no-init"] {
        let args = ["run", init, "busybox:test", "ls", "/proc/self/fd"];
        let output = Output::of(&mut runs::after(open, &host.command(&args)));
        // 3 is the directory that ls reads.
        assert_eq!(output.ok(), "0\n1\n2\n3\n", "{init}");
    }
}

#[test]
fn the_descriptors_of_the_payload_are_the_very_pipes() {
    let host = Host::new();
    let mut command = host.command(&["run", "busybox:test", "readlink", "/proc/self/fd/1"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let inode = fs::read_link(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&writer)
    ));
    assert!(
        command
            .stdout(OwnedFd::from(writer))
            .status()
            .unwrap()
            .success()
    );
    drop(command);
    let mut text = String::new();
    { reader }.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim_end(), inode.unwrap().to_str().unwrap());
}
