//! The schema against the table and against what is really taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;

use super::*;
use crate::config::layer::{Layer, Origin, merge};
use crate::config::settings::{Settings, Surroundings};
use crate::config::{keys, yaml};
use crate::failure::Result;

static SCHEMA: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::draft7::new(&document()).expect("a schema"));

fn schema_takes(key: &Key, value: &Value) -> bool {
    SCHEMA.is_valid(&json!({ "docker_runtime": { key.name: value } }))
}

/// JSON is YAML.
fn parsed(key: &Key, value: &Value) -> Result<Settings> {
    let text = json!({ "docker_runtime": { key.name: value } }).to_string();
    let mut operator = Layer::default();
    // AIP-46's two keys take the place of image.
    if !key.name.starts_with("container_") {
        operator.say(keys::find("image").unwrap(), "busybox", Origin::Flag);
    }
    // What a limit needs beside it is not the schema's affair.
    operator.say(keys::find("limit_resource").unwrap(), "false", Origin::Flag);
    if key.name == "container_tag" {
        operator.say(
            keys::find("container_repository").unwrap(),
            "busybox",
            Origin::Flag,
        );
    }
    let author = yaml::body(&text, "a.yaml".into())?.layer;
    let merged = merge([&Layer::defaults(), &operator, &author]);
    Settings::parse(&merged, Vec::new(), &Surroundings::default())
}

/// One value of the key's type, in a list where the key is one.
fn in_its_shape(key: &Key, value: Value) -> Value {
    match key.shape {
        Shape::List => json!([value]),
        Shape::Switch | Shape::Text => value,
    }
}

/// What the parsers of each type take, separated by blanks.
const SPELLINGS: &[(&str, &str)] = &[
    ("boolean", "true FALSE Yes nO on OFF 1 0"),
    ("size", "0 512 1k 64M 1.5g 2GiB 10kb .5g 5. 5ib 1P"),
    ("size or -1", "-1 0 4g 1.5GB"),
    ("CPUs", "0 1 0.01 +1.5 15e-1 .5 1000000"),
    ("CPU weight", "0 2 +262144"),
    ("I/O weight", "0 10 1000"),
    ("OOM score", "-1000 +1000 0"),
    ("process count", "-1 0 -0 -01 +5 4294967295"),
    ("file count", "1 +5 007 4294967295"),
    ("log driver", "local json-file none"),
    ("number ranges", "0 0-2,7 +1-+3 007"),
    (
        "signal",
        "TERM sigterm 15 SIG15 RTMIN RTMIN+3 rtmax-1 RTMIN+-3 +9",
    ),
    (
        "duration",
        "20 0.5 90s 2m 1h30m 1h500ms +5 5e1 .5 5. 1.5h 3µs 2weeks",
    ),
    ("user", "root 0 1000:1000 root:audio 1.5 a-b"),
    ("volume", "/a /a:/b /a:/b: /a:/b:ro,rslave /a:/b:z"),
    ("device", "/dev/a /dev/a:r /dev/a:/dev/b /dev/a:/dev/b:rwm"),
    (
        "mount",
        "type=bind,source=/a,target=/b type=tmpfs,dst=/t,tmpfs-size=1m \"target=/a\" target=/b,ro",
    ),
    ("tmpfs", "/t /t: /t:size=1m,exec,mode=1777"),
    ("ulimit", "nofile=1 NOFILE=1:2 core=0:-1 core=unlimited"),
    ("descriptor", "0 5 +5 -0 65535"),
    ("capability", "ALL net_admin CAP_SYS_PTRACE cap_all"),
    (
        "security option",
        "no-new-privileges no-new-privileges: no-new-privileges=false seccomp:unconfined seccomp=/f apparmor=p",
    ),
    (
        "image",
        "busybox a/b:1 [::1]:5000/a busybox@sha256:0123456789012345678901234567890123456789012345678901234567890123 5e5029b3c0e9",
    ),
    ("host name", "a worker-1.example.org _x_ 5"),
    ("container name", "a web-1 dag.task_3 0"),
    ("runtime", "io.containerd.runc.v2 /bin/shim 1.5"),
    ("cgroup path", "docker /a/b/ system.slice:airtight :x"),
    ("kernel parameter", "net/core/x=1 a.b= a-b=c=d"),
    ("variable", "A A= A=b=c"),
    ("label", "a a=b"),
    ("group", "audio 5 a-b"),
];

/// A key of each type.
fn types() -> BTreeMap<&'static str, &'static Key> {
    KEYS.iter().map(|key| (key.kind.name, key)).collect()
}

#[test]
fn the_checked_in_schema_is_the_one_that_is_printed() {
    assert!(
        text() == include_str!("../../../runtime-specs/metadata.schema.json"),
        "keys.yaml changed: `make docs` renews runtime-specs/metadata.schema.json"
    );
}

#[test]
fn every_example_is_taken_by_the_schema_and_by_the_reader() {
    for key in KEYS {
        let example = key.example_value();
        assert!(schema_takes(key, &example), "{}: {example}", key.name);
        match parsed(key, &example) {
            // The one key whose file is opened at once.
            Err(failure) if key.name == "env_file" => {
                assert!(failure.to_string().contains("No such file"), "{failure}");
            }
            parsed => assert!(parsed.is_ok(), "{}: {parsed:?}", key.name),
        }
    }
}

#[test]
fn null_is_taken_for_every_key_and_every_item() {
    for key in KEYS {
        assert!(schema_takes(key, &Value::Null), "{}", key.name);
        if key.shape == Shape::List {
            assert!(schema_takes(key, &json!([null])), "{}", key.name);
        }
    }
}

#[test]
fn only_a_list_of_names_and_values_may_be_a_mapping() {
    for key in KEYS {
        let mapping = json!({ "A": null });
        let by_name = key.merge == Merge::ByName;
        assert_eq!(schema_takes(key, &mapping), by_name, "{}", key.name);
        assert_eq!(parsed(key, &mapping).is_ok(), by_name, "{}", key.name);
    }
}

#[test]
fn unknown_keys_are_refused() {
    for wrong in [
        json!({ "docker_runtime": { "imagee": "a" } }),
        json!({ "docker_runtme": {} }),
        json!([]),
    ] {
        assert!(!SCHEMA.is_valid(&wrong), "{wrong}");
    }
    for right in [Value::Null, json!({}), json!({ "docker_runtime": null })] {
        assert!(SCHEMA.is_valid(&right), "{right}");
    }
}

#[test]
fn a_wrong_value_of_each_type_is_refused_by_the_schema_and_by_the_reader() {
    let wrong = [
        ("CPU weight", json!(-1)),
        ("CPUs", json!("two")),
        ("I/O weight", json!(1001)),
        ("IPC mode", json!("shareable")),
        ("OOM score", json!(-1001)),
        ("absolute path", json!("tmp")),
        ("boolean", json!("maybe")),
        ("capability", json!("NET-ADMIN")),
        ("cgroup path", json!("")),
        ("conflict", json!("attack")),
        ("container name", json!("a b")),
        ("descriptor", json!(-1)),
        ("device", json!("fuse")),
        ("duration", json!("ten minutes")),
        ("end without an owner", json!("mourn")),
        ("file", json!(["/a"])),
        ("file count", json!(0)),
        ("group", json!("a:b")),
        ("host name", json!("a b")),
        ("image", json!("Bad Name")),
        ("kernel parameter", json!("net.core.somaxconn")),
        ("label", json!("=x")),
        ("log driver", json!("journald")),
        ("mount", json!("/data")),
        ("name pattern", json!({ "a": "b" })),
        ("network mode", json!("bridge")),
        ("number ranges", json!("0..2")),
        ("private or host", json!("public")),
        ("process count", json!(-2)),
        ("repository", json!("Bad Name")),
        ("runtime", json!("runc")),
        ("security option", json!("label=disable")),
        ("signal", json!(65)),
        ("size", json!("2 gigabytes")),
        ("size or -1", json!("-2")),
        ("text", json!(["a"])),
        ("tmpfs", json!("tmp")),
        ("ulimit", json!("nofile=many")),
        ("user", json!("1000:1000:1000")),
        ("variable", json!("=x")),
        ("volume", json!("data:/data")),
    ];
    let tried: BTreeSet<_> = wrong.iter().map(|(name, _)| *name).collect();
    let types = types();
    assert_eq!(tried, types.keys().copied().collect());
    for (name, value) in wrong {
        let key = types[name];
        let value = if name == "file" {
            value
        } else {
            in_its_shape(key, value)
        };
        assert!(!schema_takes(key, &value), "{name}: {value}");
        assert!(parsed(key, &value).is_err(), "{name}: {value}");
    }
}

#[test]
fn every_spelling_that_the_reader_takes_is_taken() {
    for (name, spellings) in SPELLINGS {
        let key = types()[name];
        for text in spellings.split(' ') {
            for value in as_yaml_reads(text) {
                let value = in_its_shape(key, value);
                assert!(parsed(key, &value).is_ok(), "{name}: {value}");
                assert!(schema_takes(key, &value), "{name}: {value}");
            }
        }
    }
}

/// The text in quotes, and what it is without them.
fn as_yaml_reads(text: &str) -> Vec<Value> {
    let plain = serde_json::from_str(text).ok().filter(|plain: &Value| {
        // What JSON writes otherwise than the author did is another text to the reader.
        let written = plain.to_string();
        written == text
    });
    [Some(text.into()), plain].into_iter().flatten().collect()
}

#[test]
fn an_editor_completes_every_capability() {
    let capability = types()["capability"].kind.schema_value();
    let names = capability["anyOf"][0]["enum"].as_array().unwrap();
    let all: BTreeSet<String> = crate::spec::capabilities::of_mask(u64::MAX)
        .iter()
        .map(ToString::to_string)
        .chain(["ALL".to_owned()])
        .collect();
    assert_eq!(
        names
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>(),
        all
    );
}

fn takes_what_the_reader_takes(number: usize, text: &str) -> Result<(), TestCaseError> {
    let key = &KEYS[number];
    for value in as_yaml_reads(text) {
        let value = in_its_shape(key, value);
        // (The one key that opens what it names.)
        if key.name != "env_file" && parsed(key, &value).is_ok() {
            prop_assert!(schema_takes(key, &value), "{}: {}", key.name, value);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_the_reader_takes_of_a_spelling_with_more_around_it_is_taken(
        which in any::<prop::sample::Index>(),
        word in any::<prop::sample::Index>(),
        before in "[-+ 0\\n]{0,2}",
        behind in "[-+ 0a:=,.\\t\\n\\u{a0}]{0,2}",
    ) {
        let (name, spellings) = which.get(SPELLINGS);
        let words: Vec<_> = spellings.split(' ').collect();
        let number = KEYS.iter().position(|key| key.kind.name == *name).unwrap();
        takes_what_the_reader_takes(number, &format!("{before}{}{behind}", word.get(&words)))?;
    }

    #[test]
    fn any_text_that_the_reader_takes_is_taken(number in 0..KEYS.len(), text in "(?s).{0,20}") {
        takes_what_the_reader_takes(number, &text)?;
    }

    #[test]
    fn any_number_that_the_reader_takes_is_taken(number in 0..KEYS.len(), text in "[-+ ]{0,2}[0-9.]{0,6}(e[-+]?[0-9]{1,2})?[a-zA-Z]{0,3}") {
        takes_what_the_reader_takes(number, &text)?;
    }

    #[test]
    fn any_path_and_any_pair_that_the_reader_takes_is_taken(number in 0..KEYS.len(), text in "[/a=:]{0,3}[-+/a-z0-9=:., _]{0,12}") {
        takes_what_the_reader_takes(number, &text)?;
    }
}
