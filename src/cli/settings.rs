//! The flags that `run` and `bundle` share: one for each runtime key, and where the settings come
//! from.

mod log_option;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Globals;
use super::usage::argument_not_utf8;
use crate::airflow::crossing::Crossing;
use crate::config::airflow_cfg::{AirflowConfig, Environment};
use crate::config::settings::{EnvFiles, Surroundings};
use crate::config::values::truth;
use crate::config::{
    Answers, Key, Layer, Merged, Origin, Profile, Settings, Shape, Sources, keys, with_any_image,
};
use crate::failure::{Failure, Result};
use crate::image::digest::Digest;

/// The image, or the first word of the command.
const WORDS: &str = "words";

/// The flag, and its name among clap's.
const AIRFLOW_2: &str = "airflow-2";

/// Adds the flags to `command`.
pub fn add_flags(command: Command) -> Command {
    // docker's: what is behind the image belongs to the command, and of a flag given twice the later
    // one counts.
    let mut command = command
        .args_override_self(true)
        .arg(
            Arg::new(WORDS)
                .value_names(["IMAGE", "COMMAND"])
                .num_args(1..)
                .trailing_var_arg(true)
                .value_parser(ValueParser::os_string())
                .help_heading("Arguments")
                .help("The image, and what to run in it [default: what the image says]. Flags stand before the image; everything behind it belongs to the command"),
        )
        .arg(
            Arg::new("dag-file")
                .long("dag-file")
                .value_name("FILE")
                .value_parser(ValueParser::path_buf())
                .help_heading("Process")
                .help("Takes settings from FILE.metadata.yaml beside the DAG file FILE, within the operator's ceilings, and from [docker_runtime] of airflow.cfg; flags win over both, and every argument belongs to the command"),
        )
        .arg(
            Arg::new("profile")
                .long("profile")
                .value_name("PROFILE")
                .value_parser(|text: &str| text.parse::<Profile>())
                .help_heading("Process")
                .help("Takes settings from airflow.cfg: task-execution or dag-parsing, whose section counts on top of [docker_runtime]; every argument then belongs to the command"),
        );
    command = command.arg(
        Arg::new(AIRFLOW_2)
            .long(AIRFLOW_2)
            .action(ArgAction::SetTrue)
            .requires_all(["profile", "dag-file"])
            .help_heading("Process")
            .help("Hands over what Airflow 2 needs inside: its variables, airflow.cfg, the folders of DAGs and plugins, for tasks that of logs; and proposes the host's network and name, which airflow.cfg and FILE may change"),
    );
    for key in keys::KEYS.iter().filter(|key| !key.flag.is_empty()) {
        command = command.arg(flag(key));
        match key.name {
            "init" => command = command.arg(opposite(key)),
            "log_max_file" => command = command.arg(log_option::flag(key)),
            _ => {}
        }
    }
    command
}

/// `--help`, which has no letter: `-h` is docker's --hostname.
pub fn help_flag() -> Arg {
    Arg::new("help")
        .long("help")
        .action(ArgAction::Help)
        .help("Prints this")
}

/// The flag of a key.
pub fn flag(key: &'static Key) -> Arg {
    let help = match (key.default.or(key.otherwise), key.shape) {
        (Some(default), Shape::Text) => format!("{} [default: {default}]", key.help),
        _ => key.help.to_owned(),
    };
    let arg = Arg::new(key.name)
        .long(key.flag)
        .help(help)
        .help_heading(key.group);
    let arg = match key.short {
        Some(letter) => arg.short(letter),
        None => arg,
    };
    let arg = match key.alias {
        Some(alias) => arg.alias(alias),
        None => arg,
    };
    match key.shape {
        Shape::Switch => switch(arg),
        Shape::Text => arg
            .action(ArgAction::Set)
            .value_name(key.value)
            .allow_hyphen_values(true),
        Shape::List => arg
            .action(ArgAction::Append)
            .value_name(key.value)
            .allow_hyphen_values(true),
    }
}

/// docker takes `--init`, `--init=true` and `--init=false`.
pub fn switch(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(truth)
        .value_name("BOOL")
}

fn opposite(key: &'static Key) -> Arg {
    Arg::new("no-init")
        .long("no-init")
        .action(ArgAction::SetTrue)
        .overrides_with(key.name)
        .help_heading(key.group)
        .help("The payload itself is PID 1")
}

/// What the command line and the files that it names say, and how containerd is reached for it.
pub struct Read {
    /// The settings.
    pub settings: Settings,
    /// The same as text, with the origin of each.
    pub merged: Merged,
    /// containerd's socket.
    pub address: String,
    /// What the operator should know of airflow.cfg.
    pub warnings: Vec<String>,
    /// The feature flag of the profile, where it is off.
    pub flag_off: Option<&'static str>,
    /// What settings and image have to come to, where somebody has read them before.
    pub expected: Option<Digest>,
}

/// Whether there must be an image already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// For a run.
    Needed,
    /// For a look at the settings.
    MayComeLater,
}

/// Reads it.
pub fn read(matches: &ArgMatches, globals: &Globals, image: Image) -> Result<Read> {
    let (sources, words) = sources(matches)?;
    read_from(sources, words, globals, image)
}

/// The same with variables whose values are on no command line, and answers of the image hook that are
/// known already.
pub fn read_with(
    matches: &ArgMatches,
    variables: &BTreeMap<String, String>,
    answers: Answers,
    globals: &Globals,
) -> Result<Read> {
    let (mut sources, words) = sources(matches)?;
    sources.answers = answers;
    let key = keys::find("environments");
    for (name, value) in variables {
        if name.contains('=') {
            return Err(Failure::usage(format!(
                "invalid name {name:?} of a variable"
            )));
        }
        if let Some(key) = key {
            sources
                .flags
                .say(key, format!("{name}={value}"), Origin::Flag);
        }
    }
    read_from(sources, words, globals, Image::Needed)
}

/// The same for a caller that is no command line; `words` are the command.
pub fn read_from(
    sources: Sources<'_>,
    words: Vec<String>,
    globals: &Globals,
    image: Image,
) -> Result<Read> {
    let collected = sources.collect()?;
    let address = globals.address(collected.merged.one("socket_path"));
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let around = Surroundings {
        variables: variables.collect(),
        socket: address.strip_prefix("unix://").unwrap_or(&address).into(),
        root_forbidden: collected.root_forbidden,
        fences: collected.fences,
        env_files: EnvFiles::Read,
    };
    let settings = match image {
        Image::Needed => Settings::parse(&collected.merged, words, &around)?,
        Image::MayComeLater => Settings::parse(&with_any_image(&collected.merged), words, &around)?,
    };
    Ok(Read {
        settings,
        merged: collected.merged,
        address,
        flag_off: collected.flag_off,
        expected: None,
        warnings: collected.warnings.iter().map(super::with_hints).collect(),
    })
}

/// Where the settings come from, and the command.
fn sources(matches: &ArgMatches) -> Result<(Sources<'_>, Vec<String>)> {
    let dag_file = matches.get_one::<PathBuf>("dag-file");
    let profile = matches.get_one::<Profile>("profile").copied();
    let mut flags = flags(matches);
    let mut words = words(matches)?;
    let from_config = dag_file.is_some() || profile.is_some();
    if !from_config && !given(matches, "image") && !words.is_empty() {
        let image = words.remove(0);
        if let Some(key) = keys::find("image") {
            flags.say(key, image, Origin::Argument);
        }
    }
    let mut crossing = Crossing::default();
    if let (true, Some(dag_file), Some(profile)) = (matches.get_flag(AIRFLOW_2), dag_file, profile)
    {
        let config = AirflowConfig::found(Environment::of_this_process())?;
        crossing = Crossing::of(&config, dag_file, profile)?;
    }
    crossing.fixed.extend(flags);
    let sources = Sources {
        profile,
        dag_file: dag_file.map(PathBuf::as_path),
        proposed: crossing.proposed,
        flags: crossing.fixed,
        answers: Answers::default(),
    };
    Ok((sources, words))
}

fn flags(matches: &ArgMatches) -> Layer {
    let mut layer = Layer::default();
    let flagged = keys::KEYS.iter().filter(|key| !key.flag.is_empty());
    for key in flagged.filter(|key| given(matches, key.name)) {
        if key.shape == Shape::Switch {
            let on = matches
                .get_one::<bool>(key.name)
                .copied()
                .unwrap_or_default();
            layer.say(key, on.to_string(), Origin::Flag);
        } else {
            for text in matches.get_many::<String>(key.name).into_iter().flatten() {
                layer.say(key, text, Origin::Flag);
            }
        }
    }
    for (key, text) in log_option::given(matches) {
        layer.say(key, text, Origin::Flag);
    }
    if given(matches, "no-init")
        && let Some(key) = keys::find("init")
    {
        layer.say(key, "false", Origin::Flag);
    }
    layer
}

/// Whether the command line itself says it.
pub fn given(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::CommandLine)
}

/// The OCI spec is JSON: what is not UTF-8 cannot be handed to a runtime.
fn words(matches: &ArgMatches) -> Result<Vec<String>> {
    let words = matches
        .get_many::<std::ffi::OsString>(WORDS)
        .into_iter()
        .flatten();
    words.map(word).collect()
}

/// One word of the command.
pub fn word(word: &std::ffi::OsString) -> Result<String> {
    let text = word.to_str().map(str::to_owned);
    text.ok_or_else(|| argument_not_utf8(word).because("an OCI spec cannot hold it"))
}
