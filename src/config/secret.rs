//! Settings as they may be shown: in tables, JSON and messages.

use super::layer::Item;
use crate::secret;

/// The key whose values are shown nowhere, whatever their names.
pub(super) const PRIVATE: &str = "private_environments";

/// How much of a value a message repeats.
const QUOTED: usize = 80;

/// What was written, without secrets.
pub fn masked(item: &Item) -> String {
    if item.key.name == PRIVATE {
        secret::hidden(&item.text)
    } else {
        secret::pair(&item.text)
    }
}

/// The same in quotes, or the beginning of it.
pub(super) fn quoted(item: &Item) -> String {
    beginning(&masked(item))
}

/// A text in quotes, or as much of it as a message repeats.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::find;
    use super::super::layer::Origin;
    use super::*;

    fn item(key: &str, text: &str) -> Item {
        Item {
            key: find(key).unwrap(),
            text: text.to_owned(),
            origin: Origin::Flag,
        }
    }

    #[test]
    fn a_private_variable_shows_its_name_and_another_only_hides_secrets() {
        assert_eq!(
            masked(&item("private_environments", "STAGE=x")),
            "STAGE=***"
        );
        assert_eq!(masked(&item("environments", "STAGE=x")), "STAGE=x");
        assert_eq!(masked(&item("labels", "db-token=x")), "db-token=***");
    }

    #[test]
    fn a_refusal_quotes_no_secret_and_no_more_than_can_be_read() {
        let refusal = |key, text: &str| item(key, text).refuse("why").to_string();
        assert_eq!(
            refusal("private_environments", "A B=x"),
            "invalid value \"***=***\" for --private-env: why"
        );
        assert_eq!(
            refusal("environments", "TOKEN=x"),
            "invalid value \"TOKEN=***\" for --env: why"
        );
        let long = refusal("name", &"ü".repeat(5000));
        assert!(
            long.contains("üü\"… for --name: why") && long.len() < 250,
            "{long}"
        );
    }
}
