//! `airtight config schema`: the JSON schema of metadata files.

use clap::Command;

use super::super::out;
use crate::config::schema;
use crate::failure::Result;

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("schema")
        .about("Prints the JSON schema of metadata files, for editors")
        .after_help(
            "An editor with a YAML language server completes and checks a metadata file that begins with\n  \
             # yaml-language-server: $schema=PATH_OR_URL_OF_THE_SCHEMA",
        )
}

/// Prints it.
pub fn run() -> Result<()> {
    out::print(&schema::text())
}
