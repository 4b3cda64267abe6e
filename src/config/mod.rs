//! From what was said to what is meant.
//!
//! Each source (defaults, the metadata file, flags) becomes a [`Layer`]: runtime keys with their
//! text and where it was written. [`merge`] puts layers on top of each other; [`Settings`] parses
//! every text once into a type, and an error there names the origin. No containerd, no decisions
//! that need the image or the host.

pub mod airflow_cfg;
pub mod ceilings;
pub mod check;
pub mod env_file;
mod hook;
mod identity;
mod image;
pub mod keys;
pub mod layer;
pub mod metadata;
mod nearest;
pub mod on_path;
pub mod operator;
mod pattern;
pub mod profile;
mod program;
pub mod schema;
mod secret;
pub mod settings;
mod short;
pub mod sources;
mod text_file;
pub mod values;
mod words;
pub mod yaml;

pub use hook::Answers;
pub use image::{final_image, with_any_image};
pub use keys::{Author, Key, Merge, Shape};
pub use layer::{Item, Layer, Merged, Origin, merge};
pub use nearest::nearest;
pub use profile::Profile;
pub use secret::masked;
pub use settings::Settings;
pub use sources::{Collected, Sources};
