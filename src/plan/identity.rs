//! What a run is called, and which others must not be beside it.
//!
//! In: the settings. Out: the container's id, and the key behind it. A key is any text that says what a
//! run is of; its id is the same each time, so that there is never more than one of it.

use serde::Serialize;

use crate::config::settings::Settings;
use crate::config::values::{OnConflict, OwnerDeath};
use crate::failure::{Failure, Result};
use crate::id::ContainerId;

/// The key of a run.
#[derive(Debug, Clone, Serialize)]
pub struct KeyPlan {
    /// As it was written.
    pub text: String,
    /// What to do where a run with the same one lives.
    pub on_conflict: OnConflict,
}

/// The id of a run with these settings: made from its key, its name, or random.
pub fn id(settings: &Settings) -> Result<ContainerId> {
    let refuse = |what: &str, why: &str| Err(Failure::usage(what).because(why));
    match (&settings.name, &settings.key) {
        (Some(_), Some(_)) => refuse(
            "--name and --key cannot be together",
            "the container of a run with a key is called by a name made from the key",
        ),
        (_, None) if settings.on_conflict != OnConflict::Fail => refuse(
            "--on-conflict needs --key",
            "it says what to do where a run with the same key lives",
        ),
        _ if settings.on_owner_death != OwnerDeath::Kill && !settings.init => refuse(
            "--on-owner-death stop and keep need the init",
            "it is the init inside that notices the owner's death",
        ),
        (_, None) if settings.on_owner_death == OwnerDeath::Keep => refuse(
            "--on-owner-death keep needs --key",
            "a later run with the same key is what it is kept for",
        ),
        (None, Some(key)) => Ok(ContainerId::of_key(key)),
        (Some(name), None) => Ok(name.clone()),
        (None, None) => ContainerId::random(),
    }
}

/// Its key.
pub fn key(settings: &Settings) -> Option<KeyPlan> {
    settings.key.clone().map(|text| KeyPlan {
        text,
        on_conflict: settings.on_conflict,
    })
}

#[cfg(test)]
mod tests {
    use crate::plan::fixture;

    use super::id;

    fn named(flags: &[(&str, &str)]) -> Result<String, String> {
        id(&fixture::settings(flags))
            .map(|id| id.to_string())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_key_gives_the_same_id_each_time_and_another_key_another() {
        let first = named(&[("key", "dag/täsk ☃")]).unwrap();
        assert_eq!(named(&[("key", "dag/täsk ☃")]).unwrap(), first);
        assert_ne!(named(&[("key", "dag/other")]).unwrap(), first);
        assert!(first.starts_with("key-") && first.len() == 20, "{first}");
        assert_eq!(named(&[("name", "me")]).unwrap(), "me");
        assert_eq!(named(&[]).unwrap().len(), 16);
    }

    #[test]
    fn what_has_no_meaning_without_a_key_is_refused() {
        for (flags, words) in [
            (&[("key", "k"), ("name", "n")][..], "--name and --key"),
            (&[("on_conflict", "replace")], "--on-conflict needs --key"),
            (
                &[("on_owner_death", "keep")],
                "--on-owner-death keep needs --key",
            ),
            (
                &[("on_owner_death", "stop"), ("init", "false")],
                "--on-owner-death stop and keep need the init",
            ),
        ] {
            let refusal = named(flags).unwrap_err();
            assert!(refusal.starts_with(words), "{refusal}");
        }
        assert!(named(&[("on_owner_death", "stop")]).is_ok());
    }
}
