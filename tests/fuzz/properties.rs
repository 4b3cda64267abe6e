//! What holds for each reader of configuration, whatever bytes it is given: it ends, it does not
//! panic, and what it has read can be written down and read again as the same.
//!
//! In: the bytes of a file. Out: nothing; a panic is a finding. Used by libFuzzer's targets beside
//! this file, and by `tests/fuzz_corpus.rs`.

use std::fmt::Write;

use airtight::config::airflow_cfg::{AirflowConfig, Environment, Scope};
use airtight::config::layer::Said;
use airtight::config::{Layer, Shape, env_file, yaml};

/// airflow.cfg, in an environment that some of its values speak of.
pub fn airflow_cfg(bytes: &[u8]) {
    let Some(first) = read_config(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let mut again = String::new();
    for (section, settings) in &first {
        let _ = writeln!(again, "[{section}]");
        for (key, raw, _) in settings {
            // A line that goes on is indented.
            let _ = writeln!(again, "{key} = {}", raw.replace('\n', "\n  "));
        }
    }
    assert_eq!(read_config(&again), Some(first));
}

/// Sections with their own settings: key, what is written, what is meant.
type Settings = Vec<(String, Vec<(String, String, String)>)>;

/// `None` where any part of it is refused.
fn read_config(text: &str) -> Option<Settings> {
    let variables = [("A", "$B"), ("B", "b"), ("C", "$A$C"), ("HOME", "/home")];
    let environment: Environment = variables.into_iter().collect();
    let config = AirflowConfig::parse(text, "a.cfg".into(), environment).ok()?;
    let mut all = Some(Vec::new());
    for (section, _) in [("DEFAULT", 0)].into_iter().chain(config.sections()) {
        let mut own = Vec::new();
        for (key, value) in config.section(section) {
            let got = config.get(section, &key);
            let Ok(value) = value else {
                all = None;
                continue;
            };
            // `get` also expands variables, which may fail; it finds the same line.
            if let Ok(got) = got {
                assert_eq!(got.map(|got| got.origin), Some(value.origin));
            }
            if value.scope == Scope::Own {
                own.push((key, value.raw.to_string(), value.text.to_string()));
            }
        }
        if let Some(all) = &mut all {
            all.push((section.to_owned(), own));
        }
    }
    all
}

/// A metadata file.
pub fn metadata(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(body) = yaml::body(text, "d.yaml".into()) else {
        return;
    };
    let said = summary(&body.layer);
    let again = written(body.layer.said());
    let read = yaml::body(&again, "d.yaml".into());
    let read = read.unwrap_or_else(|why| panic!("{again}: {why}"));
    assert!(read.unknown.is_empty());
    assert_eq!(summary(&read.layer), said, "{again}");
}

/// A volume file.
pub fn volume_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(layer) = yaml::volumes(text, "v.yaml".into()) else {
        return;
    };
    let mut again = String::from("volumes: [");
    for said in layer.said() {
        if let Said::Value(item) = said {
            let _ = write!(again, "{}, ", quoted(&item.text));
        }
    }
    again.push(']');
    let read = yaml::volumes(&again, "v.yaml".into());
    let read = read.unwrap_or_else(|why| panic!("{again}: {why}"));
    assert_eq!(summary(&read), summary(&layer), "{again}");
}

/// A file of variables.
pub fn env_file(bytes: &[u8]) {
    let Ok(variables) = env_file::parse(bytes) else {
        return;
    };
    // A byte order mark and a carriage return are taken away once.
    let mut again = String::from("\u{feff}");
    for variable in &variables {
        again.push_str(&variable.name);
        if let Some(value) = &variable.value {
            again.push('=');
            again.push_str(value);
        }
        again.push_str("\r\n");
    }
    assert_eq!(
        env_file::parse(again.as_bytes()),
        Ok(variables),
        "{again:?}"
    );
}

/// What a layer says, without the places.
fn summary(layer: &Layer) -> Vec<(&'static str, &'static str, String)> {
    let one = |said: &Said| match said {
        Said::Value(item) => ("value", item.key.name, item.text.clone()),
        Said::Clear(item) => ("clear", item.key.name, item.text.clone()),
        Said::Remove(item) => ("remove", item.key.name, item.text.clone()),
    };
    layer.said().iter().map(one).collect()
}

/// The metadata file that says it. Whether a list was written as a mapping is seen only where a name
/// is taken away.
fn written(said: &[Said]) -> String {
    let mut text = String::from("docker_runtime: {");
    let key = |said: &Said| match said {
        Said::Value(item) | Said::Clear(item) | Said::Remove(item) => item.key,
    };
    for group in said.chunk_by(|one, other| key(one).name == key(other).name) {
        let Some(key) = group.first().map(key) else {
            continue;
        };
        let _ = write!(text, "{}: ", key.name);
        let is_mapping = group.iter().any(|said| matches!(said, Said::Remove(_)));
        let (open, close) = match key.shape {
            Shape::List if is_mapping => ('{', '}'),
            Shape::List => ('[', ']'),
            _ => (' ', ' '),
        };
        text.push(open);
        let items: Vec<String> = group
            .iter()
            .map(|said| match said {
                Said::Clear(_) => "~".to_owned(),
                // A key without the question mark has at most 1024 characters (YAML 1.2, 7.4.2).
                Said::Remove(item) => format!("? {} : ~", quoted(&item.text)),
                Said::Value(item) if is_mapping => {
                    let (name, value) = item.text.split_once('=').expect("NAME=VALUE");
                    format!("? {} : {}", quoted(name), quoted(value))
                }
                Said::Value(item) => quoted(&item.text),
            })
            .collect();
        text.push_str(&items.join(", "));
        text.push(close);
        text.push_str(", ");
    }
    text.push('}');
    text
}

/// A double-quoted text of YAML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}
