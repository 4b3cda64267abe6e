//! Points in time as docker's users write them: `2026-11-21T18:04:05Z`, `10m` (ago), `1700000000.5`.

use std::time::{Duration, SystemTime};

use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;

/// Reads one; `now` is what spans are counted back from.
pub fn point(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let text = text.trim();
    let found = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
        Err(_) => match span(text) {
            Some(ago) => now.checked_sub(ago),
            None => date(text),
        },
    };
    found.ok_or_else(|| {
        "a time such as 2026-11-21T18:04:05Z, a span such as 10m or 1h30m, or seconds since 1970 are needed"
            .to_owned()
    })
}

/// Go's durations: numbers with units, the largest first or not, without blanks.
fn span(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ms", 1e-3),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ns", 1e-9),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        seconds += number * factor;
        rest = behind.strip_prefix(unit)?;
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

/// RFC 3339, with or without a time of day and a zone; without one it is local time, as TZ or /etc/localtime says.
pub fn date(text: &str) -> Option<SystemTime> {
    date_in(text, TimeZone::system)
}

fn date_in(text: &str, here: impl FnOnce() -> TimeZone) -> Option<SystemTime> {
    let pieces = Pieces::parse(text).ok()?;
    let time = pieces.time().unwrap_or(Time::midnight());
    let zone = match pieces.to_numeric_offset() {
        Some(offset) => TimeZone::fixed(offset),
        None => pieces.to_time_zone().ok()?.unwrap_or_else(here),
    };
    let point = zone.to_timestamp(pieces.date().to_datetime(time)).ok()?;
    Some(point.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since_1970(point: SystemTime) -> f64 {
        let since = point.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs_f64()
    }

    fn seconds(text: &str) -> Option<f64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        point(text, now).ok().map(since_1970)
    }

    #[test]
    fn a_span_counts_back_from_now() {
        assert_eq!(seconds("10m"), Some(999_400.0));
        assert_eq!(seconds("1h30m"), Some(994_600.0));
        assert_eq!(seconds("1.5h"), Some(994_600.0));
        assert_eq!(seconds("500ms"), Some(999_999.5));
    }

    #[test]
    fn a_point_is_rfc_3339_or_unix_seconds() {
        for text in [
            "1500000000",
            "1500000000.0",
            "2017-07-14T02:40:00Z",
            "2017-07-14T02:40Z",
            "2017-07-14 02:40:00.0z",
            "2017-07-14T04:40:00+02:00",
            "2017-07-13T21:10:00-05:30",
        ] {
            assert_eq!(seconds(text), Some(1_500_000_000.0), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_local() {
        // Summer in Berlin, and the hour that there is not as its clocks are put forward.
        let zone = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let seconds = |text| date_in(text, zone).map(since_1970);
        for text in ["2017-07-14T04:40:00", "2017-07-14T04:40"] {
            assert_eq!(seconds(text), Some(1_500_000_000.0), "{text}");
        }
        assert_eq!(seconds("2017-07-14"), Some(1_499_983_200.0));
        assert_eq!(seconds("2017-07-14T02:40:00Z"), Some(1_500_000_000.0));
        assert_eq!(seconds("2017-03-26T02:30"), seconds("2017-03-26T03:30"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "10 m",
            "m",
            "-5",
            "1x",
            "2017-99-99",
            "1h-",
        ] {
            assert!(seconds(text).is_none(), "{text}");
        }
    }
}
