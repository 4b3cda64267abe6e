//! `airtight image import`: from archives.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::show::{self, ProgressLine};
use super::{unpack_args, unpack_of};
use crate::cli::interrupt::interrupted;
use crate::cli::out::{self, Format};
use crate::containerd::Client;
use crate::failure::{Failure, Result};
use crate::image::Reference;
use crate::image::import::{Archive, Options, Source, import};

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("import")
        .about("Imports the images of an OCI archive or a `docker save` archive")
        .after_help(
            "An archive is plain or compressed with gzip. One that is compressed, or comes from a \
             pipe, is first copied into a file without a name in the directory $TMPDIR (/var/tmp \
             unless set), which needs room for it.\n\n\
             Of an image for several platforms, the one for this host is imported. An import that \
             fails leaves nothing in containerd.\n\n\
             Examples:\n  \
             docker save python:3.12-slim | airtight image import -\n  \
             skopeo copy docker-daemon:my:1 oci-archive:my.tar && airtight image import --tag my:1 my.tar",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .help("The archive; - is standard input")
                .required(true)
                .value_hint(ValueHint::FilePath)
                .value_parser(clap::value_parser!(OsString)),
        )
        .arg(
            Arg::new("tag")
                .long("tag")
                .short('t')
                .value_name("NAME")
                .help("Calls the image NAME, whatever the archive calls it")
                .value_parser(|text: &str| text.parse::<Reference>()),
        )
        .args(unpack_args())
        .arg(Format::arg())
}

/// Imports what is named.
pub async fn run(matches: &ArgMatches, client: &Client) -> Result<()> {
    let file = matches.get_one::<OsString>("file");
    let source = Source::from(file.map_or(OsStr::new("-"), OsString::as_os_str));
    if source == Source::Stdin && io::stdin().is_terminal() {
        return Err(Failure::usage("cannot import standard input")
            .because("it is a terminal")
            .hint("docker save NAME | airtight image import -"));
    }
    let options = Options {
        tag: matches.get_one::<Reference>("tag").cloned(),
        unpack: unpack_of(matches),
    };
    // Signals have their default effect until here: nothing exists yet that they could leave.
    let archive = Archive::open(&source)?;
    let line = ProgressLine::default();
    let report = |progress| line.show(progress);
    let result = import(
        client,
        &archive,
        &options,
        &report,
        interrupted("the import"),
    )
    .await;
    line.clear();
    let imported = result?;
    match Format::of(matches) {
        Format::Data(notation) => {
            let imported: Vec<_> = imported.iter().map(show::imported_json).collect();
            out::print_data(&imported, notation)
        }
        Format::Table => out::print(&imported.iter().map(show::imported_text).collect::<String>()),
    }
}
