//! Amounts of memory, written as docker's users write them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::Invalid;

/// A number of bytes. `b`, `k`, `m`, `g`, `t` and `p` in either case, with or without `b` or `ib`
/// behind, are powers of 1024; fractions are allowed (`1.5g`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bytes(pub u64);

/// Bigger amounts do not fit the kernel's signed 64-bit files.
const MAX: f64 = i64::MAX as f64;

impl FromStr for Bytes {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &lower[digits.len()..];
        let exponent = match unit
            .strip_suffix("ib")
            .or(unit.strip_suffix('b'))
            .unwrap_or(unit)
        {
            "" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            "p" => 5,
            _ => {
                return Err(Invalid::new(format!(
                    "unknown unit {unit:?}; use b, k, m, g, t or p"
                )));
            }
        };
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let number: f64 = match digits.parse() {
            Ok(number) if plain => number,
            _ if digits.starts_with('-') => return Err(Invalid::new("it must not be negative")),
            _ => {
                return Err(Invalid::new(
                    "a number with an optional unit is needed, such as 512m",
                ));
            }
        };
        let bytes = number * 1024f64.powi(exponent);
        if bytes >= MAX {
            return Err(Invalid::new("it is larger than the kernel can hold"));
        }
        // Checked above: not negative and below 2^63.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["", "k", "m", "g", "t", "p"];
        let exponent = (1..units.len()).rev().find(|&e| {
            let unit = 1u64 << (10 * e);
            self.0 >= unit && self.0.is_multiple_of(unit)
        });
        let exponent = exponent.unwrap_or(0);
        write!(f, "{}{}", self.0 >> (10 * exponent), units[exponent])
    }
}

/// Memory and swap together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapLimit {
    /// `-1`: as much swap as the host has.
    Unlimited,
    /// At most this much memory and swap.
    Total(Bytes),
}

impl FromStr for SwapLimit {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.trim() {
            "-1" => Ok(Self::Unlimited),
            other => other.parse().map(Self::Total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("1k", 1024),
            ("64M", 64 << 20),
            ("1.5g", 3 << 29),
            ("2GiB", 2 << 30),
            ("10kb", 10240),
        ] {
            assert_eq!(text.parse::<Bytes>().unwrap().0, bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "", "m", "-1", "1e9", "1x", "9999999p", "inf", "nan", "1.2.3", "0x10", "1 2",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn display_uses_the_largest_whole_unit() {
        assert_eq!(Bytes(64 << 20).to_string(), "64m");
        assert_eq!(Bytes(1536).to_string(), "1536");
        assert_eq!(Bytes(0).to_string(), "0");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = text.parse::<Bytes>();
        }

        #[test]
        fn what_is_displayed_reads_back(bytes in 0u64..1 << 50) {
            prop_assert_eq!(Bytes(bytes).to_string().parse::<Bytes>().unwrap(), Bytes(bytes));
        }
    }
}
