//! `airtight image pull`: from registries.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, ValueHint};
use futures_util::future::{FutureExt, Shared};
use futures_util::stream::{self, StreamExt};

use super::watch::Display;
use super::{for_dags, show, unpack_args, unpack_of};
use crate::cli::Globals;
use crate::cli::interrupt::interrupted;
use crate::cli::out::{self, Format};
use crate::cli::settings::given;
use crate::cli::several::one_of;
use crate::failure::{Failure, Result};
use crate::image::Reference;
use crate::image::platform::Platform;
use crate::image::pull::registry::{self, Keyring, Transport};
use crate::image::pull::{Options, Pulled, Puller, Watch};
use crate::image::unpack::Unpack;

/// How many images are pulled at once; they share the downloads of layers.
pub(super) const AT_ONCE: usize = 4;

const AFTER: &str = "\
A name without a registry is Docker Hub's, one without a tag means :latest. What is here is not \
fetched again, and everything is compared with its digest. Three layers come at once; a connection \
that breaks goes on where it broke. A pull that fails or is interrupted leaves nothing in containerd.

Credentials are looked up at the moment of use: in --registry-config FILE, else in the file that \
REGISTRY_AUTH_FILE names, else in $DOCKER_CONFIG/config.json or ~/.docker/config.json (docker login \
writes it), with the helpers that it names.

The authorities of /etc/containerd/certs.d/HOST[:PORT]/*.crt and /etc/docker/certs.d/HOST[:PORT]/*.crt \
are trusted beside the system's. HTTPS_PROXY and NO_PROXY apply.

Examples:
  airtight image pull python:3.12-slim
  airtight image pull registry.example:5000/team/etl@sha256:…
  airtight image pull --for-dags /opt/airflow/dags --format json";

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("pull")
        .about("Pulls images from registries")
        .override_usage(
            "airtight image pull [FLAGS] NAME...\n       airtight image pull [FLAGS] --for-dags DIR",
        )
        .after_help(AFTER)
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .num_args(1..)
                .value_parser(|text: &str| text.parse::<Reference>())
                .help("Names as docker reads them: NAME, NAME:TAG, NAME@sha256:…, HOST[:PORT]/NAME…"),
        )
        .arg(
            Arg::new("for-dags")
                .long("for-dags")
                .value_name("DIR")
                .value_hint(ValueHint::DirPath)
                .value_parser(ValueParser::path_buf())
                .conflicts_with_all(["platform", "no-unpack", "ca-file", "plain-http"])
                .help("Pulls what airflow.cfg and the metadata files below DIR name, for both profiles, as far as it is not here: neither tasks nor parsing pull by themselves. Prints a table; exit code 1 if an image or a file failed"),
        )
        .group(ArgGroup::new("what").args(["name", "for-dags"]).required(true))
        .arg(
            Arg::new("platform")
                .long("platform")
                .value_name("PLATFORM")
                .value_parser(|text: &str| text.parse::<Platform>())
                .help("Of an image for several platforms, the one for OS/ARCHITECTURE[/VARIANT] [default: this host's]"),
        )
        .args(unpack_args())
        .arg(
            Arg::new("registry-config")
                .long("registry-config")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(ValueParser::path_buf())
                .help("Where credentials are, in the form of docker's config.json"),
        )
        .arg(
            Arg::new("ca-file")
                .long("ca-file")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(ValueParser::path_buf())
                .conflicts_with("plain-http")
                .help("Trusts the authorities in FILE (PEM) beside the system's, for the registries of all NAMEs; with --for-dags, /etc/containerd/certs.d says it of each registry"),
        )
        .arg(
            Arg::new("plain-http")
                .long("plain-http")
                .action(ArgAction::SetTrue)
                .help("Speaks HTTP without TLS to the registries of all NAMEs, credentials included; a registry on this host (localhost, 127.0.0.1) may do so unasked"),
        )
        .arg(
            Arg::new("idle-timeout")
                .long("idle-timeout")
                .value_name("DURATION")
                .default_value("60s")
                .value_parser(idle_timeout)
                .help("How long a registry may be silent"),
        )
        .arg(Format::arg())
}

fn idle_timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration > Duration::ZERO => Ok(duration),
        Ok(_) => Err("it must be more than nothing".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// Pulls what is named.
pub async fn run(matches: &ArgMatches, globals: &Globals) -> Result<ExitCode> {
    let options = options(matches);
    if let Some(directory) = matches.get_one::<PathBuf>("for-dags") {
        let asked = for_dags::Asked {
            directory,
            snapshotter: matches
                .get_one("snapshotter")
                .filter(|_| given(matches, "snapshotter")),
        };
        return for_dags::run(asked, options, Format::of(matches), globals).await;
    }
    globals.reach_containerd().await?;
    let puller = Puller::new(&globals.client, options);
    let mut names: Vec<&Reference> = Vec::new();
    for name in matches.get_many("name").into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let display = Display::default();
    let stop = stop();
    let unpack = unpack_of(matches);
    let pulls = names
        .iter()
        .map(|name| pull(&puller, name, &unpack, &display, stop.clone()));
    let results: Vec<Result<Pulled>> = stream::iter(pulls).buffered(AT_ONCE).collect().await;
    display.clear();
    let (pulled, failures) = parted(results);
    match Format::of(matches) {
        Format::Data(notation) => {
            let pulled: Vec<_> = pulled.iter().map(show::pulled_json).collect();
            out::print_data(&pulled, notation)?;
        }
        Format::Table => {
            let lines = pulled
                .iter()
                .map(|pulled| show::named_text(&pulled.name, &pulled.image));
            out::print(&lines.collect::<String>())?;
        }
    }
    one_of(failures, ("pull", "images"), names.len())?;
    Ok(ExitCode::SUCCESS)
}

fn options(matches: &ArgMatches) -> Options {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let platform = matches.get_one::<Platform>("platform").cloned();
    let idle = matches.get_one::<Duration>("idle-timeout").copied();
    Options {
        platform: platform.unwrap_or_else(Platform::host),
        registry: registry::Options {
            transport: match matches.get_flag("plain-http") {
                true => Transport::Plain,
                false => Transport::Tls,
            },
            ca_file: path("ca-file"),
            keyring: Keyring {
                file: path("registry-config"),
            },
            idle: idle.unwrap_or(Duration::from_secs(60)),
        },
    }
}

/// Comes true for all pulls of the command at once.
pub(super) type Stop = Shared<futures_util::future::BoxFuture<'static, Arc<Failure>>>;

/// The first signal that asks us to end.
pub(super) fn stop() -> Stop {
    interrupted("the pull").map(Arc::new).boxed().shared()
}

/// Pulls one image, and shows how it goes.
pub(super) async fn pull(
    puller: &Puller<'_>,
    name: &Reference,
    unpack: &Unpack,
    display: &Display,
    stop: Stop,
) -> Result<Pulled> {
    let report = |progress| display.step(name, progress);
    let note = |text: String| display.note(name, &text);
    let watch = Watch {
        report: &report,
        note: &note,
    };
    let stop = stop.map(|why| Failure::new(why.kind(), why.message()));
    puller.pull(name, unpack, watch, stop).await
}

fn parted(results: Vec<Result<Pulled>>) -> (Vec<Pulled>, Vec<Failure>) {
    let mut parted = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(pulled) => parted.0.push(pulled),
            Err(failure) => parted.1.push(failure),
        }
    }
    parted
}
