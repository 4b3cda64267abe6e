//! What the operator says: airflow.cfg and variables, read once for any number of DAG files.
//!
//! In: the environment, which names airflow.cfg. Out: layers, ceilings, and what is wrong with them.

use std::collections::HashSet;
use std::path::PathBuf;

use super::airflow_cfg::{self, AirflowConfig, Environment, Scope, Value};
use super::ceilings::{self, Ceilings};
use super::keys::{self, Key, NAMES, Shape};
use super::layer::{Layer, Merged, Origin, merge};
use super::profile::{COMMON_SECTION, MAPS, Profile, RUNTIME_FLAGS};
use super::{nearest, text_file, yaml};
use crate::failure::{Failure, Result};

/// Whether commands of airflow.cfg (`KEY_cmd`) may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commands {
    /// For a run.
    Run,
    /// For a check, whose file may be anybody's proposal.
    Skip,
}

/// The operator's part of the settings.
#[derive(Debug)]
pub struct Operator {
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// What the author may set.
    pub ceilings: Ceilings,
    /// What the operator should know.
    pub warnings: Vec<Failure>,
    /// airflow.cfg and the environment.
    pub config: AirflowConfig,
    /// What must not run.
    pub problems: Vec<Failure>,
    /// The feature flag of the profile, where it is off.
    pub flag_off: Option<&'static str>,
}

impl Operator {
    /// Reads airflow.cfg where Airflow would find it, and the variables on top of it. Both count more
    /// than what is `proposed`.
    pub fn read(
        profile: Option<Profile>,
        proposed: Layer,
        environment: Environment,
        commands: Commands,
    ) -> Result<Self> {
        let config = AirflowConfig::found(environment)?;
        let mut operator = Self {
            layers: vec![Layer::defaults()],
            ceilings: Ceilings::read(&config, profile)?,
            warnings: unknown_sections(&config),
            problems: Vec::new(),
            flag_off: None,
            config,
        };
        operator.layers.extend(profile.map(Profile::defaults));
        operator.layers.push(proposed);
        operator.check_flags(profile);
        let mut variables = Vec::new();
        let sections = [Some(COMMON_SECTION), profile.map(Profile::section)];
        for section in sections.into_iter().flatten() {
            let section = operator.section(section, commands);
            operator.layers.push(section.file);
            variables.push(section.variables);
        }
        let so_far = merge(operator.layers.iter().chain(&variables));
        match volume_file(&so_far) {
            Ok(volumes) => operator.layers.extend(volumes),
            Err(problem) => operator.problems.push(problem),
        }
        operator.layers.extend(variables);
        if let Some(profile) = profile {
            operator.warn_of_idle_limits(profile);
        }
        Ok(operator)
    }

    /// Limits that stand in the profile's own section while only its default keeps all of them off.
    fn warn_of_idle_limits(&mut self, profile: Profile) {
        let mut merged = merge(&self.layers);
        merged.put(&self.ceilings.in_place_of_nothing(&merged));
        let switch = merged.one("limit_resource");
        if !switch.is_some_and(|item| item.is_unwritten() && item.text == "false") {
            return;
        }
        for (name, value) in self.config.section(profile.section()) {
            if let Ok(value) = value
                && value.scope == Scope::Own
                && key_of(&name).is_some_and(|key| key.group == "Limits")
            {
                let failure =
                    value.failure(format!("{value} has no effect: {profile} has no limits"));
                self.warnings.push(
                    failure.hint("LIMIT_RESOURCE = true, in the same section, switches them on"),
                );
            }
        }
    }

    /// The feature flags of AIP-46: Airflow's side asks them, and a run by hand does not depend on them.
    fn check_flags(&mut self, profile: Option<Profile>) {
        for flag in RUNTIME_FLAGS {
            let value = match self.config.get("core", flag) {
                Ok(value) => value,
                Err(problem) => {
                    self.warnings.push(problem);
                    continue;
                }
            };
            match value.as_ref().map(|value| value.text.trim()) {
                Some("docker") => {}
                None | Some("") if profile.map(Profile::runtime_flag) == Some(flag) => {
                    self.flag_off = Some(flag);
                }
                None | Some("") => {}
                Some(_) => self
                    .warnings
                    .extend(value.map(|value| value.refuse("it must be docker, or empty for off"))),
            }
        }
    }

    /// One section with its maps.
    fn section(&mut self, section: &str, commands: Commands) -> Section {
        let mut said = Section::default();
        let mut seen = HashSet::new();
        for (name, value) in self.config.section(section) {
            let Some(key) = key_of(&name) else {
                match value {
                    Ok(value) if value.scope == Scope::Own => self.warnings.push(unknown(&value)),
                    Ok(_) => {}
                    Err(problem) => self.warnings.push(problem),
                }
                continue;
            };
            if !seen.insert(key.name) {
                continue;
            }
            let value = match commands {
                Commands::Run => self.config.get_secret(section, key.name),
                Commands::Skip => self.config.get(section, key.name),
            };
            match value {
                Ok(Some(value)) => match texts(key, &value) {
                    Ok(texts) => said.say(key, texts, &value),
                    Err(problem) => self.problems.push(problem),
                },
                Ok(None) => {}
                Err(problem) => self.problems.push(problem),
            }
        }
        for map in MAPS {
            let Some(key) = keys::find(map.key) else {
                continue;
            };
            for (_, value) in self.config.section(&format!("{section}{}", map.suffix)) {
                match value {
                    // What all sections inherit is meant for none of these.
                    Ok(value) if value.scope == Scope::Own => {
                        let name = (map.name)(&value);
                        said.say(key, vec![format!("{name}={}", value.text)], &value);
                    }
                    Ok(_) => {}
                    Err(problem) => self.problems.push(problem),
                }
            }
        }
        said
    }
}

/// What a section says, in its file and in variables.
#[derive(Default)]
struct Section {
    file: Layer,
    variables: Layer,
}

impl Section {
    fn say(&mut self, key: &'static Key, texts: Vec<String>, value: &Value) {
        let origin = match &value.origin {
            airflow_cfg::Origin::Variable { name } => Origin::Variable(name.clone()),
            command @ airflow_cfg::Origin::Command { .. } => Origin::Answer(command.to_string()),
            file => file
                .place()
                .map_or_else(|| Origin::Answer(file.to_string()), Origin::File),
        };
        // A command counts where it is written.
        let layer = match value.origin.place() {
            Some(_) => &mut self.file,
            None => &mut self.variables,
        };
        for text in texts {
            layer.say(key, text, origin.clone());
        }
    }
}

/// The key of a name in airflow.cfg, which may be that of a command or a secret.
fn key_of(name: &str) -> Option<&'static Key> {
    let base = name
        .strip_suffix("_cmd")
        .or_else(|| name.strip_suffix("_secret"));
    keys::find(name).or_else(|| keys::find(base?))
}

/// An empty value says nothing, as AIP-46's own example has them.
fn texts(key: &Key, value: &Value) -> Result<Vec<String>> {
    if key.shape == Shape::Switch
        && let Ok(on) = value.boolean()
    {
        return Ok(vec![on.to_string()]);
    }
    let separators: &[char] = match key.shape {
        Shape::List => &[key.separator],
        Shape::Switch | Shape::Text => &[],
    };
    let parts = value.parts(separators)?.into_iter();
    Ok(parts.map(str::to_owned).collect())
}

fn unknown(value: &Value) -> Failure {
    let failure = value.failure(format!("{value} is no runtime key"));
    if RUNTIME_FLAGS.contains(&value.key.as_str()) {
        return failure.hint("it belongs into [core]");
    }
    match nearest(&value.key, NAMES.iter().copied()) {
        Some(near) => failure.hint(format!("did you mean {}?", near.to_uppercase())),
        None => failure.hint("`airtight config keys` lists the keys"),
    }
}

/// Sections that look like ours and are not.
fn unknown_sections(config: &AirflowConfig) -> Vec<Failure> {
    let known: Vec<String> = [COMMON_SECTION]
        .into_iter()
        .chain(Profile::ALL.map(Profile::section))
        .flat_map(|section| {
            let maps = MAPS
                .iter()
                .map(move |map| format!("{section}{}", map.suffix));
            maps.chain([section.to_owned()])
        })
        .chain([ceilings::SECTION.to_owned()])
        .collect();
    let unknown = config.sections().filter(|(name, _)| {
        let lower = name.to_lowercase();
        lower.contains(COMMON_SECTION) && !known.iter().any(|known| known == name)
    });
    unknown
        .map(|(name, line)| {
            let failure = Failure::usage(format!("[{name}] is no section of airtight's"))
                .at(config.place(line));
            match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean [{near}]?")),
                None => failure,
            }
        })
        .collect()
}

fn volume_file(merged: &Merged) -> Result<Option<Layer>> {
    let Some(item) = merged.one("volume_mount_yaml") else {
        return Ok(None);
    };
    let path = PathBuf::from(&item.text);
    if !path.is_absolute() {
        let failure = item.refuse("an absolute path is needed");
        return Err(match item.text.contains('#') {
            true => failure.hint("in airflow.cfg a comment stands on a line of its own"),
            false => failure,
        });
    }
    let text = text_file::read(&path, yaml::MAX_SIZE)?
        .ok_or_else(|| item.refuse("there is no such file"))?;
    yaml::volumes(&text, path).map(Some)
}
