//! Where settings come from, and in which order they count.
//!
//! Lowest first: defaults, the profile's defaults, what a caller of ours proposes, `[docker_runtime]` of airflow.cfg with its
//! environment and label sections, the profile's section with its own, the volume file, variables of
//! those sections (`AIRFLOW__SECTION__KEY`), the metadata file (within the ceilings), the command
//! line. Everything below the metadata file is the operator's. The image hook's answer is above all.

use std::path::Path;

use super::airflow_cfg::Environment;
use super::ceilings::Fences;
use super::hook::Answers;
use super::layer::{Layer, Merged, merge};
use super::operator::{Commands, Operator};
use super::profile::Profile;
use super::yaml::Body;
use super::{hook, metadata};
use crate::failure::{Failure, Result};

/// Which sources there are.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Which sections of airflow.cfg apply.
    pub profile: Option<Profile>,
    /// The DAG file whose metadata applies.
    pub dag_file: Option<&'a Path>,
    /// What holds for this caller where the operator says nothing.
    pub proposed: Layer,
    /// The command line.
    pub flags: Layer,
    /// What the image hook has said already.
    pub answers: Answers,
}

/// All layers in one, and what the operator should know.
#[derive(Debug)]
pub struct Collected {
    /// The settings as text.
    pub merged: Merged,
    /// Keys of airflow.cfg that mean nothing, and the like.
    pub warnings: Vec<Failure>,
    /// The author must not become root.
    pub root_forbidden: bool,
    /// Where the host paths of the metadata file must lead.
    pub fences: Fences,
    /// The feature flag of the profile, where it is off.
    pub flag_off: Option<&'static str>,
}

impl Sources<'_> {
    /// Reads everything; the first thing beyond the ceilings is an error. airflow.cfg is read, and the
    /// image hook asked, only where a profile or a DAG file asks for it.
    pub fn collect(self) -> Result<Collected> {
        if self.profile.is_none() && self.dag_file.is_none() {
            return Ok(Collected {
                merged: merge([&Layer::defaults(), &self.flags]),
                warnings: Vec::new(),
                root_forbidden: false,
                fences: Fences::default(),
                flag_off: None,
            });
        }
        let environment = Environment::of_this_process();
        let operator = Operator::read(self.profile, self.proposed, environment, Commands::Run)?;
        let author = self.dag_file.map(metadata::read_beside).transpose()?;
        let author = author.unwrap_or_default();
        let Stacked {
            mut collected,
            refusals,
        } = stack(&operator, &author, &self.flags);
        let problems = operator.problems.into_iter().chain(author.unknown);
        if let Some(problem) = problems.chain(refusals).next() {
            return Err(problem);
        }
        collected.warnings = operator.warnings;
        hook::decide(
            &operator.config,
            &self.answers,
            &mut collected.merged,
            &mut collected.warnings,
        )?;
        Ok(collected)
    }
}

/// The author's file on top of what the operator says, and the command line on top of both.
pub(super) struct Stacked {
    pub collected: Collected,
    /// What is beyond the ceilings.
    pub refusals: Vec<Failure>,
}

/// Puts them on top of each other.
pub(super) fn stack(operator: &Operator, author: &Body, flags: &Layer) -> Stacked {
    let ceilings = &operator.ceilings;
    let below = merge(&operator.layers);
    let mut refusals = ceilings.refusals(&author.layer, &below);
    let root_forbidden = !author.layer.said().is_empty() && ceilings.forbid_root(&below);
    let mut merged = below;
    merged.put(&author.layer);
    if author.layer.names_image() {
        refusals.extend(ceilings.check_image(&merged).err());
    }
    merged.put(flags);
    // They name only what nobody has named, so it does not matter that they are on top.
    let maxima = ceilings.in_place_of_nothing(&merged);
    merged.put(&maxima);
    Stacked {
        collected: Collected {
            merged,
            warnings: Vec::new(),
            root_forbidden,
            fences: ceilings.fences(&author.layer),
            flag_off: operator.flag_off,
        },
        refusals,
    }
}

#[cfg(test)]
mod tests;
