//! `airtight bundle`: an OCI bundle that a plain runtime executes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Command};

use super::interrupt::interrupted;
use super::{Globals, settings};
use crate::config::keys;
use crate::failure::{Context, Failure, Kind, Result};
use crate::run::fenced;
use crate::run::preview::Preview;
use crate::spec::{self, Places};

/// Paragraphs in one line each: clap wraps them to the terminal.
const AFTER: &str = "\
Example:
  airtight bundle -o /tmp/b busybox echo hello && runc run --bundle /tmp/b hello

The bundle has no owner and so no init: its payload is PID 1 and gets the descriptors of the runtime. What only an owner could honour (--timeout, --stop-signal, --stop-timeout, --pass-fd, --label, --runtime, --runtime-binary) means nothing to it.

config.json holds the values of all variables, secrets among them; only its owner can read it.

Exit codes: 0, or 125.";

/// The definition of the verb.
pub fn command() -> Command {
    let command = Command::new("bundle")
        .about("Writes an OCI bundle (config.json and rootfs) that runc executes")
        .override_usage("airtight bundle -o DIR [FLAGS] IMAGE [COMMAND...]")
        .disable_help_flag(true)
        .after_help(AFTER);
    settings::add_flags(command)
        .next_help_heading("Output")
        .arg(
            Arg::new("output")
                .long("output")
                .short('o')
                .value_name("DIR")
                .required(true)
                .value_parser(ValueParser::path_buf())
                .help("The bundle: a directory that does not exist yet, or is empty"),
        )
        .arg(settings::help_flag())
}

/// Writes it; a bundle that fails half-way is removed.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<()> {
    // clap requires the flag.
    let dir = matches
        .get_one::<PathBuf>("output")
        .cloned()
        .unwrap_or_default();
    let planned = super::run::plan(matches, globals).await?;
    super::warn(&planned.plan.warnings);
    super::warn(&meaningless(matches));
    let plan = planned.plan.without_init();
    let settled = fenced::look(&plan, &globals.state, &planned.connection.address)?;
    let was = make_empty(&dir)?;
    let dir = dir
        .canonicalize()
        .or_fail(Kind::Host, || format!("cannot find {}", dir.display()))?;
    let places = Places {
        run: dir.clone(),
        volumes: dir.join("volumes"),
        settled,
    };
    let preview = Preview {
        plan: &plan,
        image: &planned.image,
        client: &planned.client,
        places: &places,
    };
    let written = write_to_the_end(preview, &dir).await;
    if written.is_err() {
        // Best effort: what matters is the first failure.
        let _ = match was {
            Was::There => clear(&dir),
            Was::Absent => fs::remove_dir_all(&dir),
        };
    }
    written
}

/// Keys that the bundle's runtime never learns of.
const OF_AN_OWNER: [&str; 8] = [
    "timeout",
    "stop_signal",
    "stop_timeout",
    "pass_fd",
    "random_pids",
    "labels",
    "runtime",
    "runtime_binary",
];

fn meaningless(matches: &ArgMatches) -> Vec<String> {
    let keys = OF_AN_OWNER.into_iter().filter_map(keys::find);
    let given = keys.filter(|key| settings::given(matches, key.name));
    given
        .map(|key| format!("--{} has no effect on a bundle", key.flag))
        .collect()
}

/// A copy under way cannot be stopped: an interrupt is heeded when it has ended, so that everything
/// can be removed.
async fn write_to_the_end(preview: Preview<'_>, dir: &Path) -> Result<()> {
    let mut writing = std::pin::pin!(write(preview, dir));
    tokio::select! {
        biased;
        written = &mut writing => written,
        failure = interrupted("the bundle") => writing.await.and(Err(failure)),
    }
}

fn clear(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

async fn write(preview: Preview<'_>, dir: &Path) -> Result<()> {
    let cannot = || format!("cannot write the bundle {}", dir.display());
    spec::write_files(preview.plan, preview.places)?;
    let view = dir.join("view");
    fs::create_dir(&view).or_fail(Kind::Host, cannot)?;
    let spec = preview.copy(&dir.join("rootfs"), view.clone()).await?;
    fs::remove_dir(&view).or_fail(Kind::Host, cannot)?;
    let mut json =
        serde_json::to_vec_pretty(&spec::stable_json(&spec)?).or_fail(Kind::Host, cannot)?;
    json.push(b'\n');
    // It holds the payload's variables, and with them secrets.
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(dir.join("config.json"))
        .and_then(|mut file| file.write_all(&json))
        .or_fail(Kind::Host, cannot)
}

/// Whether the directory is ours to remove.
enum Was {
    There,
    Absent,
}

fn make_empty(dir: &Path) -> Result<Was> {
    let was = if dir.exists() {
        Was::There
    } else {
        Was::Absent
    };
    fs::create_dir_all(dir).or_fail(Kind::Host, || format!("cannot make {}", dir.display()))?;
    let mut entries =
        fs::read_dir(dir).or_fail(Kind::Host, || format!("cannot read {}", dir.display()))?;
    match entries.next() {
        None => Ok(was),
        Some(_) => {
            Err(Failure::usage(format!("{} is not empty", dir.display()))
                .hint("name a new directory"))
        }
    }
}
