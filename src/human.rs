//! Sizes and times as people read them, in Docker's form: numbers in, words out, nothing printed.

use std::time::{Duration, SystemTime};

/// A size in Docker's form: three significant digits, powers of a thousand (`4.26MB`).
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut text = significant(value);
    for unit in UNITS {
        // Rounding first: 999.9 kB is 1 MB, not 1000 kB.
        if text != "1000" && value < 1000.0 {
            return format!("{text}{unit}");
        }
        value /= 1000.0;
        text = significant(value);
    }
    // u64::MAX is 18 EB: the loop has returned.
    format!("{bytes}B")
}

/// A size of memory in Docker's form: powers of 1024 (`4.06MiB`).
pub fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    for unit in UNITS {
        if value < 1023.5 {
            return format!("{}{unit}", significant(value));
        }
        value /= 1024.0;
    }
    format!("{}EiB", significant(value))
}

/// Three significant digits, without trailing zeros.
fn significant(value: f64) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// How long ago something was, in Docker's words (`3 weeks ago`).
pub fn ago(then: SystemTime, now: SystemTime) -> String {
    match now.duration_since(then) {
        Ok(passed) => format!("{} ago", duration(passed)),
        Err(_) => "in the future".to_owned(),
    }
}

/// How long something has gone on, in Docker's words (`3 weeks`).
pub fn since(then: SystemTime, now: SystemTime) -> String {
    duration(now.duration_since(then).unwrap_or_default())
}

/// A duration in one unit, rounded down, as Docker's units package words it.
fn duration(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (seconds, minutes, hours) {
        (0, ..) => "less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "about a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (.., 1) => "about an hour".to_owned(),
        (.., 2..48) => format!("{hours} hours"),
        (.., 48..336) => format!("{} days", hours / 24),
        (.., 336..1440) => format!("{} weeks", hours / 24 / 7),
        (.., 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_significant_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (4_261_550, "4.26MB"),
            (72_840_000, "72.8MB"),
            (133_400_000, "133MB"),
            (999_999, "1MB"),
            (1_040_000_000, "1.04GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn sizes_of_memory_are_powers_of_1024() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (4_261_550, "4.06MiB"),
            (512 << 20, "512MiB"),
            ((1 << 30) - 1, "1GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(binary_size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn ages_are_worded_as_docker_words_them() {
        const HOUR: u64 = 3600;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000 * HOUR);
        for (seconds, text) in [
            (0, "less than a second ago"),
            (59, "59 seconds ago"),
            (60, "about a minute ago"),
            (47 * HOUR, "47 hours ago"),
            (48 * HOUR, "2 days ago"),
            (15 * 24 * HOUR, "2 weeks ago"),
            (90 * 24 * HOUR, "3 months ago"),
            (800 * 24 * HOUR, "2 years ago"),
        ] {
            assert_eq!(ago(now - Duration::from_secs(seconds), now), text);
        }
        assert_eq!(ago(now + Duration::from_secs(1), now), "in the future");
    }
}
