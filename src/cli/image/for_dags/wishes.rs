//! What the metadata files below a directory, and airflow.cfg, want to be here.
//!
//! In: a directory, the flags that count for all of it. Out: each image once, with who names it and what
//! it has to be unpacked with, and the files that are refused. Nothing is asked of containerd.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Asked;
use crate::cli::settings::{self, Read};
use crate::cli::{Globals, dag_files};
use crate::config::airflow_cfg::{AirflowConfig, Environment};
use crate::config::{Answers, Layer, Profile, Sources, final_image};
use crate::failure::{Failure, Result};
use crate::image::Wanted;

/// Images by name, and files that cannot be read.
#[derive(Default)]
pub(super) struct Wishes {
    pub images: BTreeMap<String, Wish>,
    pub refused: Vec<(String, Failure)>,
    pub warnings: BTreeSet<String>,
    /// containerd's, as airflow.cfg says.
    pub address: Option<String>,
    /// The flag's, above every setting.
    snapshotter: Option<String>,
    /// The image hook's, which many files have in common.
    answers: Answers,
}

/// One image.
pub(super) struct Wish {
    pub wanted: Wanted,
    /// Who names it.
    pub files: BTreeSet<String>,
    /// With which it is to be unpacked.
    pub snapshotters: BTreeSet<String>,
}

impl Wishes {
    /// Reads them.
    pub fn of(asked: Asked<'_>, globals: &Globals) -> Result<Self> {
        let directory = asked.directory;
        let mut wishes = Self {
            answers: Answers::remembered(),
            snapshotter: asked.snapshotter.cloned(),
            ..Self::default()
        };
        let airflow_cfg = AirflowConfig::find(&Environment::of_this_process())?;
        // What holds for DAG files that have no metadata file.
        if let Some(path) = airflow_cfg {
            wishes.add(None, &path.display().to_string(), globals);
        }
        let named = dag_files::named([&directory.to_owned()])?;
        wishes.warnings.extend(named.warnings);
        for dag_file in named.dag_files {
            let below = dag_file.strip_prefix(directory).unwrap_or(&dag_file);
            wishes.add(Some(&dag_file), &below.display().to_string(), globals);
        }
        Ok(wishes)
    }

    /// Takes in what is wanted for `dag_file` in both profiles; `named_by` is what a user is shown.
    fn add(&mut self, dag_file: Option<&Path>, named_by: &str, globals: &Globals) {
        for profile in Profile::ALL {
            let sources = Sources {
                profile: Some(profile),
                dag_file,
                proposed: Layer::default(),
                flags: Layer::default(),
                answers: self.answers.clone(),
            };
            let image = settings::Image::MayComeLater;
            match settings::read_from(sources, Vec::new(), globals, image) {
                Ok(read) => self.take(read, named_by),
                Err(failure) => {
                    let known = |(file, known): &(String, Failure)| {
                        file == named_by && known.to_string() == failure.to_string()
                    };
                    if !self.refused.iter().any(known) {
                        self.refused.push((named_by.to_owned(), failure));
                    }
                }
            }
        }
    }

    fn take(&mut self, read: Read, named_by: &str) {
        self.warnings.extend(read.warnings);
        self.address.get_or_insert(read.address);
        if final_image(&read.merged).is_none() {
            return;
        }
        let wanted = read.settings.image;
        let name = match wanted.reference() {
            Some(reference) => reference.familiar(),
            None => wanted.as_str().to_owned(),
        };
        let snapshotter = self.snapshotter.clone();
        let wish = self.images.entry(name).or_insert_with(|| Wish {
            wanted,
            files: BTreeSet::new(),
            snapshotters: BTreeSet::new(),
        });
        wish.files.insert(named_by.to_owned());
        let own = read.settings.snapshotter;
        wish.snapshotters.insert(snapshotter.unwrap_or(own));
    }
}
