//! Turns `runtime-specs/keys.yaml` into `$OUT_DIR/keys.rs`: the same table as Rust constants, so that
//! no YAML is read at start-up. Schemas and examples become JSON text.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

const TABLE: &str = "runtime-specs/keys.yaml";

/// The type whose flag needs no value.
const SWITCH: &str = "boolean";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    types: BTreeMap<String, Type>,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    written: String,
    schema: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    author: String,
    separator: Option<String>,
    flag: String,
    short: Option<char>,
    alias: Option<String>,
    #[serde(default)]
    value: String,
    merge: String,
    default: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, String>,
    otherwise: Option<String>,
    group: String,
    example: Value,
    help: String,
}

/// Reads the table and writes the constants; a mistake in the table ends the build.
pub fn generate() {
    println!("cargo::rerun-if-changed={TABLE}");
    let text = fs::read_to_string(TABLE).expect("runtime-specs/keys.yaml can be read");
    let Table { types, keys } =
        serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{TABLE}: {why}"));
    for name in types.keys() {
        let used = keys.iter().any(|key| key.kind == *name);
        assert!(used, "{TABLE}: no key has the type {name:?}");
    }
    let mut code = String::from(
        "/// Every runtime key, in the order of the table.\npub static KEYS: &[Key] = &[\n",
    );
    for key in &keys {
        let kind = types
            .get(&key.kind)
            .unwrap_or_else(|| panic!("{TABLE}: unknown type {:?}", key.kind));
        let merge = variant(
            &key.merge,
            &[
                ("replace", "Replace"),
                ("append", "Append"),
                ("by-name", "ByName"),
                ("by-target", "ByTarget"),
            ],
        );
        // Whatever has more than one value is a list.
        let shape = match (merge, key.kind.as_str()) {
            ("Replace", SWITCH) => "Switch",
            ("Replace", _) => "Text",
            _ => "List",
        };
        let author = variant(
            &key.author,
            &[
                ("free", "Free"),
                ("consent", "Consent"),
                ("on-is-free", "OnIsFree"),
                ("off-is-free", "OffIsFree"),
                ("private-mode", "PrivateMode"),
                ("maximum", "Maximum"),
                ("image", "Image"),
                ("host-paths", "HostPaths"),
                ("capabilities", "Capabilities"),
                ("security-options", "SecurityOptions"),
                ("user", "User"),
                ("targets", "Targets"),
                ("ulimits", "Ulimits"),
                ("labels", "Labels"),
                ("variables", "Variables"),
            ],
        );
        let separator = variant(
            key.separator.as_deref().unwrap_or("line"),
            &[("line", "'\\n'"), ("comma", "','")],
        );
        writeln!(
            code,
            "Key {{ name: {:?}, kind: Type {{ name: {:?}, written: {:?}, schema: {:?} }}, author: Author::{author}, \
             separator: {separator}, flag: {:?}, short: {:?}, alias: {:?}, value: {:?}, shape: Shape::{shape}, \
             merge: Merge::{merge}, default: {:?}, profiles: &{:?}, otherwise: {:?}, group: {:?}, example: {:?}, help: {:?} }},",
            key.name,
            key.kind,
            kind.written,
            kind.schema.to_string(),
            key.flag,
            key.short,
            key.alias,
            key.value,
            key.default,
            key.profiles.iter().collect::<Vec<_>>(),
            key.otherwise,
            key.group,
            key.example.to_string(),
            key.help
        )
        .expect("writing to a string works");
    }
    code.push_str("];\n");
    let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    writeln!(
        code,
        "/// Their names.\npub static NAMES: &[&str] = &{names:?};"
    )
    .expect("writing to a string works");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("keys.rs"), code).expect("OUT_DIR can be written");
}

fn variant<'a>(word: &str, known: &[(&str, &'a str)]) -> &'a str {
    let found = known.iter().find(|(name, _)| *name == word);
    found
        .unwrap_or_else(|| panic!("{TABLE}: unknown word {word:?}"))
        .1
}
