//! Resource limits (setrlimit(2)).

use std::str::FromStr;

use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};

use super::{Invalid, split_pair};

/// The names that docker gives them.
const KINDS: &[(&str, PosixRlimitType)] = &[
    ("as", PosixRlimitType::RlimitAs),
    ("core", PosixRlimitType::RlimitCore),
    ("cpu", PosixRlimitType::RlimitCpu),
    ("data", PosixRlimitType::RlimitData),
    ("fsize", PosixRlimitType::RlimitFsize),
    ("locks", PosixRlimitType::RlimitLocks),
    ("memlock", PosixRlimitType::RlimitMemlock),
    ("msgqueue", PosixRlimitType::RlimitMsgqueue),
    ("nice", PosixRlimitType::RlimitNice),
    ("nofile", PosixRlimitType::RlimitNofile),
    ("nproc", PosixRlimitType::RlimitNproc),
    ("rss", PosixRlimitType::RlimitRss),
    ("rtprio", PosixRlimitType::RlimitRtprio),
    ("rttime", PosixRlimitType::RlimitRttime),
    ("sigpending", PosixRlimitType::RlimitSigpending),
    ("stack", PosixRlimitType::RlimitStack),
];

/// One limit; `u64::MAX` is the kernel's RLIM_INFINITY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "setrlimit(2)'s own words")]
pub struct Ulimit {
    pub kind: PosixRlimitType,
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
        let lower = name.to_ascii_lowercase();
        let kind = KINDS
            .iter()
            .find(|(known, _)| *known == lower)
            .map(|(_, kind)| *kind)
            .ok_or_else(|| {
                let known: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
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

impl From<Ulimit> for PosixRlimit {
    fn from(limit: Ulimit) -> Self {
        let rlimit = PosixRlimitBuilder::default()
            .typ(limit.kind)
            .hard(limit.hard)
            .soft(limit.soft)
            .build();
        // The builder fails only for a field without a value, and each has one.
        rlimit.expect("every field is set")
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
            (limit.kind, limit.soft, limit.hard),
            (PosixRlimitType::RlimitNofile, 1024, 1024)
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
