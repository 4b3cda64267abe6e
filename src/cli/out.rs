//! Results on standard output: text, tables and JSON; and on standard error what people should know.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::builder::{EnumValueParser, PossibleValue};
use clap::{Arg, ArgMatches, ValueEnum};
use comfy_table::ContentArrangement;
use serde::Serialize;

use crate::failure::{Context, Kind, Result};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Data(Notation),
}

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// RFC 8259, indented.
    Json,
    /// YAML 1.2.
    Yaml,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Table,
            Self::Data(Notation::Json),
            Self::Data(Notation::Yaml),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Table => PossibleValue::new("table").alias("text"),
            Self::Data(Notation::Json) => PossibleValue::new("json"),
            Self::Data(Notation::Yaml) => PossibleValue::new("yaml"),
        })
    }
}

impl Format {
    /// The flag `--format`.
    pub fn arg() -> Arg {
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .default_value("table")
            .value_parser(EnumValueParser::<Self>::new())
            .help("How to print")
    }

    /// What the flag says.
    pub fn of(matches: &ArgMatches) -> Self {
        let format = matches.get_one::<Self>("format");
        format.copied().unwrap_or(Self::Table)
    }
}

/// Writes lines that quote others to standard output, with what would act on a terminal spelled out.
pub fn print_harmless(text: &str) -> Result<()> {
    print(&harmless(text))
}

/// Writes `text` to standard output. A reader that has gone (`| head`) is no failure.
pub fn print(text: &str) -> Result<()> {
    print_to_reader(text).map(|_| ())
}

/// Whether somebody reads our standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// As far as we know.
    There,
    /// Nobody will read more.
    Gone,
}

/// The same for what goes on for ever: who has gone needs no more.
pub fn print_to_reader(text: &str) -> Result<Reader> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        done => done.map(|()| Reader::There),
    }
    .or_fail(Kind::Host, || "cannot write to standard output")
}

/// Writes one line about ourselves to standard error. A reader that has gone is no reason to fail, let
/// alone to panic, as `eprintln!` would.
pub fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "airtight: {}", harmless(&line.to_string()));
}

/// With control characters spelled out: messages quote archives, images and runtimes, and none of
/// these is to move the cursor of our user's terminal.
fn harmless(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let columns = line.split('\t').map(harmless_cell);
        columns.collect::<Vec<_>>().join("\t")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same on one line and in one column.
fn harmless_cell(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            other if other.is_control() => shown.extend(other.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

/// Writes `value` as data.
pub fn print_data(value: &impl Serialize, notation: Notation) -> Result<()> {
    match notation {
        Notation::Json => print_json(value),
        Notation::Yaml => {
            let text =
                serde_saphyr::to_string(value).or_fail(Kind::Host, || "cannot write YAML")?;
            print(&text)
        }
    }
}

/// Writes `value` as indented JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).or_fail(Kind::Host, || "cannot write JSON")?;
    print(&format!("{text}\n"))
}

/// Narrower than this, a table is harder to read than long lines.
const NARROWEST: u16 = 60;

/// How many columns standard output has, where it is a terminal.
pub fn terminal_width() -> Option<u16> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(size.ws_col).filter(|columns| *columns >= NARROWEST)
}

/// Rows whose cells may quote others: each is one line, and cannot act on the terminal.
pub struct Table(comfy_table::Table);

impl Table {
    /// Adds a row below the others.
    pub fn add_row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter();
        self.0
            .add_row(cells.map(|cell| harmless_cell(cell.as_ref())));
    }

    /// Breaks the lines of wide cells, so that none is longer than `columns`.
    pub fn wrap_to(&mut self, columns: u16) {
        self.0
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns);
    }
}

/// A table as Docker prints them: no lines, columns three blanks apart.
pub fn table(header: &[&str]) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    Table(table)
}

/// The table's text, without the blanks that end its lines.
pub fn table_text(table: &Table) -> String {
    let lines = table.0.lines();
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::{harmless, table, table_text};

    #[test]
    fn a_message_cannot_act_on_the_terminal() {
        assert_eq!(
            harmless("a\x1b]0;title\x07\u{9b}2J\r\n\tb ü"),
            "a\\u{1b}]0;title\\u{7}\\u{9b}2J\\r\n\tb ü"
        );
    }
    #[test]
    fn a_cell_can_neither_act_on_the_terminal_nor_begin_a_line() {
        let mut images = table(&["NAME", "SIZE"]);
        images.add_row(["a\x1b[2J\nb\tc", "1"]);
        assert_eq!(
            table_text(&images),
            "NAME               SIZE\na\\u{1b}[2J\\nb\\tc   1\n"
        );
    }
}
