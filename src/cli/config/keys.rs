//! `airtight config keys`: every runtime key, as a table, as data, or as the page `docs/keys.md`.
//!
//! In: the table of keys and, where airflow.cfg sets ceilings, what they are here. The page says what
//! holds everywhere, so that it does not depend on the machine it is made on.

mod page;

use clap::builder::{EnumValueParser, PossibleValue};
use clap::{ArgMatches, Command, ValueEnum};
use serde_json::{Map, Value, json};

use super::super::out::{self, Format, Notation};
use crate::config::airflow_cfg::{AirflowConfig, Environment};
use crate::config::ceilings::{self, Ceilings};
use crate::config::{Key, Profile, Shape, keys};
use crate::failure::Result;

/// How keys are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeysFormat {
    /// As any result is.
    Plain(Format),
    /// The page `docs/keys.md`.
    Markdown,
}

impl ValueEnum for KeysFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Plain(Format::Table),
            Self::Plain(Format::Data(Notation::Json)),
            Self::Plain(Format::Data(Notation::Yaml)),
            Self::Markdown,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Plain(format) => format.to_possible_value(),
            Self::Markdown => Some(PossibleValue::new("markdown")),
        }
    }
}

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("keys")
        .about("Lists every runtime key, its type, its default, and what a metadata file may set")
        .arg(Format::arg().value_parser(EnumValueParser::<KeysFormat>::new()))
        .after_help(
            "Where airflow.cfg has ceilings, the last column says what they are; docs/keys.md explains each key.",
        )
}

/// Prints them.
pub fn run(matches: &ArgMatches) -> Result<()> {
    match matches.get_one("format").copied() {
        Some(KeysFormat::Markdown) => out::print(&page::text()),
        Some(KeysFormat::Plain(Format::Data(notation))) => {
            let here = ceilings_here()?;
            let keys = keys::KEYS.iter().map(|key| data(key, here.as_ref()));
            out::print_data(&keys.collect::<Vec<_>>(), notation)
        }
        Some(KeysFormat::Plain(Format::Table)) | None => {
            let here = ceilings_here()?;
            let header = [
                "KEY",
                "TYPE",
                "DEFAULT",
                "MERGE",
                "FLAG",
                "A METADATA FILE MAY SET",
            ];
            let mut table = out::table(&header);
            for key in keys::KEYS {
                let rule = here
                    .as_ref()
                    .map_or_else(|| ceilings::rule(key), |here| here.rule_here(key));
                table.add_row([
                    key.name,
                    &key.type_name(),
                    &key.default_words(),
                    key.merge.name(),
                    &key.long_flag().unwrap_or_default(),
                    &rule,
                ]);
            }
            out::print(&out::table_text(&table))
        }
    }
}

/// The operator's ceilings, where there are any.
fn ceilings_here() -> Result<Option<Ceilings>> {
    let config = AirflowConfig::found(Environment::of_this_process())?;
    if !config.has(ceilings::SECTION) {
        return Ok(None);
    }
    // They are the same for every profile.
    Ceilings::read(&config, Some(Profile::TaskExecution)).map(Some)
}

fn data(key: &Key, here: Option<&Ceilings>) -> Value {
    let profiles: Map<_, _> = Profile::ALL
        .into_iter()
        .filter_map(|profile| {
            let text = profile.default_of(key)?;
            Some((profile.name().to_owned(), text.into()))
        })
        .collect();
    json!({
        "key": key.name,
        "airflow_cfg": key.airflow_cfg(),
        "flag": key.long_flag(),
        "short": key.short.map(|letter| format!("-{letter}")),
        "alias": key.alias.map(|alias| format!("--{alias}")),
        "type": key.kind.name,
        "list": key.shape == Shape::List,
        "written": key.kind.written,
        "default": key.default,
        "otherwise": key.otherwise,
        "profiles": profiles,
        "merge": key.merge.name(),
        "group": key.group,
        "help": key.help,
        "example": key.example_value(),
        "metadata_file": ceilings::rule(key),
        "ceiling_here": here.map(|here| here.rule_here(key)),
    })
}
