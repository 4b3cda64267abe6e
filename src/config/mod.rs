//! From what was said to what is meant.
//!
//! Each source (defaults, the metadata file, flags) becomes a [`Layer`]: runtime keys with their
//! text and where it was written. [`merge`] puts layers on top of each other; [`Settings`] parses
//! every text once into a type, and an error there names the origin. No containerd, no decisions
//! that need the image or the host.

pub mod env_file;
pub mod keys;
pub mod layer;
pub mod metadata;
mod nearest;
pub mod settings;
pub mod values;

pub use keys::{Key, Merge, Shape};
pub use layer::{Item, Layer, Merged, Origin, merge};
pub use nearest::nearest;
pub use settings::Settings;
