//! Where settings come from, and in which order they count.
//!
//! Lowest first: defaults, the profile's defaults, `[docker_runtime]` of airflow.cfg with its
//! environment and label sections, the profile's section with its own, the volume file, variables of
//! those sections (`AIRFLOW__SECTION__KEY`), the metadata file (within the ceilings), the command
//! line. Everything below the metadata file is the operator's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::airflow_cfg::{self, AirflowConfig, Environment, Scope, Value};
use super::ceilings::{Ceilings, Fences, final_image};
use super::keys::{self, Key, NAMES, Shape};
use super::layer::{Layer, Merged, Origin, merge};
use super::profile::{COMMON_SECTION, Profile};
use super::settings::{Settings, Surroundings};
use super::{metadata, nearest, text_file, yaml};
use crate::containerd::DEFAULT_ADDRESS;
use crate::failure::{Failure, Result};

/// Which sources there are.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Which sections of airflow.cfg apply.
    pub profile: Option<Profile>,
    /// The DAG file whose metadata applies.
    pub dag_file: Option<&'a Path>,
    /// The command line.
    pub flags: Layer,
}

/// All layers in one, and what the operator should know.
#[derive(Debug)]
pub struct Collected {
    /// The settings as text.
    pub merged: Merged,
    /// Keys of airflow.cfg that mean nothing, and the like.
    pub warnings: Vec<String>,
    /// The author must not become root.
    pub root_forbidden: bool,
    /// Where the host paths of the metadata file must lead.
    pub fences: Fences,
}

impl Sources<'_> {
    /// Reads everything; the first thing beyond the ceilings is an error. airflow.cfg is read only
    /// where a profile or a DAG file asks for it.
    pub fn collect(self) -> Result<Collected> {
        let (collected, refusals) = self.gather()?;
        refusals.into_iter().next().map_or(Ok(collected), Err)
    }

    /// Everything that is wrong with them, in words, for a check without a run.
    pub fn findings(self) -> Vec<String> {
        let (collected, refusals) = match self.gather() {
            Ok(gathered) => gathered,
            Err(failure) => return vec![failure.to_string()],
        };
        let mut findings = collected.warnings;
        findings.extend(refusals.iter().map(ToString::to_string));
        // An image may come from the command line later; nothing else may be missing.
        if final_image(&collected.merged).is_some() {
            let around = Surroundings {
                socket: DEFAULT_ADDRESS.into(),
                ..Surroundings::default()
            };
            let parsed = Settings::parse(&collected.merged, Vec::new(), &around);
            findings.extend(parsed.err().map(|failure| failure.to_string()));
        }
        findings
    }

    fn gather(self) -> Result<(Collected, Vec<Failure>)> {
        let mut warnings = Vec::new();
        let mut refusals = Vec::new();
        let mut root_forbidden = false;
        let mut fences = Fences::default();
        let mut layers = vec![Layer::defaults()];
        if self.profile.is_some() || self.dag_file.is_some() {
            let environment = Environment::of_this_process();
            let config = match AirflowConfig::find(&environment)? {
                Some(path) => AirflowConfig::read(path, environment)?,
                None => AirflowConfig::without_file(environment),
            };
            layers = operator(&config, self.profile, &mut warnings)?;
            // Also without a DAG file: a mistake in the ceilings is one anyway.
            let ceilings = Ceilings::read(&config, self.profile, &mut warnings)?;
            if let Some(dag_file) = self.dag_file {
                let author = metadata::read_beside(dag_file)?;
                let operator = merge(layers.clone());
                refusals = ceilings.refusals(&author, &operator);
                root_forbidden = !author.said().is_empty() && ceilings.forbid_root(&operator);
                fences = ceilings.fences(&author);
                layers.push(author);
                refusals.extend(ceilings.check_image(&merge(layers.clone())).err());
            }
        }
        layers.push(self.flags);
        let merged = merge(layers);
        Ok((
            Collected {
                merged,
                warnings,
                root_forbidden,
                fences,
            },
            refusals,
        ))
    }
}

/// What the operator says, lowest first.
fn operator(
    config: &AirflowConfig,
    profile: Option<Profile>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Layer>> {
    let mut layers = vec![Layer::defaults()];
    let mut variables = Vec::new();
    if let Some(profile) = profile {
        let mut defaults = Layer::default();
        for (name, text) in profile.defaults() {
            if let Some(key) = keys::find(name) {
                defaults.say(key, *text, Origin::Profile(profile));
            }
        }
        layers.push(defaults);
    }
    for section in [Some(COMMON_SECTION), profile.map(Profile::section)]
        .into_iter()
        .flatten()
    {
        let (file, variable) = section_layers(config, section, warnings)?;
        layers.push(file);
        variables.push(variable);
    }
    if let Some(volumes) = volume_file(&merge(layers.iter().chain(&variables).cloned()))? {
        layers.push(volumes);
    }
    layers.extend(variables);
    Ok(layers)
}

/// One section with its environment and label sections: what the file says, and what variables say.
fn section_layers(
    config: &AirflowConfig,
    section: &str,
    warnings: &mut Vec<String>,
) -> Result<(Layer, Layer)> {
    let (mut file, mut variables) = (Layer::default(), Layer::default());
    for (name, value) in config.section(section) {
        let value = value?;
        let Some(key) = keys::find(&name) else {
            if value.scope == Scope::Own {
                warnings.push(unknown(&value, &name));
            }
            continue;
        };
        let layer = if is_variable(&value) {
            &mut variables
        } else {
            &mut file
        };
        for text in texts(key, &value) {
            layer.say(key, text, origin(&value));
        }
    }
    for (suffix, name) in [
        ("_environment_variables", "environments"),
        ("_labels", "labels"),
    ] {
        let Some(key) = keys::find(name) else {
            continue;
        };
        for (name, value) in config.section(&format!("{section}{suffix}")) {
            let value = value?;
            if value.scope == Scope::Default {
                continue;
            }
            // AIP-46: all keys of the environment are upper-cased.
            let name = if suffix == "_labels" {
                name
            } else {
                name.to_uppercase()
            };
            let layer = if is_variable(&value) {
                &mut variables
            } else {
                &mut file
            };
            layer.say(key, format!("{name}={}", value.text), origin(&value));
        }
    }
    Ok((file, variables))
}

/// An empty value says nothing, as AIP-46's own example has them.
fn texts(key: &Key, value: &Value) -> Vec<String> {
    let separator = if key.shape == Shape::List {
        key.separator
    } else {
        '\0'
    };
    let parts = value
        .text
        .split(separator)
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn unknown(value: &Value, name: &str) -> String {
    let hint = match nearest(name, NAMES.iter().copied()) {
        Some(near) => format!("; did you mean {}?", near.to_uppercase()),
        None => String::new(),
    };
    format!("{value} is no runtime key{hint}")
}

fn volume_file(merged: &Merged) -> Result<Option<Layer>> {
    let Some(item) = merged.one("volume_mount_yaml") else {
        return Ok(None);
    };
    let path = PathBuf::from(&item.text);
    let text = text_file::read(&path)?.ok_or_else(|| item.refuse("there is no such file"))?;
    yaml::volumes(&text, path).map(Some)
}

fn is_variable(value: &Value) -> bool {
    !matches!(value.origin, airflow_cfg::Origin::File { .. })
}

fn origin(value: &Value) -> Origin {
    match &value.origin {
        airflow_cfg::Origin::File { path, line } => Origin::File {
            path: Arc::clone(path),
            line: u64::try_from(*line).unwrap_or(u64::MAX),
        },
        airflow_cfg::Origin::Variable { name } => Origin::Variable(name.clone()),
        command @ airflow_cfg::Origin::Command { .. } => Origin::Answer(command.to_string()),
    }
}

/// The image that AIP-46's repository and tag name together.
pub(super) fn aip_image(merged: &Merged) -> Option<String> {
    let repository = merged.one("container_repository")?;
    let tag = merged
        .one("container_tag")
        .map_or("latest", |tag| tag.text.as_str());
    Some(format!("{}:{tag}", repository.text))
}
