//! How verbs print that go on for ever: for people, or one JSON object on a line.

use clap::builder::{EnumValueParser, PossibleValue};
use clap::{Arg, ArgMatches, ValueEnum};
use serde::Serialize;

use crate::failure::{Context, Kind, Result};

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl ValueEnum for Lines {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").alias("table"),
            Self::Json => PossibleValue::new("json"),
        })
    }
}

impl Lines {
    /// The flag `--format`.
    pub fn arg() -> Arg {
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .default_value("text")
            .value_parser(EnumValueParser::<Self>::new())
            .help("How to print")
    }

    /// What the flag says.
    pub fn of(matches: &ArgMatches) -> Self {
        let format = matches.get_one::<Self>("format").copied();
        format.unwrap_or(Self::Text)
    }
}

/// One line of JSON.
pub fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).or_fail(Kind::Host, || "cannot write JSON")?;
    Ok(text + "\n")
}
