//! Turns `runtime-specs/keys.yaml` into `$OUT_DIR/keys.rs`: the same table as Rust constants, so that
//! no YAML is read at start-up.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

const TABLE: &str = "runtime-specs/keys.yaml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    author: String,
    separator: Option<String>,
    flag: String,
    short: Option<char>,
    alias: Option<String>,
    #[serde(default)]
    value: String,
    shape: String,
    merge: String,
    default: Option<String>,
    group: String,
    help: String,
}

/// Reads the table and writes the constants; a mistake in the table ends the build.
pub fn generate() {
    println!("cargo::rerun-if-changed={TABLE}");
    let text = fs::read_to_string(TABLE).expect("runtime-specs/keys.yaml can be read");
    let keys: Vec<Key> =
        serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{TABLE}: {why}"));
    let mut code = String::from(
        "/// Every runtime key, in the order of the table.\npub static KEYS: &[Key] = &[\n",
    );
    for key in &keys {
        let shape = variant(
            &key.shape,
            &[("switch", "Switch"), ("text", "Text"), ("list", "List")],
        );
        let merge = variant(
            &key.merge,
            &[
                ("replace", "Replace"),
                ("append", "Append"),
                ("by-name", "ByName"),
            ],
        );
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
                ("unless-set", "UnlessSet"),
                ("variables", "Variables"),
            ],
        );
        let separator = variant(
            key.separator.as_deref().unwrap_or("line"),
            &[("line", "'\\n'"), ("comma", "','")],
        );
        writeln!(
            code,
            "Key {{ name: {:?}, author: Author::{author}, separator: {separator}, flag: {:?}, short: {:?}, alias: {:?}, value: {:?}, shape: Shape::{shape}, \
             merge: Merge::{merge}, default: {:?}, group: {:?}, help: {:?} }},",
            key.name, key.flag, key.short, key.alias, key.value, key.default, key.group, key.help
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
