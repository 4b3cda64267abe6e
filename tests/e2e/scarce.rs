//! What a run needs runs out, or is forbidden: space, inodes, open files, a state directory that can be
//! written, the right time. Each is said with its place and its cause, and in the end nothing is left.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use nix::mount::{MsFlags, mount};

use super::support::containerd::Containerd;
use super::support::mounted::Mounted;
use super::support::{Host, Output, Run};

const PAYLOAD: [&str; 4] = ["busybox:test", "sh", "-c", "echo out; exit 7"];

const NO_SPACE: &str = "No space left on device";

/// A run whose state directory is a file system with these options: nothing of it remains, and it either
/// ended as it should or was refused; whether it was.
#[track_caller]
fn is_refused(host: &Host, options: &str, init: &str) -> bool {
    let state = Mounted::at(host.path("small"), MsFlags::empty(), options);
    let path = state.0.display().to_string();
    let args = [&["run", init], &PAYLOAD[..]].concat();
    let output = Output::of(host.command(&args).env("AIRTIGHT_STATE_DIR", &path));
    let left = fs::read_dir(&state.0).unwrap().flatten();
    let left = left.filter(|entry| entry.path().is_dir()).count();
    assert_eq!(left, 0, "{options} {init}: a run directory is left");
    drop(state);
    host.assert_clean();
    if output.code == 7 {
        assert_eq!(output.stdout, "out\n", "{output:?}");
        return false;
    }
    output.refused(&[&path, NO_SPACE]);
    true
}

#[test]
fn a_state_directory_without_space_is_named() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        assert!(is_refused(&host, "size=4k", init));
        for size in ["8k", "16k", "64k", "1m"] {
            is_refused(&host, &format!("size={size}"), init);
        }
    }
}

#[test]
fn a_state_directory_without_inodes_is_named() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        assert!(is_refused(&host, "nr_inodes=2", init));
        let worked = (3..24).filter(|inodes| {
            let options = format!("nr_inodes={inodes}");
            !is_refused(&host, &options, init)
        });
        assert_ne!(worked.count(), 0, "{init}");
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let host = Host::new();
    let state = Mounted::at(host.state(), MsFlags::empty(), "");
    let again = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(Some("test"), &state.0, Some("tmpfs"), again, None::<&str>).unwrap();
    let path = state.0.display().to_string();
    host.run(&PAYLOAD)
        .refused(&[&path, "Read-only file system"]);
}

#[test]
fn a_data_directory_without_space_or_inodes_is_named() {
    let host = Host::new();
    for options in ["size=64k", "nr_inodes=3"] {
        let data = Mounted::at(host.data(), MsFlags::empty(), options);
        let volumes = data.0.join("volumes");
        host.run(&[&["-v", "/bin"], &PAYLOAD[..]].concat())
            .refused(&[volumes.to_str().unwrap(), NO_SPACE]);
        let left = fs::read_dir(&volumes).into_iter().flatten().count();
        assert_eq!(left, 0, "{options}: a volume is left");
    }
}

#[test]
fn too_few_open_files_are_said_and_are_no_code_of_the_payload() {
    let host = Host::new();
    for init in ["--init", "--no-init"] {
        let args = [&["run", init], &PAYLOAD[..]].concat();
        let mut codes = Vec::new();
        // With fewer, not even the libraries are found.
        for limit in 4..32 {
            let output = host.after(&format!("ulimit -n {limit}"), &args);
            codes.push(output.code);
            if output.code == 7 {
                assert_eq!(
                    (output.stdout.as_str(), output.stderr.as_str()),
                    ("out\n", "")
                );
            } else {
                assert_eq!(output.code, 125, "{limit}: {output:?}");
                let said = output.stderr.contains("Too many open files");
                assert!(said, "{limit}: {output:?}");
                // What even the clean-up had no descriptor for.
                Output::of(&mut host.command(&["image", "ls", "-q"])).ok();
            }
            host.assert_clean();
        }
        assert!(codes.contains(&7) && codes.contains(&125), "{codes:?}");
    }
}

/// Writes to the file system of `dir` until it is full.
fn fill(dir: &Path) {
    let mut file = fs::File::create(dir.join("full")).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
}

#[test]
fn a_containerd_without_space_or_inodes_is_heard_and_later_works() {
    let dir = tempfile::tempdir().unwrap();
    let small = Mounted::at(
        dir.path().join("s"),
        MsFlags::empty(),
        "size=24m,nr_inodes=3000",
    );
    let containerd = Containerd::start_in(&small.0);
    let host = Host::at(containerd.address(), &["busybox"]);
    for init in ["--init", "--no-init"] {
        let args = [&[init], &PAYLOAD[..]].concat();
        fill(&small.0);
        host.run(&args)
            .refused(&["no space left on device", "cannot"]);
        fs::remove_file(small.0.join("full")).unwrap();
        reap(&host);

        let many = small.0.join("many");
        fs::create_dir(&many).unwrap();
        let full = (0..).find(|number: &i32| fs::write(many.join(number.to_string()), "").is_err());
        assert_ne!(full, None);
        host.run(&args)
            .refused(&["no space left on device", "cannot"]);
        fs::remove_dir_all(&many).unwrap();
        reap(&host);

        assert_eq!(host.run(&args).code, 7, "{init}");
    }
}

/// Undoes what containerd had no room to undo, where that was so.
#[track_caller]
fn reap(host: &Host) {
    assert_eq!(host.airtight(&["reap"]).code, 0);
    host.assert_clean();
}

#[test]
fn a_containerd_that_has_no_space_any_more_changes_no_code_of_a_payload() {
    let dir = tempfile::tempdir().unwrap();
    let small = Mounted::at(dir.path().join("s"), MsFlags::empty(), "size=24m");
    let containerd = Containerd::start_in(&small.0);
    let host = Host::at(containerd.address(), &["busybox"]);
    for init in ["--init", "--no-init"] {
        let script = "echo ready; cat; exit 7";
        let args = ["run", init, "-i", "busybox:test", "sh", "-c", script];
        let mut run = Run::ready(host.command(&args).stdin(Stdio::piped()));
        fill(&small.0);
        run.write(b"meanwhile\n");
        let output = run.end();
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (7, "meanwhile\n"),
            "{output:?}"
        );
        fs::remove_file(small.0.join("full")).unwrap();
        // Whatever could not be removed then.
        Output::of(&mut host.command(&["image", "ls", "-q"])).ok();
        host.assert_clean();
    }
}

#[test]
fn a_clock_that_is_wrong_or_jumps_changes_no_result() {
    let host = Host::new();
    let now = host.path("now");
    // libfaketime(1) gives us this time of day. The clock behind time limits is another: it never jumps.
    let faked = format!(
        "export FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 FAKETIME_TIMESTAMP_FILE={}
         set -- env LD_PRELOAD=\"$(ls /usr/lib/*/faketime/libfaketime.so.1)\" \"$@\"",
        now.display()
    );
    for init in ["--init", "--no-init"] {
        fs::write(&now, "@2038-01-20 00:00:00\n").unwrap();
        let script = "echo ready; cat; exit 7";
        let args = [
            "run",
            init,
            "-i",
            "--timeout",
            "1h",
            "busybox:test",
            "sh",
            "-c",
            script,
        ];
        let mut command = super::support::runs::after(&faked, &host.command(&args));
        let mut run = Run::ready(command.stdin(Stdio::piped()));
        fs::write(&now, "@1999-01-01 00:00:00\n").unwrap();
        run.write(b"meanwhile\n");
        let output = run.end();
        let expected = (7, "meanwhile\n", "");
        let found = (output.code, output.stdout.as_str(), output.stderr.as_str());
        assert_eq!(found, expected, "{init}");
        host.assert_clean();
    }
}
