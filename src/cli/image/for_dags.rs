//! `airtight image pull --for-dags DIR`: what tasks and DAG parsing will want, before they do.
//!
//! Every metadata file below a directory is read as a run would read it, over airflow.cfg, for both
//! profiles and with the image hook. Each image that comes of it is pulled once, unless it is here and
//! unpacked with every snapshotter that is asked for. A file whose settings are refused is a failure of its own and stops none of the others.

mod wishes;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use self::wishes::{Wish, Wishes};
use super::pull::{AT_ONCE, Stop, pull, stop};
use super::watch::Display;
use crate::cli::Globals;
use crate::cli::out::{self, Format};
use crate::containerd::{Client, reach};
use crate::failure::{Failure, Kind, Result};
use crate::human;
use crate::image::pull::{Options, Puller};
use crate::image::unpack::Unpack;
use crate::image::{Image, ensure_unpacked, find};

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// `--for-dags`.
    pub directory: &'a Path,
    /// `--snapshotter`, above what the settings say.
    pub snapshotter: Option<&'a String>,
}

/// How many files a line of the table names.
const SHOWN: usize = 3;

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
    asked: Asked<'_>,
    options: Options,
    format: Format,
    globals: &Globals,
) -> Result<ExitCode> {
    if !asked.directory.is_dir() {
        let what = format!("cannot search {}", asked.directory.display());
        return Err(Failure::usage(what).because("it is no directory"));
    }
    let wishes = Wishes::of(asked, globals)?;
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
        puller: Puller::new(&client, options),
        display: Display::default(),
        stop: stop(),
    };
    let images = wishes.images.into_iter();
    let rows = images.map(|(image, wish)| work.row(image, wish));
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

struct Work<'a> {
    client: &'a Client,
    puller: Puller<'a>,
    display: Display,
    stop: Stop,
}

impl Work<'_> {
    async fn row(&self, image: String, wish: Wish) -> Row {
        let begun = Instant::now();
        let result = self.provide(&wish).await;
        Row {
            image,
            files: wish.files.into_iter().collect(),
            took: begun.elapsed(),
            result,
        }
    }

    async fn provide(&self, wish: &Wish) -> Result<(Image, Outcome)> {
        let missing = match self.present(wish).await {
            Ok(image) => return Ok((image, Outcome::Present)),
            Err(failure) => failure,
        };
        match wish.wanted.reference() {
            Some(name) if missing.kind() == Kind::Image => {
                let unpack = Unpack::With(wish.snapshotters.iter().cloned().collect());
                let stop = self.stop.clone();
                let pulled = pull(&self.puller, name, &unpack, &self.display, stop).await?;
                Ok((pulled.image, Outcome::Pulled))
            }
            _ => Err(missing),
        }
    }

    /// The image, if a run would have nothing to do.
    async fn present(&self, wish: &Wish) -> Result<Image> {
        let image = find(self.client, &wish.wanted).await?;
        for snapshotter in &wish.snapshotters {
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
