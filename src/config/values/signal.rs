//! Signal numbers.

use nix::libc;
use nix::sys::signal::Signal;

use super::Invalid;

/// A signal by number or name, with or without `SIG`, in either case; real-time signals as
/// `RTMIN`, `RTMIN+3`, `RTMAX-1`.
pub fn signal_number(text: &str) -> Result<i32, Invalid> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if let Ok(number) = name.parse::<i32>() {
        Some(number)
    } else if let Some(offset) = name.strip_prefix("RTMIN") {
        real_time(offset, '+').and_then(|offset| libc::SIGRTMIN().checked_add(offset))
    } else if let Some(offset) = name.strip_prefix("RTMAX") {
        real_time(offset, '-').and_then(|offset| libc::SIGRTMAX().checked_sub(offset))
    } else {
        format!("SIG{name}")
            .parse::<Signal>()
            .ok()
            .map(|signal| signal as i32)
    };
    let range = 1..=libc::SIGRTMAX();
    let unknown =
        || Invalid::new("no such signal; use a name such as TERM or a number from 1 to 64");
    number
        .filter(|number| range.contains(number))
        .ok_or_else(unknown)
}

fn real_time(offset: &str, sign: char) -> Option<i32> {
    if offset.is_empty() {
        Some(0)
    } else {
        offset.strip_prefix(sign)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_signals() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGKILL", 9),
            ("sigint", 2),
            ("15", 15),
            ("RTMIN+3", 37),
        ] {
            assert_eq!(signal_number(text).unwrap(), number, "{text}");
        }
        for bad in [
            "",
            "0",
            "65",
            "-9",
            "FOO",
            "RTMIN+99",
            "RTMIN3",
            "2147483648",
        ] {
            assert!(signal_number(bad).is_err(), "{bad}");
        }
    }
}
