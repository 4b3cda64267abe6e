//! Numbers with a range, as the kernel or docker sets it.

use std::str::FromStr;

use serde::Serialize;

use super::Invalid;

fn integer<T: FromStr>(text: &str) -> Result<T, Invalid> {
    text.trim()
        .parse()
        .map_err(|_| Invalid::new("a whole number is needed, and one that is not too large"))
}

/// More than any host has; the plan compares with this one.
const MAX_CPUS: f64 = 1e6;

/// CPUs' worth of time, in thousandths of a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cpus {
    /// 1500 is one CPU and a half.
    pub thousandths: u64,
}

impl FromStr for Cpus {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number: f64 = text
            .trim()
            .parse()
            .map_err(|_| Invalid::new("a number is needed, such as 1.5"))?;
        if !(0.01..=MAX_CPUS).contains(&number) {
            return Err(Invalid::new(
                "it must be from 0.01 to the CPUs of this host",
            ));
        }
        // Checked above: between 0.01 and a million.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self {
            thousandths: (number * 1000.0).round() as u64,
        })
    }
}

/// Relative CPU weight (kernel, cgroup-v1/cpusets and sched docs: 2 to 262144).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CpuShares(pub u64);

impl FromStr for CpuShares {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match integer(text)? {
            shares @ 2..=262_144 => Ok(Self(shares)),
            _ => Err(Invalid::new("it must be from 2 to 262144")),
        }
    }
}

/// Most processes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PidsLimit {
    /// `-1` or `0`, as docker has it.
    Unlimited,
    /// At most this many.
    Most(u32),
}

impl FromStr for PidsLimit {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match integer::<i64>(text)? {
            -1 | 0 => Ok(Self::Unlimited),
            // The init and the payload.
            1 => Err(Invalid::new(
                "it must be at least 2: the init and the payload",
            )),
            limit => u32::try_from(limit)
                .map(Self::Most)
                .map_err(|_| Invalid::new("it must be -1, or from 2 to 4294967295")),
        }
    }
}

/// Relative block I/O weight; docker's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlkioWeight(pub u16);

impl FromStr for BlkioWeight {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match integer(text)? {
            weight @ (0 | 10..=1000) => Ok(Self(weight)),
            _ => Err(Invalid::new("it must be 0, or from 10 to 1000")),
        }
    }
}

/// The kernel's `oom_score_adj` (proc(5): -1000 to 1000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OomScoreAdj(pub i32);

impl FromStr for OomScoreAdj {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match integer(text)? {
            score @ -1000..=1000 => Ok(Self(score)),
            _ => Err(Invalid::new("it must be from -1000 to 1000")),
        }
    }
}

/// The highest number a list of CPUs or memory nodes may name.
const MAX_IN_LIST: u32 = 65_535;

/// Checks a list such as `0-2,7` (cpuset(7), "List format"); the text is handed on as it is.
pub fn cpu_list(text: &str) -> Result<String, Invalid> {
    let wrong = || Invalid::new("a list of numbers and ranges is needed, such as 0-2,7");
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let from: u32 = from.parse().map_err(|_| wrong())?;
        let to: u32 = to.parse().map_err(|_| wrong())?;
        if from > to || to > MAX_IN_LIST {
            return Err(wrong());
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_keeps_its_range() {
        assert_eq!("1.5".parse::<Cpus>().unwrap().thousandths, 1500);
        for bad in ["0", "-1", "0.001", "x", "1e9", "nan"] {
            assert!(bad.parse::<Cpus>().is_err(), "{bad}");
        }
        assert_eq!("-1".parse(), Ok(PidsLimit::Unlimited));
        assert_eq!("64".parse(), Ok(PidsLimit::Most(64)));
        for bad in ["1", "-2", "4294967296", "1e9", ""] {
            assert!(bad.parse::<PidsLimit>().is_err(), "{bad}");
        }
        assert!("1".parse::<CpuShares>().is_err());
        assert!("9".parse::<BlkioWeight>().is_err());
        assert!("1001".parse::<OomScoreAdj>().is_err());
    }

    #[test]
    fn a_cpu_list_is_numbers_and_rising_ranges() {
        assert!(cpu_list("0-2,7").is_ok());
        for bad in ["", "a", "3-1", "0,", "-1", "0-", "1-99999999"] {
            assert!(cpu_list(bad).is_err(), "{bad}");
        }
    }
}
