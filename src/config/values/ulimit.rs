//! Resource limits (setrlimit(2)).

use std::str::FromStr;

use serde::Serialize;

use super::{Invalid, split_pair};

/// Which resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UlimitKind(&'static str);

/// docker's names beside those of the OCI runtime spec ("POSIX process", rlimits).
const KINDS: &[(&str, &str)] = &[
    ("as", "RLIMIT_AS"),
    ("core", "RLIMIT_CORE"),
    ("cpu", "RLIMIT_CPU"),
    ("data", "RLIMIT_DATA"),
    ("fsize", "RLIMIT_FSIZE"),
    ("locks", "RLIMIT_LOCKS"),
    ("memlock", "RLIMIT_MEMLOCK"),
    ("msgqueue", "RLIMIT_MSGQUEUE"),
    ("nice", "RLIMIT_NICE"),
    ("nofile", "RLIMIT_NOFILE"),
    ("nproc", "RLIMIT_NPROC"),
    ("rss", "RLIMIT_RSS"),
    ("rtprio", "RLIMIT_RTPRIO"),
    ("rttime", "RLIMIT_RTTIME"),
    ("sigpending", "RLIMIT_SIGPENDING"),
    ("stack", "RLIMIT_STACK"),
];

impl UlimitKind {
    /// The kind that docker calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        KINDS
            .iter()
            .find(|(docker, _)| *docker == lower)
            .map(|(_, oci)| Self(oci))
    }

    /// The OCI name, such as `RLIMIT_NOFILE`.
    pub fn oci(self) -> &'static str {
        self.0
    }
}

/// One limit; `u64::MAX` is the kernel's RLIM_INFINITY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "setrlimit(2)'s own words")]
pub struct Ulimit {
    pub kind: UlimitKind,
    pub soft: u64,
    pub hard: u64,
}

impl FromStr for Ulimit {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, Some(limits)) = split_pair(text) else {
            return Err(Invalid::new(
                "NAME=SOFT[:HARD] is needed, such as nofile=1024:4096",
            ));
        };
        let kind = UlimitKind::named(name).ok_or_else(|| {
            let known: Vec<_> = KINDS.iter().map(|(docker, _)| *docker).collect();
            Invalid::new(format!(
                "unknown resource {name:?}; known are {}",
                known.join(", ")
            ))
        })?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (amount(soft)?, amount(hard)?);
        if soft > hard {
            return Err(Invalid::new("the soft limit is above the hard one"));
        }
        Ok(Self { kind, soft, hard })
    }
}

fn amount(text: &str) -> Result<u64, Invalid> {
    match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        _ => text
            .parse()
            .map_err(|_| Invalid::new("limits are whole numbers, or -1 for unlimited")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_both_limits() {
        let limit: Ulimit = "nofile=1024".parse().unwrap();
        assert_eq!(
            (limit.kind.oci(), limit.soft, limit.hard),
            ("RLIMIT_NOFILE", 1024, 1024)
        );
        let limit: Ulimit = "core=0:-1".parse().unwrap();
        assert_eq!((limit.soft, limit.hard), (0, u64::MAX));
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for bad in [
            "",
            "nofile",
            "nofile=",
            "nofile=a",
            "nofile=5:4",
            "bogus=1",
            "nofile=1:2:3",
            "nofile=-2",
        ] {
            assert!(bad.parse::<Ulimit>().is_err(), "{bad}");
        }
    }
}
