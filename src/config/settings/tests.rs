//! Any text under any key is a setting, or refused by name.

use super::*;
use crate::config::keys::{KEYS, Key, find};
use crate::config::layer::{Layer, Origin, merge};
use proptest::prelude::*;

fn around() -> Surroundings {
    Surroundings {
        variables: BTreeMap::from([("OURS".to_owned(), "o".into())]),
        ..Surroundings::default()
    }
}

fn parsed(said: &[(&'static Key, &str)]) -> Result<Settings> {
    let mut layer = Layer::default();
    for (key, text) in [(find("image").unwrap(), "busybox")].iter().chain(said) {
        layer.say(key, *text, Origin::Flag);
    }
    Settings::parse(&merge([&Layer::defaults(), &layer]), Vec::new(), &around())
}

fn with(name: &str, text: &str) -> Result<Settings> {
    parsed(&[(find(name).unwrap(), text)])
}

#[test]
fn the_defaults_and_an_image_are_enough() {
    let settings = parsed(&[]).unwrap();
    assert!(settings.init && !settings.tty && settings.mounts.is_empty());
}

#[test]
fn of_a_name_and_a_key_the_later_layer_s_counts() {
    let layer = |name: &str| {
        let mut layer = Layer::default();
        layer.say(find("image").unwrap(), "busybox", Origin::Flag);
        layer.say(find(name).unwrap(), "x", Origin::Flag);
        layer
    };
    for (first, last) in [("name", "key"), ("key", "name")] {
        let merged = merge([&Layer::defaults(), &layer(first), &layer(last)]);
        let settings = Settings::parse(&merged, Vec::new(), &around()).unwrap();
        let both = [settings.name.is_some(), settings.key.is_some()];
        assert_eq!(both, [last == "name", last == "key"]);
    }
    // In one layer it is a mistake, which the plan refuses.
    let both = [(find("name").unwrap(), "x"), (find("key").unwrap(), "y")];
    let settings = parsed(&both).unwrap();
    assert!(settings.name.is_some() && settings.key.is_some());
}

#[test]
fn zero_is_as_good_as_nothing_where_docker_says_so() {
    for name in ["cpus", "cpu_shares", "shm_size"] {
        let settings = with(name, "0").unwrap();
        let limits = &settings.limits;
        assert!(
            limits.cpus.is_none() && limits.cpu_shares.is_none() && settings.shm_size.is_none(),
            "{name}"
        );
    }
}

#[test]
fn an_error_names_the_flag_and_keeps_its_reason_and_hints() {
    let failure = with("run_as_user", "-1").unwrap_err();
    let text = failure.to_string();
    assert!(
        text.starts_with("invalid value \"-1\" for --user: ids go from"),
        "{text}"
    );
    assert!(!failure.hints().is_empty());
}

#[test]
fn a_bare_variable_takes_our_value_or_takes_the_image_s_away() {
    let settings = with("environments", "OURS").unwrap();
    assert_eq!(
        settings.environment.get("OURS").and_then(Option::as_deref),
        Some("o")
    );
    let absent = with("environments", "NOT").unwrap().environment;
    assert_eq!(absent.get("NOT"), Some(&None));
}

#[test]
fn a_private_variable_wins_in_its_layer_and_stays_private_below_a_higher_one() {
    let layer = |key: &str, text: &str| {
        let mut layer = Layer::default();
        layer.say(find(key).unwrap(), text, Origin::Flag);
        layer
    };
    let layers = [
        layer("image", "busybox"),
        layer("private_environments", "A=private"),
        layer("private_environments", "OURS"),
        layer("environments", "A=flag"),
    ];
    let both = {
        let mut both = layer("private_environments", "B=private");
        both.say(find("environments").unwrap(), "B=open", Origin::Flag);
        both
    };
    let layers = layers.into_iter().chain([both]).collect::<Vec<_>>();
    let merged = merge([&Layer::defaults()].into_iter().chain(&layers));
    let settings = Settings::parse(&merged, Vec::new(), &around()).unwrap();
    let value = |name| settings.environment.get(name).and_then(Option::as_deref);
    assert_eq!((value("A"), value("B")), (Some("flag"), Some("private")));
    assert_eq!(
        settings.private,
        ["A", "B", "OURS"].map(str::to_owned).into()
    );
}

proptest! {
    #[test]
    fn any_text_is_a_setting_or_refused(number in 0..KEYS.len(), text in "(?s).{0,64}") {
        let key = &KEYS[number];
        // (The one key that opens what it names.)
        if key.name != "env_file"
            && let Err(failure) = parsed(&[(key, &text)])
        {
            let said = failure.to_string();
            let flag = format!("--{}", key.flag);
            prop_assert!(said.contains(&flag) || said.contains("two mounts"), "{}", said);
        }
    }

    #[test]
    fn any_number_is_a_setting_or_refused(number in 0..KEYS.len(), text in "[-+]?[0-9.]{0,20}(e[0-9]{1,3})?[a-zA-Z]{0,3}") {
        let _ = parsed(&[(&KEYS[number], &text)]);
    }
}
