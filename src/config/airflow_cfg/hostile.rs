//! Property tests: whatever the file and the variables hold, every value is read or refused.

use proptest::prelude::*;

use super::super::words;
use super::*;

/// Reads everything there is in a file; what comes out of it does not matter here.
fn read_everything(text: &str, environment: Environment) {
    let Ok(config) = AirflowConfig::parse(text, "a.cfg".into(), environment) else {
        return;
    };
    for (section, _) in config.sections().chain([("DEFAULT", 0), ("none", 0)]) {
        for (key, value) in config.section(section) {
            let got = config.get(section, &key);
            // `get` may fail where `section` does not, since it expands; it finds the same place.
            if let (Ok(value), Ok(got)) = (value, got) {
                assert_eq!(got.map(|got| got.origin), Some(value.origin));
            }
        }
    }
}

/// Lines with a fair chance to be settings that refer to each other.
fn structured() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => "[a-dA-D]{1,2} ?[=:] ?(%\\([a-dA-D]{1,2}\\)s|%%|x|\\$[A-C]|~){0,4}",
        1 => "\\[(s|t|DEFAULT|none)\\]",
        1 => "[ \t]{1,3}(y|[a-d] = z|%\\([a-d]\\)s|#c)",
        1 => "[ -~\u{1c}-\u{1f}\u{85}\u{a0}\0]{0,6}",
    ];
    let lines = proptest::collection::vec(line, 0..30);
    (lines, "\n|\r\n|\r").prop_map(|(lines, end)| format!("[s]{end}{}", lines.join(&end)))
}

fn variables() -> impl Strategy<Value = Environment> {
    let value = "(\\$[A-C]|\\$\\{[A-C]\\}|~|x|%|/){0,4}";
    let name = "[A-C]|AIRFLOW__(S|NONE)__[A-Da-d_]{1,2}";
    proptest::collection::vec((name, value), 0..6).prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everything(&String::from_utf8_lossy(&bytes), Environment::default());
    }

    #[test]
    fn any_settings_are_read_or_refused(text in structured(), environment in variables()) {
        read_everything(&text, environment);
    }

    #[test]
    fn any_command_line_is_split_or_refused(text in "[ -~\n]{0,40}") {
        let _ = words::split(&text);
    }

    #[test]
    fn any_value_is_converted_or_refused(text in "[-+0-9._eEa-z# \u{a0}]{0,12}") {
        let variables = [("AIRFLOW__S__K", text)].into_iter().collect();
        let value = AirflowConfig::without_file(variables).get("s", "k").unwrap().unwrap();
        let _ = value.boolean();
    }
}
