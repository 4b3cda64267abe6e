//! How much YAML is read: so little that the most hostile file of that size costs neither a second
//! nor 50 MiB, and so much that no file for people comes near it.
//!
//! In: text. Out: what it says, or the reader's error. Without these limits a file of 1 MiB took
//! minutes and gigabytes: a merge key (`<<`) in every mapping of a deep nest copies everything below
//! it once for each level, and an alias copies what it names.

use serde::Deserialize;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, budget, options};

/// Bytes of a file; 5000 volumes fit, and what nobody wrote by hand does not.
pub const MAX_SIZE: u64 = 256 << 10;

/// Keys, values, lists and mappings, as often as aliases repeat them. Each value of a key is merged,
/// checked and may become a message of its own.
const MAX_NODES: usize = 5000;

/// A list inside a key inside `docker_runtime` is at 3; aliases and merge keys may wrap it.
const MAX_DEPTH: usize = 16;

/// Bytes of all texts, as often as aliases repeat them.
const MAX_TEXT: usize = 2 * MAX_SIZE as usize;

/// Anchors, and merge keys: each costs a copy of what it stands at.
const MAX_ANCHORS: usize = 100;

/// Reads one document.
pub fn read<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, Error> {
    let options = options! {
        budget: budget! {
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            max_total_scalar_bytes: MAX_TEXT,
            max_anchors: MAX_ANCHORS,
            max_merge_keys: MAX_ANCHORS,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_TEXT,
            // Said above, and counted with every copy.
            enforce_alias_anchor_ratio: false,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// Which limit it was, in words.
pub fn words(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => format!("it is nested more than {MAX_DEPTH} deep"),
        BudgetBreach::Anchors { .. } => format!("it has more than {MAX_ANCHORS} anchors (&NAME)"),
        BudgetBreach::MergeKeys { .. } => format!("it has more than {MAX_ANCHORS} merge keys (<<)"),
        _ => format!("it holds more than {MAX_NODES} keys and values, with what aliases repeat"),
    }
}
