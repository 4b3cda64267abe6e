//! Files that are made to cost much: `config check` ends with an answer, and within its memory.

use std::fs;
use std::process::Command;

use super::support::{Host, Output};

/// What the data of a process may take, in KiB: heap, stacks and maps of its own, which is more than
/// what is resident of them. Beyond it an allocation fails, and Rust aborts.
const MEMORY: &str = "51200";

/// `airtight config check ARGS` within its memory; exit code and output.
fn check(host: &Host, args: &[&str]) -> Output {
    let airtight = host.command(&[&["config", "check"], args].concat());
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("ulimit -d {MEMORY}; exec \"$@\""), "sh"])
        .arg(airtight.get_program())
        .args(airtight.get_args());
    for (name, value) in airtight.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Output::of(&mut shell)
}

/// Asserts that `output` is an answer, with `words` in it.
#[track_caller]
fn assert_answered(output: &Output, words: &str) {
    let beginning = |text: &str| text.chars().take(300).collect::<String>();
    let said = (beginning(&output.stdout), beginning(&output.stderr));
    assert!(
        matches!(output.code, 0 | 1) && output.stdout.contains(words),
        "{words:?} of {}: {said:?}",
        output.code
    );
}

/// `unit` as often as it fits into `size` bytes.
fn fill(unit: &str, size: usize) -> String {
    unit.repeat(size / unit.len())
}

/// The texts for numbers from 0 on, as many as fit into `size` bytes.
fn count(size: usize, text: impl Fn(usize) -> String) -> String {
    let mut all = String::new();
    for number in 0.. {
        let next = text(number);
        if all.len() + next.len() > size {
            break;
        }
        all.push_str(&next);
    }
    all
}

#[test]
fn a_metadata_file_that_is_made_to_cost_much_is_refused_or_read_in_little_memory() {
    const SIZE: usize = (256 << 10) - 200;
    const ENDS: &str = "";
    let host = Host::with(&[]);
    let dag = host.path("dag.py");
    fs::write(&dag, "").unwrap();
    let body = |text: String| format!("docker_runtime:\n  image: a\n  {text}\n");
    let many = |number| format!("K{number}: 1, ");
    for (text, words) in [
        (fill("[", SIZE), "recursion"),
        (fill("{a: ", SIZE), "recursion"),
        (fill("- ", SIZE), "a mapping with the key docker_runtime"),
        (fill("? ", SIZE), "nested more than 16 deep"),
        (body(format!("name: |\n{}x", " ".repeat(SIZE))), "name"),
        (body(format!("name: |+\n{}", fill("\n", SIZE))), "name"),
        (body(format!("name: \"{}\"", fill("\\x41", SIZE))), "name"),
        (
            body(format!("name: \"{}", fill("\\n", SIZE))),
            "invalid YAML",
        ),
        (body(format!("name: {}", fill("x\n    ", SIZE))), "name"),
        (body(format!("name: !{} a", fill("x", SIZE))), ENDS),
        (body(format!("? {}\n  : 1", fill("x", SIZE))), "xxx…"),
        (
            body(format!("volumes: [\"/a:/b:{}\"]", fill("ro,", SIZE))),
            "volumes",
        ),
        (body(format!("volumes: [\"{}\"]", fill("/a", SIZE))), ENDS),
        (
            body(format!("volumes: [{}]", fill("x,", SIZE))),
            "2000 keys",
        ),
        (
            body(format!("environments: {{{}}}", count(SIZE, many))),
            "2000 keys",
        ),
        (
            body(format!("environments: {{{}}}", fill("K: 1, ", SIZE))),
            "given twice",
        ),
        (
            body(format!("environments: {{<<: {{{}}}}}", count(SIZE, many))),
            "2000 keys",
        ),
        (
            body(format!(
                "other: {}{{{}}}{}",
                "{<<: ".repeat(9),
                count(9000, many),
                "}".repeat(9)
            )),
            "2000 keys",
        ),
        (
            body(format!("cap_add: [{}]", fill("NET_ADMIX,", 18_000))),
            "NET_ADMIN",
        ),
        (
            body(format!(
                "volumes: [{}]",
                count(18_000, |n| format!("/{n}:/{n},"))
            )),
            "volumes",
        ),
        (body("env_file: [/dev/zero]".into()), "consent"),
        (fill("#\n", SIZE), ENDS),
        (fill("\r\n", SIZE), ENDS),
        (fill("\0", SIZE), "invalid YAML"),
        (fill("\u{feff}", SIZE), ENDS),
        (fill("--- a\n", SIZE), "dag.py"),
        (fill("*a ", SIZE), "invalid YAML"),
        (fill("#", 10 << 20), "larger than 256 KiB"),
    ] {
        fs::write(host.path("dag.py.metadata.yaml"), text).unwrap();
        assert_answered(&check(&host, &[dag.to_str().unwrap()]), words);
    }
}

#[test]
fn an_airflow_cfg_that_is_made_to_cost_much_is_refused_or_read_in_little_memory() {
    const SIZE: usize = (1 << 20) - 200;
    const ENDS: &str = "";
    let host = Host::with(&[]);
    fs::create_dir(host.path("airflow")).unwrap();
    let section = |text: String| format!("[docker_runtime]\n{text}\n");
    let nested = |n: usize| format!("k{n} = {}\n", format!("%(k{})s", n + 1).repeat(1000));
    for (text, words) in [
        (
            section(count(SIZE, |n| format!("k{n}=\n"))),
            "more than 5000",
        ),
        (count(SIZE, |n| format!("[s{n}]\n")), "more than 5000"),
        (
            section(format!("volumes={}", fill("\n x", SIZE))),
            "more than 5000",
        ),
        (
            section(format!(
                "environment_variables_from_host={}",
                fill("a,", SIZE)
            )),
            "names more than 2000 things",
        ),
        (
            section(count(SIZE, nested) + "memory=%(k0)s"),
            "goes deeper than 10",
        ),
        (
            section(format!("a=\nmemory={}", fill("%(a)s", SIZE))),
            "makes more than",
        ),
        (
            section("memory=%(cpus)s\ncpus=%(memory)s".into()),
            "in a circle",
        ),
        (section(format!("memory={}", fill("$A", SIZE))), "memory"),
        (section(format!("memory={}", fill("${", SIZE))), "memory"),
        (section(format!("memory={}", fill("%%", SIZE))), "memory"),
        (section(fill("x", SIZE)), "there is no = or :"),
        (section(fill("=\n", SIZE)), "is there already"),
        (fill("\n", SIZE), ENDS),
        (fill("[", SIZE), "before the first [section]"),
        (fill("\0", SIZE), "before the first [section]"),
        (fill("#", 10 << 20), "larger than 1 MiB"),
    ] {
        fs::write(host.path("airflow/airflow.cfg"), text).unwrap();
        assert_answered(&check(&host, &[]), words);
    }
}
