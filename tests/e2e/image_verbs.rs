//! `airtight image` as scripts use it.

use std::fs::File;
use std::io::Read;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::mount::MsFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::mounted::Mounted;
use super::support::{self, Host, Output};

fn archive() -> std::path::PathBuf {
    support::images().join("busybox.tar")
}

#[test]
fn an_archive_comes_from_a_file_or_a_pipe_and_goes_by_name_or_id() {
    let host = Host::with(&[]);
    let file = archive().display().to_string();
    let said = host.airtight(&["image", "import", &file]).ok();
    assert!(said.starts_with("busybox:test sha256:"), "{said}");
    let mut command = host.command(&["image", "import", "--tag", "other:1", "-"]);
    Output::of(command.stdin(File::open(archive()).unwrap())).ok();

    let table = host.airtight(&["image", "ls"]).ok();
    assert_eq!(table.lines().count(), 3, "{table}");
    let ids = host.airtight(&["image", "ls", "-q"]).ok();
    let id = ids.trim_end();
    assert_eq!(id.len(), 12, "{ids}");

    assert_eq!(host.airtight(&["image", "rm", "other:1"]).ok(), "other:1\n");
    host.airtight(&["image", "rm", id]).ok();
    assert_eq!(host.airtight(&["image", "ls", "-q"]).ok(), "");
}

#[test]
fn a_list_can_be_of_some_images_only_and_is_empty_where_there_are_none() {
    let host = Host::with(&["busybox", "python"]);
    let list = |names: &[&str]| {
        host.airtight(&[&["image", "ls", "-q"], names].concat())
            .ok()
    };
    let id = list(&["busybox:test"]);
    assert_eq!(id.lines().count(), 1, "{id}");
    assert_eq!(list(&[id.trim_end()]), id);
    assert_eq!(list(&["docker.io/library/busybox:test", "nosuch"]), id);
    assert_eq!(list(&["busybox"]), "");
    assert_eq!(list(&["busybox:test", "python:test"]).lines().count(), 2);
}

#[test]
fn who_removes_an_image_that_is_not_here_is_not_told_to_pull_it() {
    let host = Host::with(&[]);
    let output = host.airtight(&["image", "rm", "nosuch:1"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("is not here"), "{output:?}");
    assert!(output.stderr.contains("airtight image ls"), "{output:?}");
    for other in ["image pull", "image import"] {
        assert!(!output.stderr.contains(other), "{output:?}");
    }
}

#[test]
fn images_are_json_for_programs() {
    let host = Host::new();
    let text = host.airtight(&["image", "ls", "--format", "json"]).ok();
    let images: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(images[0]["name"], "docker.io/library/busybox:test");
    assert!(images[0]["size"].as_u64().unwrap() > 0);
}

#[test]
fn a_failure_is_1_and_a_wrong_command_line_125() {
    let host = Host::new();
    for (args, code, words) in [
        (&["image", "rm", "nosuch"][..], 1, "nosuch"),
        (&["image", "rm", "nosuch", "none"], 1, "2 of 2"),
        (&["image", "import", "/nosuch"], 1, "/nosuch"),
        (&["image", "import", "/etc/passwd"], 1, "/etc/passwd"),
        (&["image", "rm"], 125, "NAME is missing"),
        (&["image", "rm", "Bad Name"], 125, "Bad Name"),
        (&["image", "ls", "Bad Name"], 125, "for NAME:"),
        (&["image", "ls", "--format", "xml"], 125, "table, json"),
        (
            &["image", "ls", "-q", "--format=json"],
            125,
            "cannot be combined",
        ),
    ] {
        let output = host.airtight(args);
        assert_eq!(output.code, code, "{output:?}");
        assert!(
            output.stderr.contains(words) && output.stdout.is_empty(),
            "{output:?}"
        );
    }
}

#[test]
fn an_image_that_can_be_removed_is_removed_though_another_cannot() {
    let host = Host::with(&[]);
    host.airtight(&["image", "import", archive().to_str().unwrap()])
        .ok();
    let output = host.airtight(&["image", "rm", "nosuch", "busybox:test"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "busybox:test\n"));
}

#[test]
fn an_archive_that_would_fill_the_disk_is_refused_and_leaves_room() {
    let host = Host::with(&[]);
    let place = Mounted::at(host.path("tmp"), MsFlags::empty(), "size=16m");
    let import = |bytes: u64| {
        let mut command = host.command(&["image", "import", "-"]);
        // Few bytes that unpack to many.
        let (reader, writer) = std::io::pipe().unwrap();
        let packing = std::thread::spawn(move || {
            let mut gzip = GzEncoder::new(writer, Compression::fast());
            // Its reader may have gone.
            let _ = std::io::copy(&mut std::io::repeat(0).take(bytes), &mut gzip);
        });
        let output = Output::of(command.env("TMPDIR", &place.0).stdin(reader));
        drop(command);
        packing.join().unwrap();
        output
    };
    // The first of them would fit, but nobody else's file beside it.
    for bytes in [31 << 19, 1 << 30] {
        let output = import(bytes);
        assert_eq!(output.code, 1, "{output:?}");
        for words in [place.0.to_str().unwrap(), "fill the file system", "TMPDIR"] {
            assert!(output.stderr.contains(words), "{output:?}");
        }
    }
    let output = import(15 << 20);
    assert!(
        !output.stderr.contains("fill the file system"),
        "{output:?}"
    );
}

#[test]
fn an_interrupted_import_exits_with_the_signal_and_leaves_nothing() {
    let host = Host::with(&[]);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut child = host
            .command(&["image", "import", "-"])
            .stdin(reader)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // It waits for the rest of the archive, which does not come.
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        let status = child.wait().unwrap();
        let code =
            std::os::unix::process::ExitStatusExt::signal(&status).map(|number| 128 + number);
        assert_eq!(code.or(status.code()), Some(128 + signal as i32));
        drop(writer);
    }
}
