//! The page `docs/keys.md`: every runtime key for the people who set them.
//!
//! In: the table of keys. Out: GitHub's Markdown, the same on every machine.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::config::ceilings::{self, maximum_name, quantities};
use crate::config::{Key, keys};

const HEAD: &str = "\
# Runtime keys

<!-- Made from runtime-specs/keys.yaml by `make docs`. -->

A runtime key is one setting of a container. It has one name, written `memory` in a metadata file, `MEMORY` in the
sections of airflow.cfg and, where it has a flag, `--memory` on the command line. `airtight config keys` prints these
keys as a table, with the ceilings of the airflow.cfg at hand; `airtight config show` what each is set to, and where.

## Layers

Lowest first: the defaults; the defaults of the profile; `[docker_runtime]` of airflow.cfg, with
`[docker_runtime_environment_variables]` and `[docker_runtime_labels]`; the profile's section, with its own two; the
volume file; variables (`AIRFLOW__DOCKER_RUNTIME__MEMORY`); the metadata file; the command line.

In a metadata file `null` clears what lower layers say: as a value, a whole key; as an item, the whole list; as the value
of a name in a mapping, that name. In airflow.cfg a list has one item a line, unless its key says otherwise, and an empty
value says nothing (in a section of variables or labels, it is an empty value).

## Metadata files

```yaml
# <dag file>.metadata.yaml
docker_runtime:
  image: registry.example/team/etl:1.4
  memory: 2g
```

`airtight config schema` prints their JSON schema, from which editors complete them; it is checked in as
[metadata.schema.json](../runtime-specs/metadata.schema.json).

What an author may set there ends at the operator's ceilings, in `[docker_runtime_ceilings]` of airflow.cfg:

| ceiling | means | where it is not set |
|---|---|---|
| `ALLOWED_KEYS` | keys that an author may set to anything | none |
| `ALLOWED_IMAGES` | images, or patterns with `*` and `?` | any image |
| `ALLOWED_VOLUME_PREFIXES` | host directories that may be mounted, with all below | no host path |
";

/// The page.
pub fn text() -> String {
    let maxima: Vec<_> = quantities().map(|key| code(&maximum_name(key))).collect();
    let mut page = format!(
        "{HEAD}| {} | the highest value; what nobody names is set to it where it would be more | no limit |\n",
        maxima.join(", ")
    );
    let mut groups: Vec<&str> = keys::KEYS.iter().map(|key| key.group).collect();
    groups.dedup();
    page.push_str("\n## All keys\n\n");
    for group in &groups {
        let links: Vec<_> = of(group)
            .map(|key| format!("[{0}](#{0})", key.name))
            .collect();
        line(&mut page, format_args!("- {group}: {}", links.join(", ")));
    }
    for group in groups {
        line(&mut page, format_args!("\n## {group}"));
        for key in of(group) {
            section(&mut page, key);
        }
    }
    page
}

fn of(group: &str) -> impl Iterator<Item = &'static Key> {
    keys::KEYS.iter().filter(move |key| key.group == group)
}

fn section(page: &mut String, key: &Key) {
    let default = match key.default_words() {
        none if none.is_empty() => "none".to_owned(),
        words => words,
    };
    line(page, format_args!("\n### {}\n", key.name));
    line(page, format_args!("{}.\n", plain(key.help)));
    line(page, format_args!("- Names: {}", names(key)));
    line(
        page,
        format_args!("- Type: {}: {}", key.type_name(), plain(key.kind.written)),
    );
    line(page, format_args!("- Default: {}", plain(&default)));
    line(page, format_args!("- Layers: {}", key.merge.meaning()));
    line(
        page,
        format_args!("- A metadata file may set: {}", ceilings::rule(key)),
    );
    line(page, format_args!("\n```yaml\n{}```", example(key)));
}

fn names(key: &Key) -> String {
    let separated = if key.separator == ',' {
        ", its items separated by commas"
    } else {
        ""
    };
    let mut names = vec![
        code(key.name) + " in YAML",
        code(&key.airflow_cfg()) + " in airflow.cfg" + separated,
    ];
    let letter = key.short.map(|letter| format!("-{letter}"));
    let alias = key.alias.map(|alias| format!("--{alias}"));
    let flags = [key.long_flag(), letter, alias].into_iter().flatten();
    let flags: Vec<_> = flags.map(|flag| code(&flag)).collect();
    if !flags.is_empty() {
        names.push(flags.join(" or ") + " on the command line");
    }
    names.join("; ")
}

/// The example as a whole metadata file.
fn example(key: &Key) -> String {
    let file: BTreeMap<&str, Value> =
        BTreeMap::from([("docker_runtime", json!({ key.name: key.example_value() }))]);
    serde_saphyr::to_string(&file).unwrap_or_default()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Text that means nothing to Markdown but its back-quotes.
fn plain(text: &str) -> String {
    text.replace('<', "\\<").replace('*', "\\*")
}

fn line(page: &mut String, text: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::metadata;

    #[test]
    fn the_checked_in_page_is_the_one_that_is_printed() {
        assert!(
            text() == include_str!("../../../../docs/keys.md"),
            "keys.yaml changed: `make docs` renews docs/keys.md"
        );
    }

    #[test]
    fn every_example_of_the_page_is_a_metadata_file() {
        let dir = tempfile::tempdir().unwrap();
        let dag = dir.path().join("d.py");
        std::fs::write(&dag, "").unwrap();
        for key in keys::KEYS {
            std::fs::write(dir.path().join("d.py.metadata.yaml"), example(key)).unwrap();
            let body = metadata::read_beside(&dag).unwrap();
            assert!(
                !body.layer.said().is_empty() && body.unknown.is_empty(),
                "{}",
                example(key)
            );
        }
    }
}
