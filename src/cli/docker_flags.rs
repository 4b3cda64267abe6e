//! Flags of `docker run` that airtight does not have, and what its users do instead.
//!
//! The list is docker's own (docs.docker.com, "docker container run"); a flag that docker adds later
//! is merely unknown here.

const NETWORKS: &str =
    "this version has two networks: --network none (loopback only) and --network host";
const NAME_SERVICE: &str = "mount a file of your own, such as -v $PWD/resolv.conf:/etc/resolv.conf:ro or -v $PWD/hosts:/etc/hosts:ro";
const HEALTH: &str = "a task has no health checks, and those of images do not run; --timeout limits how long it may take";
const BLOCK_IO: &str = "this version limits block I/O by --blkio-weight only";
const NO_VOLUMES: &str =
    "airtight keeps no named volumes: -v HOST:CONTAINER shows a directory of the host";
const WINDOWS: &str = "it is for Windows";
const ABSENT: &str = "this version has nothing in its place";

const ADVICE: &[(&[&str], &str)] = &[
    (&["--detach-keys"], ABSENT),
    (
        &["-a", "--attach"],
        "stdout and stderr are always connected; -i connects stdin",
    ),
    (
        &["--sig-proxy"],
        "signals always go to the payload; leave it out",
    ),
    (
        &["--restart"],
        "let systemd do it: Restart= in the unit that starts airtight",
    ),
    (
        &[
            "-p",
            "--publish",
            "-P",
            "--publish-all",
            "--expose",
            "--link",
            "--link-local-ip",
            "--ip",
            "--ip6",
            "--mac-address",
            "--network-alias",
            "--net-alias",
        ],
        NETWORKS,
    ),
    (
        &[
            "--dns",
            "--dns-opt",
            "--dns-option",
            "--dns-search",
            "--add-host",
        ],
        NAME_SERVICE,
    ),
    (&["--domainname"], "--hostname takes a name with dots"),
    (
        &["--gpus"],
        "--device makes device nodes available, such as --device /dev/nvidia0",
    ),
    (
        &["--pull"],
        "a run never pulls in this version: airtight image pull IMAGE comes before it",
    ),
    (
        &["--platform"],
        "the image for this host runs; airtight image pull --platform fetches another",
    ),
    (
        &["--disable-content-trust"],
        "every image is compared with its digest, and signatures are not checked; leave it out",
    ),
    (
        &["-q", "--quiet"],
        "nothing is printed but errors; leave it out",
    ),
    (
        &["--cgroup-parent"],
        "--cgroup-subpath names the parent cgroup",
    ),
    (
        &["--cgroupns"],
        "it is docker's default: private on cgroup v2, host on v1",
    ),
    (
        &["--cpu-quota", "--cpu-period"],
        "--cpus is quota divided by period",
    ),
    (
        &["--label-file"],
        "--label may be given any number of times",
    ),
    (&["--volumes-from", "--volume-driver"], NO_VOLUMES),
    (
        &[
            "--health-cmd",
            "--health-interval",
            "--health-retries",
            "--health-start-interval",
            "--health-start-period",
            "--health-timeout",
            "--no-healthcheck",
        ],
        HEALTH,
    ),
    (
        &[
            "--blkio-weight-device",
            "--device-read-bps",
            "--device-read-iops",
            "--device-write-bps",
            "--device-write-iops",
        ],
        BLOCK_IO,
    ),
    (
        &[
            "--isolation",
            "--cpu-count",
            "--cpu-percent",
            "--io-maxbandwidth",
            "--io-maxiops",
        ],
        WINDOWS,
    ),
    (
        &[
            "--annotation",
            "--cpu-rt-period",
            "--cpu-rt-runtime",
            "--device-cgroup-rule",
            "--kernel-memory",
            "--memory-swappiness",
            "--storage-opt",
            "--use-api-socket",
            "--userns",
        ],
        ABSENT,
    ),
];

/// What to do instead of `flag`, which is spelled as docker spells it.
pub fn advice(flag: &str) -> Option<&'static str> {
    let found = ADVICE.iter().find(|(flags, _)| flags.contains(&flag));
    found.map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_is_both_ours_and_absent() {
        let run = crate::cli::command();
        let run = run.find_subcommand("run").unwrap();
        for flag in ADVICE.iter().flat_map(|(flags, _)| *flags) {
            let ours = run.get_arguments().any(|arg| {
                let longs = arg.get_long_and_visible_aliases().unwrap_or_default();
                let letters = arg.get_short_and_visible_aliases().unwrap_or_default();
                longs.iter().any(|long| *flag == format!("--{long}"))
                    || letters.iter().any(|letter| *flag == format!("-{letter}"))
            });
            assert!(!ours, "{flag}");
        }
    }

    #[test]
    fn each_flag_is_listed_once() {
        let mut flags: Vec<_> = ADVICE.iter().flat_map(|(flags, _)| *flags).collect();
        let all = flags.len();
        flags.sort();
        flags.dedup();
        assert_eq!(flags.len(), all);
    }
}
