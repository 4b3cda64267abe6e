//! Who the payload is: `--user` and `--group-add`, resolved in the image's own files.

use super::support::Host;

/// (The id of busybox complains of malformed lines.)
const WHO: &str = "for of in u g G; do id -$of 2>/dev/null; done; echo $HOME";

#[test]
fn users_and_groups_are_names_or_numbers() {
    let host = Host::new();
    for (flags, expected) in [
        (&[][..], "0 0 0 /root"),
        (&["-u", "app"], "1000 1000 1000 2000 /home/app"),
        (&["-u", "1000"], "1000 1000 1000 2000 /home/app"),
        (&["-u", "app:nogroup"], "1000 65534 65534 /home/app"),
        (&["-u", "4242:4343"], "4242 4343 4343 /"),
        (&["-u", "4242"], "4242 0 0 /"),
        (
            &["-u", "app", "--group-add", "nogroup", "--group-add", "77"],
            "1000 1000 77 1000 2000 65534 /home/app",
        ),
    ] {
        let who = host.sh(flags, WHO).replace('\n', " ");
        let mut words: Vec<&str> = who.split_whitespace().collect();
        let mut expected: Vec<&str> = expected.split(' ').collect();
        // The order of supplementary groups is the kernel's.
        for words in [&mut words, &mut expected] {
            let last = words.len() - 1;
            words[2..last].sort_unstable();
        }
        assert_eq!(words, expected, "{flags:?}");
    }
}

#[test]
fn a_user_that_cannot_be_is_refused_before_anything_exists() {
    let host = Host::new();
    // Docker takes an absent user, as in ":2000", for root; we want it said.
    for bad in [
        "2147483648",
        "4294967296",
        "-1",
        "0:0:0",
        "",
        "0:-1",
        "0:4294967296",
        ":",
        ":2000",
    ] {
        host.run(&["-u", bad, "busybox:test", "true"])
            .refused(&["--user"]);
    }
    host.run(&["--group-add", "-1", "busybox:test", "true"])
        .refused(&["--group-add"]);
    host.run(&["-u", "nosuch", "busybox:test", "true"])
        .refused(&["\"nosuch\"", "/etc/passwd"]);
    host.run(&["-u", "0:nosuch", "busybox:test", "true"])
        .refused(&["\"nosuch\"", "/etc/group"]);
}

#[test]
fn malformed_lines_of_the_image_s_files_make_nobody_root() {
    let host = Host::with(&["odd-passwd", "odd-user"]);
    // The gecos field of `good` has a colon, so what follows it counts as the home, as with Docker.
    let who = |user: &str| host.run(&["-u", user, "odd-passwd:test", "sh", "-c", WHO]);
    assert_eq!(who("good").ok(), "1234\n4321\n4321\nmore\n");
    assert_eq!(who("1234").ok(), "1234\n4321\n4321\nmore\n");
    for user in ["app", "root", "neg"] {
        who(user).refused(&[user, "/etc/passwd"]);
    }
    assert_eq!(who("0").ok(), "0\n0\n0\n/\n");
    host.run(&["odd-user:test", "true"])
        .refused(&["USER", "0:0:0", "odd-user"]);
    assert_eq!(
        host.run(&["-u", "0", "odd-user:test", "id", "-u"]).ok(),
        "0\n"
    );
}

#[test]
fn links_in_the_image_stay_in_the_image() {
    let host = Host::with(&["odd-passwd-link", "odd-passwd-inside", "odd-etc-link"]);
    // `inner` is known only to the file behind the image's own absolute link.
    let inner = host.run(&["-u", "inner", "odd-passwd-inside:test", "sh", "-c", WHO]);
    assert_eq!(inner.ok(), "4242\n4242\n4242\n/inner\n");
    // Followed on the host, this link would lead to the host's own passwd, which has `daemon`.
    host.run(&["-u", "daemon", "odd-passwd-link:test", "true"])
        .refused(&["/etc/passwd"]);
    host.run(&["-u", "daemon", "odd-etc-link:test", "true"])
        .refused(&["/etc/passwd"]);
}

#[test]
fn a_fifo_in_place_of_the_user_file_is_refused_and_does_not_hang() {
    let host = Host::with(&["odd-passwd-fifo"]);
    host.run(&["-u", "app", "odd-passwd-fifo:test", "true"])
        .refused(&["/etc/passwd", "not a regular file"]);
}

#[test]
fn a_strict_umask_of_ours_keeps_no_user_inside_from_its_files() {
    let host = Host::new();
    let script =
        "cat /etc/hosts /etc/hostname /etc/resolv.conf >/dev/null && ls /data && echo fine";
    let args = [
        "run",
        "-u",
        "4242",
        "-v",
        "/data",
        "busybox:test",
        "sh",
        "-c",
        script,
    ];
    assert_eq!(host.after("umask 077", &args).ok(), "fine\n");
}
