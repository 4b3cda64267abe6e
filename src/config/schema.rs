//! The JSON schema of metadata files, from which editors complete and check them.
//!
//! In: the table of keys. Out: a document of draft 7, the newest that editors' YAML servers know. What
//! the YAML reader and [`Settings`](super::Settings) take, it takes; it may take more, never less.

use serde_json::{Map, Value, json};

use super::keys::{KEYS, Key, Merge, Shape};

const DESCRIPTION: &str = "Container settings of one DAG file, in <dag file>.metadata.yaml beside it. They count above \
     airflow.cfg, as far as the operator's ceilings allow, and below the command line. null says that nothing of what \
     lower layers say counts.";

/// The schema as it is printed and kept in `runtime-specs/metadata.schema.json`.
pub fn text() -> String {
    format!("{:#}\n", document())
}

/// The schema.
pub fn document() -> Value {
    let keys: Map<_, _> = KEYS
        .iter()
        .map(|key| (key.name.to_owned(), of_key(key)))
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "airtight: <dag file>.metadata.yaml",
        "description": DESCRIPTION,
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "docker_runtime": {
                "description": DESCRIPTION,
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": keys,
            },
        },
    })
}

fn of_key(key: &Key) -> Value {
    let value = nullable(key.kind.schema_value());
    let mut schema = match (key.shape, key.merge) {
        (Shape::List, Merge::ByName) => json!({
            "type": ["array", "object", "null"],
            "items": value,
            "propertyNames": { "pattern": "^[^=]+$" },
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
        }),
        (Shape::List, _) => json!({ "type": ["array", "null"], "items": value }),
        (Shape::Switch | Shape::Text, _) => value,
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), description(key).into());
        schema.insert("examples".to_owned(), json!([key.example_value()]));
        if let Some(default) = key.default {
            schema.insert("default".to_owned(), default_of(default));
        }
    }
    schema
}

fn description(key: &Key) -> String {
    let written = match key.shape {
        Shape::List => "Each item",
        Shape::Switch | Shape::Text => "Written as",
    };
    format!(
        "{}. {written}: {}. {}.",
        key.help,
        key.kind.written,
        key.merge.meaning()
    )
}

/// `true` and `10` are not meant as texts.
fn default_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The schema, and null.
fn nullable(mut schema: Value) -> Value {
    for (word, nothing) in [
        ("type", json!("null")),
        ("enum", Value::Null),
        ("anyOf", json!({ "type": "null" })),
    ] {
        match schema.get_mut(word) {
            Some(Value::Array(any)) => any.push(nothing),
            Some(one) => *one = json!([one, nothing]),
            None => {}
        }
    }
    schema
}

#[cfg(test)]
mod tests;
