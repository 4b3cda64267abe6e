//! Bind mounts and memory: `--volume`, `--mount`, `--tmpfs`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::support::mounted::Mounted;
use super::support::{Host, runtime_binary};

/// A directory of the test with a file that says where it is.
fn directory(host: &Host, name: &str) -> PathBuf {
    let path = host.path(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("file"), format!("{name}\n")).unwrap();
    path
}

fn volume(source: &Path, rest: &str) -> String {
    format!("{}:{rest}", source.display())
}

#[test]
fn directories_and_files_are_mounted_writable_or_read_only() {
    let host = Host::new();
    let dir = directory(&host, "dir");
    let flags = [
        "-v",
        &volume(&dir, "/rw"),
        "-v",
        &volume(&dir, "/ro:ro"),
        "-v",
        &volume(&dir.join("file"), "/etc/one"),
        "--mount",
        &format!(
            "type=bind,source={},target=/two,readonly",
            dir.join("file").display()
        ),
    ];
    let script = "echo new >/rw/new; cat /ro/new /etc/one /two
        for path in /ro/x /two; do (: >>$path) 2>&1 | sed 's/.*: //'; done";
    assert_eq!(
        host.sh(&flags, script),
        "new\ndir\ndir\nRead-only file system\nRead-only file system\n"
    );
    assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "new\n");
}

#[test]
fn a_missing_source_is_made_for_volume_and_refused_for_mount() {
    let host = Host::new();
    let missing = host.path("missing/below");
    let option = format!("type=bind,source={},target=/x", missing.display());
    host.run(&["--mount", &option, "busybox:test", "true"])
        .refused(&[missing.to_str().unwrap(), "does not exist"]);
    assert!(!missing.exists());
    assert_eq!(
        host.sh(
            &["-v", &volume(&missing, "/x")],
            "ls -A /x; [ -d /x ] && echo made"
        ),
        "made\n"
    );
    let made = fs::metadata(&missing).unwrap();
    assert_eq!((made.uid(), made.mode() & 0o7777), (0, 0o755));
}

#[test]
fn what_cannot_be_mounted_is_refused_before_anything_is_made() {
    let host = Host::new();
    let dir = directory(&host, "dir");
    let missing = host.path("missing");
    let also = volume(&missing, "/also");
    symlink("/nonexistent/x", host.path("dangling")).unwrap();
    for (mount, words) in [
        ("relative:/x".to_owned(), "absolute"),
        (volume(&dir, "relative"), "absolute"),
        (volume(&dir, "/"), "root directory"),
        (volume(&dir, "/proc"), "/proc"),
        (volume(&dir, "/proc/"), "/proc"),
        (volume(&dir, "/a/../../etc"), "'..'"),
        (volume(&dir, "/x:bogus"), "bogus"),
        (volume(&dir, "/x:ro:y"), "colons"),
        (volume(&dir, "/.airtight"), "airtight's own"),
        (volume(&dir, "/also"), "/also"),
        (volume(&dir.join("file/below"), "/x"), "not a directory"),
        (
            volume(&host.path("dangling"), "/x"),
            "symbolic link to nothing",
        ),
        (String::new(), "--volume"),
    ] {
        host.run(&["-v", &also, "-v", &mount, "busybox:test", "true"])
            .refused(&[words]);
        assert!(!missing.exists(), "{mount}");
    }
    for (option, words) in [
        ("type=bind,source=relative,target=/x", "absolute"),
        ("type=bind,target=/x", "source="),
        ("type=tmpfs,target=/x,tmpfs-mode=rwx", "number"),
        ("type=bogus,target=/x", "bogus"),
        (
            "type=bind,source=/tmp,target=/x,bind-propagation=bogus",
            "bogus",
        ),
    ] {
        host.run(&["--mount", option, "busybox:test", "true"])
            .refused(&["--mount", words]);
    }
}

#[test]
fn a_symbolic_link_is_followed_on_the_host() {
    let host = Host::new();
    directory(&host, "real");
    symlink("real", host.path("link")).unwrap();
    assert_eq!(
        host.sh(&["-v", &volume(&host.path("link"), "/x")], "cat /x/file"),
        "real\n"
    );
}

/// `/link` of the image leads to `/target`, seen from the image's root and never from the host's.
#[test]
fn a_link_on_the_way_to_the_target_stays_in_the_container() {
    let host = Host::new();
    let dir = directory(&host, "dir");
    let trap = directory(&host, "trap");
    symlink("../../../../../../../../tmp/inside", trap.join("out")).unwrap();
    let flags = [
        "-v",
        &volume(&trap, "/trap"),
        "-v",
        &volume(&dir, "/trap/out/deep"),
    ];
    let command = ["busybox:test", "cat", "/tmp/inside/deep/file"];
    let output = host.run(&[&flags[..], &command].concat());
    if runtime_binary().is_some_and(|name| name == "crun") {
        // It makes nothing behind a link that leads to nothing.
        output.refused(&["trap/out"]);
    } else {
        assert_eq!(output.ok(), "dir\n");
    }
    assert!(!Path::new("/tmp/inside").exists());
}

#[test]
fn any_name_can_be_mounted() {
    let host = Host::new();
    for name in [
        "with space",
        "with:colon",
        "ünï 漢字",
        "a,b",
        "quo\"te",
        "-dash",
        "back\\slash",
    ] {
        let dir = directory(&host, name);
        let source = dir.display().to_string().replace('"', "\"\"");
        let option = format!(
            "type=bind,\"source={source}\",\"target=/in/{}\"",
            name.replace('"', "\"\"")
        );
        let command = [
            "--mount",
            &option,
            "busybox:test",
            "cat",
            &format!("/in/{name}/file"),
        ];
        assert_eq!(host.run(&command).ok(), format!("{name}\n"));
    }
}

#[test]
fn nested_mounts_may_be_given_in_any_order() {
    let host = Host::new();
    let (outer, inner, deepest) = (
        directory(&host, "outer"),
        directory(&host, "inner"),
        directory(&host, "deepest"),
    );
    for dir in [outer.join("in"), inner.join("in")] {
        fs::create_dir(dir).unwrap();
    }
    let flags = [
        "-v",
        &volume(&deepest, "/x/in/in:ro"),
        "-v",
        &volume(&inner, "/x/in"),
        "-v",
        &volume(&outer, "/x"),
    ];
    assert_eq!(
        host.sh(&flags, "cat /x/file /x/in/file /x/in/in/file"),
        "outer\ninner\ndeepest\n"
    );
}

#[test]
fn one_target_may_be_given_once() {
    let host = Host::new();
    let dir = directory(&host, "dir");
    let volume = volume(&dir, "/x");
    for other in [
        ["-v", &volume],
        ["--tmpfs", "/x/"],
        ["--mount", "type=tmpfs,target=/x"],
    ] {
        host.run(&[&["-v", &volume][..], &other, &["busybox:test", "true"]].concat())
            .refused(&["/x"]);
    }
}

#[test]
fn what_the_host_mounts_later_appears_with_rslave_alone() {
    let host = Host::new();
    let shared = Mounted::at(host.path("shared"), MsFlags::empty(), "");
    mount(
        None::<&str>,
        &shared.0,
        None::<&str>,
        MsFlags::MS_SHARED,
        None::<&str>,
    )
    .unwrap();
    let flags = [
        "-v",
        &volume(&shared.0, "/slave:rslave"),
        "-v",
        &volume(&shared.0, "/private"),
    ];
    let script = "echo ready; read go; cat /slave/later/file; ls /private/later";
    let mut payload = host.start(&flags, script);
    assert_eq!(payload.line(), "ready");
    let later = Mounted::at(shared.0.join("later"), MsFlags::empty(), "");
    fs::write(later.0.join("file"), "appeared\n").unwrap();
    payload.write(b"go\n");
    assert_eq!(payload.line(), "appeared");
    assert_eq!(payload.end().ok(), "");
}

#[test]
fn a_tmpfs_has_docker_s_flags_and_what_is_asked() {
    let host = Host::new();
    let flags = [
        "--tmpfs",
        "/plain",
        "--tmpfs",
        "/asked:size=1m,mode=0700,uid=1000,gid=2000,exec",
        "--mount",
        "type=tmpfs,target=/mounted,tmpfs-size=2m,tmpfs-mode=1770",
        "--mount",
        "type=tmpfs,target=/closed,readonly",
    ];
    let script = "for path in /plain /asked /mounted /closed; do
        grep \" $path \" /proc/self/mountinfo | awk '{ print $5, $6 }'
        stat -c '%a %u:%g' $path
        df -k $path | awk 'END { print $2 }'
    done";
    let output = host.sh(&flags, script);
    let half = output.lines().nth(2).unwrap();
    assert_eq!(
        output,
        format!(
            "/plain rw,nosuid,nodev,noexec,relatime\n1777 0:0\n{half}\n\
             /asked rw,nosuid,nodev,relatime\n700 1000:2000\n1024\n\
             /mounted rw,nosuid,nodev,noexec,relatime\n1770 0:0\n2048\n\
             /closed ro,nosuid,nodev,noexec,relatime\n1777 0:0\n{half}\n"
        )
    );
}

#[test]
fn a_mount_takes_the_place_of_what_airtight_mounts_there() {
    let host = Host::new();
    let dir = directory(&host, "dir");
    let flags = [
        "-v",
        &volume(&dir.join("file"), "/etc/hosts"),
        "-v",
        &volume(&dir, "/dev/shm"),
        "-v",
        &volume(&dir, "/run"),
        "-v",
        &volume(&dir, "/sys/fs/cgroup:ro"),
    ];
    let script = "cat /etc/hosts /dev/shm/file /run/file /sys/fs/cgroup/file; ls /dev | wc -l";
    let plain = host.sh(&[], "ls /dev | wc -l");
    assert_eq!(
        host.sh(&flags, script),
        format!("dir\ndir\ndir\ndir\n{plain}")
    );
}

#[test]
fn the_host_s_own_dev_is_shown_as_it_is_and_not_changed() {
    let host = Host::new();
    let names = || {
        let entries = fs::read_dir("/dev").unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let before = names();
    let inside = host.sh(&["-v", "/dev:/dev"], "ls -A /dev");
    assert_eq!(inside.lines().collect::<Vec<_>>(), before);
    assert_eq!(names(), before);
}
