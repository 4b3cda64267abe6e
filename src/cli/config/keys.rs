//! `airtight config keys`: every runtime key.

use clap::{ArgMatches, Command};
use serde_json::json;

use super::super::out::{self, Format};
use crate::config::{Author, Shape, keys};
use crate::failure::Result;

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("keys")
        .about("Lists every runtime key")
        .arg(Format::arg())
}

/// Prints them.
pub fn run(matches: &ArgMatches) -> Result<()> {
    if Format::of(matches) == Format::Json {
        let keys = keys::KEYS.iter().map(|key| {
            json!({
                "key": key.name,
                "airflow_cfg": key.name.to_uppercase(),
                "flag": (!key.flag.is_empty()).then(|| format!("--{}", key.flag)),
                "shape": shape(key.shape),
                "default": key.default,
                "author": author(key.author),
                "help": key.help,
            })
        });
        return out::print_json(&keys.collect::<Vec<_>>());
    }
    let mut table = out::table(&["KEY", "FLAG", "SHAPE", "DEFAULT", "A METADATA FILE MAY SET"]);
    for key in keys::KEYS {
        let flag = if key.flag.is_empty() {
            String::new()
        } else {
            format!("--{}", key.flag)
        };
        table.add_row([
            key.name,
            &flag,
            shape(key.shape),
            key.default.unwrap_or(""),
            author(key.author),
        ]);
    }
    out::print(&out::table_text(&table))
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Switch => "true or false",
        Shape::Text => "text",
        Shape::List => "list",
    }
}

fn author(author: Author) -> &'static str {
    match author {
        Author::Free => "anything",
        Author::Consent => "nothing without consent",
        Author::OnIsFree => "true",
        Author::OffIsFree => "false",
        Author::PrivateMode => "private or none",
        Author::Maximum => "up to the operator's maximum",
        Author::Image => "what ALLOWED_IMAGES allows",
        Author::HostPaths => "paths below ALLOWED_VOLUME_PREFIXES",
        Author::Capabilities => "default capabilities that CAP_DROP leaves; any drop",
        Author::SecurityOptions => "no-new-privileges",
        Author::User => "any but root, where RUN_AS_USER is set",
        Author::Targets => "anywhere but below /proc, /sys and /dev",
        Author::Ulimits => "any but rtprio and nice",
        Author::Labels => "any that containerd and nerdctl do not act upon",
        Author::UnlessSet => "anything, where the operator sets nothing",
        Author::Variables => "values, none of the host's",
    }
}
