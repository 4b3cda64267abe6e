//! `airtight config show`: the merged settings, each with its origin.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::super::out::{self, Format};
use super::super::{Globals, settings, warn};
use crate::config::values::truth;
use crate::config::{Item, Shape, masked};
use crate::failure::Result;

/// The definition of the verb.
pub fn command() -> Command {
    settings::add_flags(
        Command::new("show")
            .about("Prints the settings a run would have, and where each comes from")
            .override_usage(
                "airtight config show [--profile PROFILE] [--dag-file FILE] [FLAGS of run]",
            )
            .disable_help_flag(true)
            .arg(settings::help_flag())
            .arg(Format::arg())
            .arg(
                Arg::new("diff")
                    .long("diff")
                    .action(ArgAction::SetTrue)
                    .help("Only what differs from the defaults"),
            ),
    )
}

/// Prints them.
pub fn run(matches: &ArgMatches, globals: &Globals) -> Result<()> {
    // What cannot be parsed would not run either.
    let settings::Read {
        merged,
        warnings,
        flag_off,
        ..
    } = settings::read(matches, globals, settings::Image::MayComeLater)?;
    warn(&warnings);
    if let Some(flag) = flag_off {
        out::tell(format_args!(
            "note: {flag} in [core] of airflow.cfg is empty, so Airflow itself uses none of this; docker switches it on"
        ));
    }
    let differs =
        |item: &&Item| !matches.get_flag("diff") || item.key.default != Some(item.text.as_str());
    let items: Vec<&Item> = merged.items().filter(differs).collect();
    match Format::of(matches) {
        Format::Data(notation) => out::print_data(&json(&items), notation),
        Format::Table => {
            let mut table = out::table(&["KEY", "VALUE", "ORIGIN"]);
            for item in items {
                table.add_row([item.key.name, &masked(item), &item.origin.to_string()]);
            }
            out::print(&out::table_text(&table))
        }
    }
}

/// `{key: {value, origin}}`, lists as lists of these.
fn json(items: &[&Item]) -> Value {
    let mut all = Map::new();
    for item in items {
        let value = match item.key.shape {
            Shape::Switch => json!(truth(&item.text).unwrap_or_default()),
            Shape::Text | Shape::List => json!(masked(item)),
        };
        let value = json!({ "value": value, "origin": item.origin.to_string() });
        let name = item.key.name.to_owned();
        match (item.key.shape, all.entry(name).or_insert_with(|| json!([]))) {
            (Shape::List, Value::Array(list)) => list.push(value),
            (_, slot) => *slot = value,
        }
    }
    Value::Object(all)
}
