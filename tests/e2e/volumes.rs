//! The image's VOLUME, anonymous volumes, and the read-only root file system.

use std::fs;
use std::path::Path;

use super::support::Host;

/// Docker fills an anonymous volume from the image and removes it with `--rm`.
#[test]
fn an_image_s_volume_is_filled_from_the_image_and_removed_after_the_run() {
    let host = Host::with(&["kitchen"]);
    let script = "cat /data/seed.txt; stat -c '%u:%g' /data /data/seed.txt; echo more >/data/more && ls /data
        grep -c ' /data ' /proc/self/mountinfo";
    let command = ["--entrypoint", "", "kitchen:test", "sh", "-c", script];
    let expected = "seed\n1000:1000\n1000:1000\nmore\nseed.txt\n1\n";
    assert_eq!(host.run(&command).ok(), expected);
    assert_eq!(
        host.run(&[&["--read-only"][..], &command].concat()).ok(),
        expected
    );
    host.assert_clean();
    let volumes = fs::read_dir(host.data().join("volumes"));
    assert_eq!(volumes.map_or(0, Iterator::count), 0);
}

#[test]
fn an_anonymous_volume_of_one_s_own_is_filled_too() {
    let host = Host::new();
    for option in [["-v", "/home"], ["--mount", "type=volume,target=/home"]] {
        let script = "ls -A /home; stat -c '%u:%g' /home/app; echo x >/home/x && grep -c ' /home ' /proc/self/mountinfo";
        assert_eq!(host.sh(&option, script), "app\n1000:1000\n1\n");
    }
    assert_eq!(
        host.sh(
            &["-v", "/new/place"],
            "ls -A /new/place; echo x >/new/place/x && echo made"
        ),
        "made\n"
    );
}

#[test]
fn a_mount_of_one_s_own_takes_the_place_of_the_image_s_volume() {
    let host = Host::with(&["kitchen"]);
    let dir = host.path("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("mine"), "").unwrap();
    let volume = format!("{}:/data", dir.display());
    for (flags, expected) in [(["-v", &volume], "mine\n"), (["--tmpfs", "/data"], "")] {
        let command = ["--entrypoint", "", "kitchen:test", "ls", "-A", "/data"];
        assert_eq!(host.run(&[&flags[..], &command].concat()).ok(), expected);
    }
}

#[test]
fn a_volume_that_leads_out_of_the_image_is_refused() {
    let host = Host::with(&["odd-volume", "odd-volume-relative"]);
    for image in ["odd-volume:test", "odd-volume-relative:test"] {
        host.run(&[image, "true"]).refused(&["VOLUME", image]);
    }
    assert!(!Path::new("/etc/odd").exists());
}

#[test]
fn with_a_read_only_root_only_volumes_and_memory_can_be_written() {
    let host = Host::new();
    let dir = host.path("dir");
    fs::create_dir(&dir).unwrap();
    let volume = format!("{}:/vol", dir.display());
    let script = "for path in / /tmp /bin /vol /mem /dev /dev/shm /dev/mqueue; do
        if touch $path/new 2>/dev/null; then echo $path writable; else echo $path; fi
    done";
    let flags = ["--read-only", "-v", &volume, "--tmpfs", "/mem"];
    let expected = "/\n/tmp\n/bin\n/vol writable\n/mem writable\n/dev writable\n/dev/shm writable\n/dev/mqueue writable\n";
    assert_eq!(host.sh(&flags, script), expected);
    assert_eq!(host.sh(&["--read-only", "-w", "/tmp"], "pwd"), "/tmp\n");
}
