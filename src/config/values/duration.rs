//! Spans of time.

use std::time::Duration;

use super::Invalid;

/// The longest span taken; beyond it arithmetic on clocks may overflow.
const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Seconds as a bare number (`20`, `0.5`), or with units (`90s`, `1h 30m`, `500ms`).
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let text = text.trim();
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| Invalid::new("it must be a span of time that is not negative"))?,
        Err(_) => humantime::parse_duration(text).map_err(|_| {
            Invalid::new("seconds are needed, or a number with a unit, such as 90s, 2m or 1h")
        })?,
    };
    if parsed > MAX {
        return Err(Invalid::new("it is longer than a hundred years"));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds() {
        assert_eq!(duration("20").unwrap(), Duration::from_secs(20));
        assert_eq!(duration("0.5").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1m 30s").unwrap(), Duration::from_secs(90));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "-1", "nan", "inf", "1e400", "ten", "5 parsecs", "1e12"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}
