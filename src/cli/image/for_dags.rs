//! `airtight image pull --for-dags DIR`: what tasks and DAG parsing will want, before they do.
//!
//! Every metadata file below a directory is read as a run would read it, over airflow.cfg, for both
//! profiles and with the image hook. Each image that comes of it is pulled once, unless it is here and
//! unpacked. A file whose settings are refused is a failure of its own and stops none of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::pull::{AT_ONCE, Stop, pull, stop};
use super::watch::Display;
use crate::cli::out::{self, Format};
use crate::cli::settings::{self, Read};
use crate::cli::{Globals, dag_files};
use crate::config::airflow_cfg::{AirflowConfig, Environment};
use crate::config::{Answers, Layer, Profile, Sources, final_image};
use crate::containerd::{Client, reach};
use crate::failure::{Failure, Kind, Result};
use crate::human;
use crate::image::pull::{Options, Puller};
use crate::image::unpack::Unpack;
use crate::image::{Image, Wanted, ensure_unpacked, find};

/// How many files a line of the table names.
const SHOWN: usize = 3;

/// Images by name with the files that name them, and files that cannot be read.
#[derive(Default)]
struct Wishes {
    images: BTreeMap<String, (Wanted, BTreeSet<String>)>,
    refused: Vec<(String, Failure)>,
    warnings: BTreeSet<String>,
    /// containerd's, as airflow.cfg says.
    address: Option<String>,
    /// The image hook's, which many files have in common.
    answers: Answers,
}

/// What came of one image.
struct Row {
    image: String,
    files: Vec<String>,
    took: Duration,
    result: Result<(Image, Outcome)>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Present,
    Pulled,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Pulled => "pulled",
        }
    }
}

/// Pulls, and prints what happened.
pub(super) async fn run(
    directory: &Path,
    options: Options,
    format: Format,
    globals: &Globals,
) -> Result<ExitCode> {
    if !directory.is_dir() {
        let what = format!("cannot search {}", directory.display());
        return Err(Failure::usage(what).because("it is no directory"));
    }
    let wishes = Wishes::of(directory, globals)?;
    for warning in &wishes.warnings {
        out::tell(format_args!("warning: {warning}"));
    }
    let address = wishes
        .address
        .clone()
        .unwrap_or_else(|| globals.address(None));
    reach(&address).await?;
    let (client, _) = globals.connect_to(address)?;
    let work = Work {
        client: &client,
        puller: Puller::new(&client, options.clone()),
        unpack: options.unpack,
        display: Display::default(),
        stop: stop(),
    };
    let images = wishes.images.into_iter();
    let rows = images.map(|(image, (wanted, files))| work.row(image, wanted, files));
    let rows: Vec<Row> = stream::iter(rows).buffered(AT_ONCE).collect().await;
    work.display.clear();
    let interrupted = rows.iter().filter_map(|row| row.result.as_ref().err());
    let mut interrupted = interrupted.filter(|why| matches!(why.kind(), Kind::Interrupted(_)));
    if let Some(why) = interrupted.next() {
        return Err(Failure::new(why.kind(), why.message()));
    }
    match format {
        Format::Data(notation) => out::print_data(&data(&rows, &wishes.refused), notation)?,
        Format::Table => print(&rows, &wishes.refused)?,
    }
    let failed = !wishes.refused.is_empty() || rows.iter().any(|row| row.result.is_err());
    Ok(ExitCode::from(u8::from(failed)))
}

impl Wishes {
    fn of(directory: &Path, globals: &Globals) -> Result<Self> {
        let mut wishes = Self {
            answers: Answers::remembered(),
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
        let entry = self.images.entry(name).or_insert((wanted, BTreeSet::new()));
        entry.1.insert(named_by.to_owned());
    }
}

struct Work<'a> {
    client: &'a Client,
    puller: Puller<'a>,
    unpack: Unpack,
    display: Display,
    stop: Stop,
}

impl Work<'_> {
    async fn row(&self, image: String, wanted: Wanted, files: BTreeSet<String>) -> Row {
        let begun = Instant::now();
        let result = self.provide(&wanted).await;
        Row {
            image,
            files: files.into_iter().collect(),
            took: begun.elapsed(),
            result,
        }
    }

    async fn provide(&self, wanted: &Wanted) -> Result<(Image, Outcome)> {
        let missing = match self.present(wanted).await {
            Ok(image) => return Ok((image, Outcome::Present)),
            Err(failure) => failure,
        };
        match wanted.reference() {
            Some(name) if missing.kind() == Kind::Image => {
                let pulled = pull(&self.puller, name, &self.display, self.stop.clone()).await?;
                Ok((pulled.image, Outcome::Pulled))
            }
            _ => Err(missing),
        }
    }

    /// The image, if a run would have nothing to do.
    async fn present(&self, wanted: &Wanted) -> Result<Image> {
        let image = find(self.client, wanted).await?;
        if let Unpack::With(snapshotter) = &self.unpack {
            ensure_unpacked(self.client, &image, snapshotter).await?;
        }
        Ok(image)
    }
}

fn print(rows: &[Row], refused: &[(String, Failure)]) -> Result<()> {
    let mut table = out::table(&["IMAGE", "FILES", "RESULT", "SIZE", "SECONDS"]);
    for row in rows {
        let (result, size) = match &row.result {
            Ok((image, outcome)) => (outcome.word(), human::size(image.size())),
            Err(_) => ("failed", String::new()),
        };
        let seconds = format!("{:.1}", row.took.as_secs_f64());
        let (image, files) = (row.image.clone(), listed(&row.files));
        table.add_row([image, files, result.to_owned(), size, seconds]);
    }
    for (file, _) in refused {
        table.add_row([
            "-".to_owned(),
            file.clone(),
            "refused".to_owned(),
            String::new(),
            String::new(),
        ]);
    }
    out::print(&out::table_text(&table))?;
    let failures = rows.iter().filter_map(|row| row.result.as_ref().err());
    for failure in failures.chain(refused.iter().map(|(_, failure)| failure)) {
        crate::cli::print_failure(failure);
    }
    Ok(())
}

/// The first few files, and how many more there are.
fn listed(files: &[String]) -> String {
    let shown: Vec<&str> = files.iter().take(SHOWN).map(String::as_str).collect();
    match files.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn data(rows: &[Row], refused: &[(String, Failure)]) -> Value {
    let image = |row: &Row| {
        let mut value = json!({
            "image": row.image,
            "files": row.files,
            "seconds": (row.took.as_secs_f64() * 1000.0).round() / 1000.0,
        });
        match &row.result {
            Ok((image, outcome)) => {
                value["result"] = json!(outcome.word());
                value["digest"] = json!(image.target.digest);
                value["size"] = json!(image.size());
            }
            Err(failure) => {
                value["result"] = json!("failed");
                value["error"] = error(failure);
            }
        }
        value
    };
    let file = |(file, failure): &(String, Failure)| json!({"file": file, "error": error(failure)});
    json!({
        "images": rows.iter().map(image).collect::<Vec<_>>(),
        "refused": refused.iter().map(file).collect::<Vec<_>>(),
    })
}

fn error(failure: &Failure) -> Value {
    json!({"message": failure.to_string(), "hints": failure.hints()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_few_files_and_counts_the_others() {
        let files: Vec<String> = (1..=5).map(|n| format!("{n}.py")).collect();
        assert_eq!(listed(&files[..2]), "1.py, 2.py");
        assert_eq!(listed(&files), "1.py, 2.py, 3.py and 2 more");
    }
}
