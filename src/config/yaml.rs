//! Runtime keys as a YAML mapping: the body of a metadata file; and the list in a volume file.
//!
//! Which shape a value must have follows from the table of keys. A list may be written as a mapping
//! where its items are `NAME=VALUE`. `null` clears what lower layers say: a whole key, as an item of a
//! list the whole list, or one name of such a mapping.

mod entries;
mod limits;
mod refusal;

use std::path::PathBuf;
use std::sync::Arc;

use serde_saphyr::Location;

use self::entries::{Document, Said, Volumes, What};
pub use self::limits::MAX_SIZE;
use super::keys;
use super::layer::{Layer, Origin};
use crate::failure::{Failure, Place, Result};

/// What a mapping of runtime keys says, and what is no such key.
#[derive(Debug, Default)]
pub struct Body {
    /// The known keys.
    pub layer: Layer,
    /// One failure for each other.
    pub unknown: Vec<Failure>,
}

/// Reads `docker_runtime:` of the file `path`, whose text is `text`.
pub fn body(text: &str, path: PathBuf) -> Result<Body> {
    let path = Arc::new(path);
    let document: Document =
        limits::read(text).map_err(|why| refusal::of(&path, why.without_snippet()))?;
    let mut body = Body::default();
    for said in document.0 {
        match said {
            Said::Known { key, entries } => {
                for entry in entries {
                    let origin = Origin::File(place(&path, entry.location));
                    match entry.what {
                        What::Text(text) => body.layer.say(key, text, origin),
                        What::RemovedName(name) => body.layer.remove(key, name, origin),
                        What::Cleared => body.layer.clear(key, origin),
                    }
                }
            }
            Said::Unknown {
                name,
                location,
                known,
            } => body
                .unknown
                .push(refusal::unknown(&name, known).at(place(&path, location))),
        }
    }
    Ok(body)
}

/// The list of volumes in the file `path` (AIP-46's volume_mount_yaml): a list, alone or below
/// `volumes:`.
pub fn volumes(text: &str, path: PathBuf) -> Result<Layer> {
    let path = Arc::new(path);
    let volumes: Volumes =
        limits::read(text).map_err(|why| refusal::of(&path, why.without_snippet()))?;
    let mut layer = Layer::default();
    if let Some(key) = keys::find("volumes") {
        for volume in volumes.0 {
            let origin = Origin::File(place(&path, volume.referenced));
            layer.say(key, volume.value, origin);
        }
    }
    Ok(layer)
}

/// The reader's location in `path`; it has none where the file is empty.
fn place(path: &Arc<PathBuf>, location: Location) -> Place {
    let known = |number: u64| (number > 0).then_some(number);
    Place {
        path: Arc::clone(path),
        line: known(location.line()),
        column: known(location.column()),
    }
}
