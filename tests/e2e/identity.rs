//! Names and networks: host name, `/etc/hosts` and its like, namespaces, kernel parameters.

use super::support::{Host, this_host};

const HOSTS: &str = "127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

#[test]
fn the_host_name_is_the_id_s_start_or_the_name_or_as_asked() {
    let host = Host::new();
    let script = "hostname; cat /etc/hostname";
    let id = host.sh(&[], script);
    let first = id.lines().next().unwrap();
    assert!(
        first.len() == 12 && first.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(id, format!("{first}\n{first}\n"));
    assert_eq!(
        host.sh(&["-h", "box.example.org"], "hostname; cat /etc/hostname"),
        "box.example.org\nbox.example.org\n"
    );
    assert_eq!(host.sh(&["--name", "my_task.1"], "hostname"), "my-task-1\n");
    for bad in ["-x", "a..b", "a b", &"x".repeat(65)] {
        host.run(&["-h", bad, "busybox:test", "true"])
            .refused(&["--hostname"]);
    }
}

#[test]
fn with_uts_host_the_name_is_the_host_s_and_cannot_be_given() {
    let host = Host::new();
    let name = this_host::read("/proc/sys/kernel/hostname");
    assert_eq!(
        host.sh(&["--uts", "host"], "hostname; cat /etc/hostname"),
        format!("{name}\n{name}\n")
    );
    host.run(&["--uts", "host", "-h", "x", "busybox:test", "true"])
        .refused(&["--hostname", "--uts host"]);
}

#[test]
fn each_container_has_writable_hosts_and_resolver_files_of_its_own() {
    let host = Host::new();
    let before = this_host::read("/etc/resolv.conf");
    let script = "cat /etc/hosts
        for file in hosts hostname resolv.conf; do
            echo '# mine' >>/etc/$file && stat -c '%n %a %u:%g' /etc/$file && tail -n1 /etc/$file
        done";
    let files = ["hosts", "hostname", "resolv.conf"];
    let expected = files
        .map(|file| format!("/etc/{file} 644 0:0\n# mine\n"))
        .concat();
    assert_eq!(host.sh(&[], script), format!("{HOSTS}{expected}"));
    assert_eq!(this_host::read("/etc/resolv.conf"), before);

    let resolv = host.sh(&[], "cat /etc/resolv.conf");
    assert!(!resolv.contains("nameserver 127."), "{resolv}");
    for server in before
        .lines()
        .filter(|line| !line.starts_with("nameserver 127."))
    {
        assert!(resolv.contains(server), "{server:?} is not in {resolv:?}");
    }
}

/// Docker makes its three files read-only together with the root file system.
#[test]
fn with_a_read_only_root_the_three_files_cannot_be_written_either() {
    let host = Host::new();
    let script = "for path in /x /etc/hosts /etc/hostname /etc/resolv.conf; do
        (: >>$path) 2>&1 | sed 's/.*: //'
    done; echo in memory >/dev/shm/x && cat /dev/shm/x";
    let refused = "Read-only file system\n".repeat(4);
    assert_eq!(
        host.sh(&["--read-only"], script),
        format!("{refused}in memory\n")
    );
}

#[test]
fn without_a_network_there_is_only_the_loopback_device_and_it_is_up() {
    let host = Host::new();
    let script = "ls /sys/class/net; ip -o addr | awk '{ print $2, $4 }'; ping -c1 -w5 127.0.0.1 >/dev/null && echo up";
    assert_eq!(host.sh(&[], script), "lo\nlo 127.0.0.1/8\nlo ::1/128\nup\n");
}

#[test]
fn with_network_host_interfaces_names_and_files_are_the_host_s() {
    let host = Host::new();
    let mut devices: Vec<String> = std::fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    devices.sort();
    let name = this_host::read("/proc/sys/kernel/hostname");
    let script = "ls /sys/class/net | tr '\\n' ' '; readlink /proc/self/ns/net; hostname; cat /etc/hosts /etc/resolv.conf";
    let namespace = std::fs::read_link("/proc/self/ns/net").unwrap();
    let file = |path| std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        host.sh(&["--network", "host"], script),
        format!(
            "{} {}\n{name}\n{}{}",
            devices.join(" "),
            namespace.display(),
            file("/etc/hosts"),
            file("/etc/resolv.conf")
        )
    );
}

#[test]
fn modes_that_do_not_exist_yet_are_refused_by_name() {
    let host = Host::new();
    for (flag, mode) in [
        ("--network", "bridge"),
        ("--network", "container:x"),
        ("--pid", "container:x"),
        ("--ipc", "shareable"),
        ("--ipc", "container:x"),
        ("--uts", "bogus"),
        ("--network", "bogus"),
    ] {
        host.run(&[flag, mode, "busybox:test", "true"])
            .refused(&[flag, mode]);
    }
}

#[test]
fn a_new_network_has_docker_s_parameters_and_those_asked_for() {
    let host = Host::new();
    let script = "cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range
        cat net/core/somaxconn kernel/shmmni fs/mqueue/queues_max";
    let flags = [
        "--sysctl",
        "net.core.somaxconn=777",
        "--sysctl",
        "kernel.shmmni=55",
        "--sysctl",
        "fs.mqueue.queues_max=33",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=80",
    ];
    assert_eq!(host.sh(&flags, script), "80\n0\t2147483647\n777\n55\n33\n");
    assert_eq!(
        host.sh(&[], "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"),
        "0\n"
    );
}

#[test]
fn a_parameter_of_the_host_s_cannot_be_set() {
    let host = Host::new();
    for (flags, words) in [
        (&["--sysctl", "vm.swappiness=1"][..], "vm.swappiness"),
        (&["--sysctl", "kernel.hostname=x"], "kernel.hostname"),
        (
            &["--sysctl", "net.core.somaxconn=1", "--network", "host"],
            "--network host",
        ),
        (
            &["--sysctl", "kernel.shmmni=1", "--ipc", "host"],
            "--ipc host",
        ),
        (&["--sysctl", "net.core.somaxconn"], "NAME=VALUE"),
    ] {
        host.run(&[flags, &["busybox:test", "true"]].concat())
            .refused(&["--sysctl", words]);
    }
    host.run(&["--sysctl", "net.no.such=1", "busybox:test", "true"])
        .refused(&["net"]);
}

#[test]
fn processes_of_the_host_are_seen_with_pid_host_alone() {
    let host = Host::new();
    let ours = std::process::id();
    let script =
        format!("[ -e /proc/{ours}/comm ] && cat /proc/{ours}/comm; readlink /proc/self/ns/pid");
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let name = this_host::read("/proc/self/comm");
    assert_eq!(
        host.sh(&["--pid", "host"], &script),
        format!("{name}\n{}\n", namespace.display())
    );
    let alone = host.sh(
        &[],
        "ls /proc | grep -c '^[0-9]'; readlink /proc/self/ns/pid",
    );
    let (count, own) = alone.split_once('\n').unwrap();
    assert!(count.parse::<u32>().unwrap() <= 5, "{alone}");
    assert_ne!(own.trim(), namespace.to_str().unwrap());
}
