//! How images, imports and progress look as text, tables and JSON.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::cli::out;
use crate::human;
use crate::image::import::Imported;
use crate::image::list::Listed;
use crate::image::progress::Progress;
use crate::image::pull::Pulled;
use crate::image::{Image, Reference};

pub(super) fn imported_text(imported: &Imported) -> String {
    let names = imported.names.iter();
    names
        .map(|name| named_text(name, &imported.image))
        .collect()
}

/// A name, what it points to, and the size.
pub(super) fn named_text(name: &Reference, image: &Image) -> String {
    let (digest, size) = (image.target.digest, human::size(image.size()));
    format!("{} {digest} {size}\n", name.familiar())
}

pub(super) fn imported_json(imported: &Imported) -> Value {
    named_json(&imported.names, &imported.image)
}

pub(super) fn pulled_json(pulled: &Pulled) -> Value {
    let mut value = named_json(std::slice::from_ref(&pulled.name), &pulled.image);
    value["fetched"] = json!(pulled.fetched);
    value
}

fn named_json(names: &[Reference], image: &Image) -> Value {
    let names: Vec<String> = names.iter().map(Reference::to_string).collect();
    let mut value = image_json(image);
    value["names"] = json!(names);
    value
}

fn image_json(image: &Image) -> Value {
    json!({
        "digest": image.target.digest,
        "manifest": image.manifest.digest,
        "id": image.config_blob.digest,
        "created": image.config.created(),
        "os": image.config.os(),
        "architecture": image.config.architecture(),
        "size": image.size(),
    })
}

pub(super) fn listed_json(listed: &Listed) -> Value {
    let mut value = match &listed.image {
        Ok(image) => image_json(image),
        Err(failure) => json!({"digest": listed.target, "error": failure.to_string()}),
    };
    value["name"] = json!(listed.name);
    value
}

pub(super) fn listed_table(images: &[Listed], now: SystemTime) -> String {
    let mut table = out::table(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    for listed in images {
        let none = || "<none>".to_owned();
        let (repository, tag) = match listed.reference() {
            Some(name) => (name.familiar_repository(), name.tag().map(str::to_owned)),
            None => (listed.name.clone(), None),
        };
        let (id, created, size) = match &listed.image {
            Ok(image) => (
                image.config_blob.digest.short(),
                created(image, now),
                human::size(image.size()),
            ),
            Err(_) => (none(), "N/A".to_owned(), "N/A".to_owned()),
        };
        table.add_row([repository, tag.unwrap_or_else(none), id, created, size]);
    }
    out::table_text(&table)
}

/// When the image was built, as far as it says so.
fn created(image: &Image, now: SystemTime) -> String {
    let created = image.config.created().as_deref();
    let time = created.and_then(|text| humantime::parse_rfc3339(text).ok());
    time.map_or_else(|| "N/A".to_owned(), |then| human::ago(then, now))
}

/// One line on a terminal that says what is being done.
#[derive(Default)]
pub(super) struct ProgressLine {
    shown: AtomicBool,
}

impl ProgressLine {
    /// Shows `progress` instead of what was shown before.
    pub(super) fn show(&self, progress: Progress) {
        if !io::stderr().is_terminal() {
            return;
        }
        let text = match progress {
            Progress::Storing {
                digest,
                done,
                total,
            } => format!(
                "storing {} {} of {}",
                digest.short(),
                human::size(done),
                human::size(total)
            ),
            Progress::Unpacking { layer, layers } => format!("unpacking layer {layer} of {layers}"),
            // A pull's own.
            Progress::Resolved { .. } | Progress::Layer { .. } => return,
        };
        self.write(&text);
    }

    /// Shows `text` instead of what was shown before.
    pub(super) fn write(&self, text: &str) {
        // Back to the line's start, then the text, then the rest erased (ECMA-48, EL). A terminal
        // that cannot be written to is no reason to stop.
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
        self.shown.store(true, Ordering::Relaxed);
    }

    /// Erases the line.
    pub(super) fn clear(&self) {
        if self.shown.load(Ordering::Relaxed) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
