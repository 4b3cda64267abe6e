//! How much YAML is read: so little that the most hostile file of that size costs neither a second
//! nor 50 MiB, and so much that no file for people comes near it.
//!
//! In: text. Out: what it says, or the reader's error. Without these limits a file of 1 MiB took
//! minutes and gigabytes: a merge key (`<<`) in every mapping of a deep nest copies everything below
//! it once for each level, and an alias copies what it names.

use serde::Deserialize;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, budget, options};

/// Bytes of a file: more than a hundred for each value that it may hold.
pub const MAX_SIZE: u64 = 256 << 10;

/// Keys, values, lists and mappings, as often as aliases repeat them. Each value of a key is merged,
/// checked and may become a message of its own.
const MAX_NODES: usize = 2000;

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
        BudgetBreach::ScalarBytes { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
            format!("its texts have more than {MAX_TEXT} bytes, with what aliases repeat")
        }
        _ => format!("it holds more than {MAX_NODES} keys and values, with what aliases repeat"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::body;

    /// Why the body `text` of a metadata file is refused.
    fn refusal(text: &str) -> String {
        let failure = body(&format!("docker_runtime:\n  {text}\n"), "d.yaml".into());
        failure.unwrap_err().to_string()
    }

    #[test]
    fn as_many_values_as_people_write_are_read() {
        let lines: String = (0..900).map(|n| format!("    K{n}: v\n")).collect();
        let text = format!("docker_runtime:\n  environments:\n{lines}");
        assert_eq!(
            body(&text, "d.yaml".into()).unwrap().layer.said().len(),
            900
        );
    }

    #[test]
    fn more_values_than_people_write_are_refused() {
        let why = refusal(&format!("volumes: [{}]", "x,".repeat(2001)));
        assert!(why.starts_with("d.yaml:2:"), "{why}");
        assert!(why.ends_with("it holds more than 2000 keys and values, with what aliases repeat"));
        let keys: String = (0..1001).map(|n| format!("K{n}: 1, ")).collect();
        let mapping = refusal(&format!("environments: {{{keys}}}"));
        assert!(mapping.contains("more than 2000 keys"), "{mapping}");
    }

    #[test]
    fn what_aliases_repeat_counts_each_time() {
        let list = format!("[{}]", "x,".repeat(99));
        let why = refusal(&format!("volumes: [&a {list}, {}]", "*a,".repeat(30)));
        assert!(
            why.contains("a single text"),
            "nothing is repeated in vain: {why}"
        );
        let other = refusal(&format!("other: [&a {list}, {}]", "*a,".repeat(30)));
        assert!(other.contains("more than 2000 keys"), "{other}");
        let long = "x".repeat(60_000);
        let why = refusal(&format!("volumes: [&a {long}, {}]", "*a,".repeat(10)));
        assert!(why.ends_with("its texts have more than 524288 bytes, with what aliases repeat"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let previous = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        let why = body(&bomb, "d.yaml".into()).unwrap_err().to_string();
        assert!(why.contains("the file is too complex"), "{why}");
    }

    #[test]
    fn what_is_nested_deeper_than_people_nest_is_refused() {
        for text in ["- ".repeat(17), "? ".repeat(17)] {
            let why = refusal(&format!("other:\n    {text}x"));
            assert!(why.contains("nested more than 16 deep"), "{text}: {why}");
        }
        for text in ["[".repeat(1000), "{".repeat(1000), "[{".repeat(1000)] {
            let why = refusal(&format!("other: {text}"));
            assert!(why.contains("recursion limit"), "{why}");
        }
    }

    #[test]
    fn a_hundred_anchors_and_merge_keys_are_enough() {
        let anchors: String = (0..101).map(|n| format!("&a{n} x, ")).collect();
        let why = refusal(&format!("volumes: [{anchors}]"));
        assert!(why.ends_with("more than 100 anchors (&NAME)"), "{why}");
        let merges: String = (0..101).map(|n| format!("{{<<: {{K{n}: 1}}}}, ")).collect();
        let why = refusal(&format!("environments: {{<<: [{merges}]}}"));
        assert!(why.ends_with("more than 100 merge keys (<<)"), "{why}");
    }

    #[test]
    fn merge_keys_in_each_other_are_refused_before_they_multiply() {
        let keys: String = (0..900).map(|n| format!("K{n}: 1, ")).collect();
        let deep = format!("{}{{{keys}}}{}", "{<<: ".repeat(20), "}".repeat(20));
        assert!(refusal(&format!("environments: {deep}")).contains("too complex"));
    }
}
