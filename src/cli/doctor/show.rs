//! The report as a table for people and as a document for programs.

use std::io::IsTerminal;

use serde::Serialize;

use super::finding::{Finding, State};
use crate::cli::out;

/// Where the table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Lines are wrapped to it.
    width: Option<u16>,
    colour: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Plain,
    Ansi,
}

impl Screen {
    /// Standard output: wrapped and coloured on a terminal only; NO_COLOR set to anything means none
    /// (no-color.org).
    pub fn stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self {
                width: None,
                colour: Colour::Plain,
            };
        }
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            width: out::terminal_width(),
            colour: if unwanted {
                Colour::Plain
            } else {
                Colour::Ansi
            },
        }
    }
}

/// The state comes first, so that it can be coloured without disturbing the columns.
pub fn table(findings: &[Finding], screen: Screen) -> String {
    let mut table = out::table(&["STATE", "CHECK", "FOUND", "MEANING"]);
    if let Some(width) = screen.width {
        table.wrap_to(width);
    }
    for finding in findings {
        table.add_row(finding.cells());
    }
    let text = out::table_text(&table);
    match screen.colour {
        Colour::Plain => text,
        Colour::Ansi => text.lines().map(coloured).collect(),
    }
}

/// ECMA-48, SGR: green, yellow, red.
fn coloured(line: &str) -> String {
    let states = [
        (State::Ok, "32"),
        (State::Warn, "33"),
        (State::Missing, "31"),
    ];
    for (state, code) in states {
        if let Some(rest) = line.strip_prefix(state.word())
            && rest.starts_with(' ')
        {
            return format!("\x1b[{code}m{}\x1b[0m{rest}\n", state.word());
        }
    }
    format!("{line}\n")
}

/// The report for programs.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// airtight can run containers here.
    usable: bool,
    checks: &'a [Finding],
}

/// The report for programs.
pub fn document(findings: &[Finding]) -> Document<'_> {
    Document {
        usable: !findings.iter().any(Finding::is_fatal),
        checks: findings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 2] {
        [
            Finding::ok("kernel", "Linux 6.1.0"),
            Finding::missing("runtime", "none on PATH")
                .advice("install runc")
                .required(),
        ]
    }

    fn shown(colour: Colour, width: Option<u16>) -> String {
        table(&findings(), Screen { width, colour })
    }

    #[test]
    fn the_table_says_state_check_finding_and_meaning() {
        let text = shown(Colour::Plain, None);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("STATE"));
        assert_eq!(lines[1], "ok        kernel    Linux 6.1.0");
        assert!(lines[2].ends_with("install runc"), "{text}");
    }

    #[test]
    fn only_the_state_is_coloured() {
        let plain = shown(Colour::Plain, None);
        let ansi = shown(Colour::Ansi, None);
        assert!(ansi.contains("\x1b[31mmissing\x1b[0m "));
        let stripped = ["\x1b[31m", "\x1b[32m", "\x1b[0m"]
            .iter()
            .fold(ansi, |text, code| text.replace(code, ""));
        assert_eq!(stripped, plain);
    }

    #[test]
    fn lines_are_wrapped_to_the_terminal() {
        let long = [Finding::warn("x", "word ".repeat(50)).advice("more ".repeat(50))];
        let screen = Screen {
            width: Some(80),
            colour: Colour::Plain,
        };
        assert!(table(&long, screen).lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn programs_get_the_same_and_whether_the_host_is_usable() {
        let json = serde_json::to_value(document(&findings())).unwrap();
        let expected = serde_json::json!({
            "usable": false,
            "checks": [
                {"check": "kernel", "state": "ok", "found": "Linux 6.1.0"},
                {"check": "runtime", "state": "missing", "found": "none on PATH", "advice": "install runc"},
            ],
        });
        assert_eq!(json, expected);
    }
}
