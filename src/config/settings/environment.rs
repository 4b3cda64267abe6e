//! The payload's variables, from all the keys that name some.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::super::layer::{Item, Merged};
use super::super::secret::PRIVATE;
use super::super::values::Variable;
use super::super::{env_file, pattern};
use super::{EnvFiles, Surroundings, read};
use crate::failure::Result;

/// The keys, in the order in which they count where one layer has several: files before single
/// variables, as docker has it, and private ones last, as DockerOperator has it.
const KEYS: [&str; 4] = [
    "environment_variables_from_host",
    "env_file",
    "environments",
    PRIVATE,
];

/// What the keys make of the payload's environment.
pub(super) struct Environment {
    /// What is set; `None` takes the image's variable away.
    pub variables: BTreeMap<String, Option<String>>,
    /// The names of those that nobody is shown.
    pub private: BTreeSet<String>,
}

/// A bare name that we have no value for says nothing in a file; on its own it takes the image's
/// variable away. What one layer calls private stays so under the value of a higher one.
pub(super) fn environment(merged: &Merged, around: &Surroundings) -> Result<Environment> {
    let (mut variables, mut private) = (BTreeMap::new(), BTreeSet::new());
    for item in merged.by_layer(&KEYS) {
        match item.key.name {
            "environment_variables_from_host" => {
                let names = around.variables.keys();
                for name in names.filter(|name| pattern::matches(&item.text, name)) {
                    variables.insert(name.clone(), ours(around, item, name)?);
                }
            }
            "env_file" if around.env_files == EnvFiles::Skip => {}
            "env_file" => {
                for Variable { name, value } in env_file::read(item)? {
                    let value = match value {
                        Some(value) => Some(value),
                        None => ours(around, item, &name)?,
                    };
                    if value.is_some() {
                        variables.insert(name, value);
                    }
                }
            }
            key => {
                let Variable { name, value } = read::parse(item)?;
                let value = match value {
                    Some(value) => Some(value),
                    None => ours(around, item, &name)?,
                };
                if key == PRIVATE {
                    private.insert(name.clone());
                }
                variables.insert(name, value);
            }
        }
    }
    Ok(Environment { variables, private })
}

/// The value in airtight's own environment.
fn ours(around: &Surroundings, item: &Item, name: &str) -> Result<Option<String>> {
    let text = around.variables.get(name).cloned();
    let text = text.map(OsString::into_string).transpose();
    text.map_err(|_| {
        item.refuse(format!(
            "the value of {name} in airtight's own environment is not UTF-8, and an OCI spec cannot hold it"
        ))
    })
}
