//! `--dag-file`: image, volumes and environments from the file beside a DAG file.

use std::fs;
use std::path::Path;

use super::support::{Host, Output};

/// A DAG file in `host`'s directory, with `metadata` beside it; its path.
fn dag(host: &Host, metadata: impl AsRef<[u8]>) -> String {
    let path = host.path("dag.py");
    fs::write(&path, "").unwrap();
    fs::write(host.path("dag.py.metadata.yaml"), metadata).unwrap();
    path.display().to_string()
}

fn run(host: &Host, dag: &str, args: &[&str]) -> Output {
    host.run(&[&["--dag-file", dag], args].concat())
}

#[test]
fn image_volumes_and_environments_come_from_the_metadata_file() {
    let host = Host::new();
    let metadata = format!(
        "docker_runtime:\n  image: busybox:test\n  volumes: ['{}:/dags:ro']\n  \
         environments: {{TEXT: a b, NUMBER: 1.50, WORD: no, EMPTY: ''}}\n",
        host.path("").display()
    );
    let dag = dag(&host, metadata);
    let script = "echo $TEXT/$NUMBER/$WORD/${EMPTY-unset}; ls /dags/dag.py; touch /dags/x 2>&1";
    let output = run(&host, &dag, &["sh", "-c", script]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (
            1,
            "a b/1.50/no/\n/dags/dag.py\ntouch: /dags/x: Read-only file system\n"
        ),
        "{output:?}"
    );
}

#[test]
fn flags_win_over_the_metadata_file() {
    let host = Host::new();
    let dag = dag(
        &host,
        "docker_runtime:\n  image: nosuch:image\n  volumes: ['/etc:/data']\n  environments: {A: file, B: file}\n",
    );
    let output = run(
        &host,
        &dag,
        &[
            "--image",
            "busybox:test",
            "-e",
            "A=flag",
            "-v",
            "/proc:/data",
            "sh",
            "-c",
            "echo $A $B; test -e /data/1",
        ],
    );
    assert_eq!(output.ok(), "flag file\n");
}

#[test]
fn every_argument_belongs_to_the_command() {
    let host = Host::new();
    let dag = dag(&host, "docker_runtime: {image: 'busybox:test'}");
    assert_eq!(
        run(&host, &dag, &["echo", "busybox:test", "-e"]).ok(),
        "busybox:test -e\n"
    );
    assert_eq!(
        host.run(&["--image", "busybox:test", "echo", "a"]).ok(),
        "a\n"
    );
}

#[test]
fn a_dag_file_without_an_image_is_refused() {
    let host = Host::with(&[]);
    let alone = host.path("alone.py");
    fs::write(&alone, "").unwrap();
    run(&host, alone.to_str().unwrap(), &["true"]).refused(&["no image", "--image", "metadata"]);
    let empty = dag(&host, "");
    run(&host, &empty, &["true"]).refused(&["no image"]);
    run(&host, "/nosuch.py", &["true"]).refused(&["/nosuch.py", "No such file"]);
    run(&host, "/tmp", &["true"]).refused(&["/tmp", "not a regular file"]);
}

#[test]
fn a_mistake_in_the_metadata_file_is_shown_with_its_line() {
    let host = Host::with(&[]);
    let head = "docker_runtime:\n  image: busybox:test\n";
    for (text, words) in [
        (
            "docker_runtme: {}",
            &[":1:1", "docker_runtme", "did you mean docker_runtime?"][..],
        ),
        (
            "docker_runtime:\n  imagee: x",
            &[":2:3", "imagee", "did you mean image?"],
        ),
        (
            "docker_runtime:\n  image: a\n  memory: x",
            &["for memory: ", "yaml:3:"],
        ),
        (
            "docker_runtime:\n  image: a\n  image: b",
            &[":3:3", "given twice"],
        ),
        ("docker_runtime:\n\timage: a", &[":2:"]),
        ("docker_runtime:\n  image: [a]", &[":2:10", "single text"]),
        (
            "docker_runtime:\n  image: Bad Name",
            &["for image: ", "yaml:2:", "Bad Name"],
        ),
        ("docker_runtime:\n  image: *nosuch", &[":2:10"]),
        ("docker_runtime:\n  image: \"open", &["yaml:"]),
        ("- a", &[":1:1", "a mapping"]),
        (&format!("{head}---\n{head}"), &["more than one document"]),
        (&format!("{head}  volumes: /a:/b"), &[":3:3", "a list"]),
        (
            &format!("{head}  volumes: [a:/b]"),
            &["for volumes: ", "yaml:3:", "absolute"],
        ),
        (
            &format!("{head}  volumes: [/a:/b, /c:/b]"),
            &["yaml:3:", "two mounts"],
        ),
        (
            &format!("{head}  environments: {{A=B: 1}}"),
            &["yaml:3:", "invalid name"],
        ),
        (
            &format!("{head}  environments: [HOME]"),
            &["for environments: ", "yaml:3:", "consent"],
        ),
        (
            &format!("{head}  environments: {{A: \"\\0\"}}"),
            &["yaml:3:", "NUL"],
        ),
        ("\x7fELF", &[":1:1"]),
    ] {
        let dag = dag(&host, text);
        run(&host, &dag, &["true"]).refused(&[&["dag.py.metadata.yaml"], words].concat());
    }
}

#[test]
fn a_metadata_file_that_is_none_is_refused_at_once() {
    let host = Host::with(&[]);
    let dag = dag(&host, b"docker_runtime: \xff");
    let metadata = host.path("dag.py.metadata.yaml");
    let refused = |words| run(&host, &dag, &["true"]).refused(&["dag.py.metadata.yaml", words]);
    refused("yaml:1:17: cannot read this line: it is not UTF-8");
    fs::write(&metadata, "#".repeat(10 << 20)).unwrap();
    refused("256 KiB");
    fs::write(&metadata, "[".repeat(100_000)).unwrap();
    refused("recursion");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    fs::write(
        &metadata,
        format!("docker_runtime:\n  environments:\n    A: {{{bomb}}}\n"),
    )
    .unwrap();
    refused("yaml:");
    fs::remove_file(&metadata).unwrap();
    nix::unistd::mkfifo(&metadata, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused("not a regular file");
    fs::remove_file(&metadata).unwrap();
    std::os::unix::fs::symlink("dag.py.metadata.yaml", &metadata).unwrap();
    refused("symbolic links");
    fs::remove_file(&metadata).unwrap();
    std::os::unix::fs::symlink("nothing", &metadata).unwrap();
    refused("a symbolic link to nothing");
    fs::remove_file(&metadata).unwrap();
    fs::create_dir(&metadata).unwrap();
    refused("not a regular file");
}

#[test]
fn a_link_of_an_author_s_does_not_make_root_read_another_file() {
    let host = Host::with(&[]);
    let dag = dag(&host, "");
    let metadata = host.path("dag.py.metadata.yaml");
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    fs::write(elsewhere.path(), "docker_runtime: {image: a secret}").unwrap();
    let up = Path::new("..").join(elsewhere.path().strip_prefix("/tmp").unwrap());
    for target in [elsewhere.path(), &up, Path::new("/proc/self/environ")] {
        fs::remove_file(&metadata).unwrap();
        std::os::unix::fs::symlink(target, &metadata).unwrap();
        let output = run(&host, &dag, &["true"]);
        assert!(!output.stderr.contains("secret"), "{output:?}");
        output.refused(&[
            "dag.py.metadata.yaml",
            "out of its own directory",
            "put the file",
        ]);
    }
}

#[test]
fn a_mounted_config_map_is_read_through_its_links() {
    let host = Host::new();
    fs::create_dir(host.path("..2026_01")).unwrap();
    fs::write(
        host.path("..2026_01/dag.py.metadata.yaml"),
        "docker_runtime: {image: 'busybox:test'}",
    )
    .unwrap();
    fs::write(host.path("..2026_01/dag.py"), "").unwrap();
    std::os::unix::fs::symlink("..2026_01", host.path("..data")).unwrap();
    for name in ["dag.py", "dag.py.metadata.yaml"] {
        let target = Path::new("..data").join(name);
        std::os::unix::fs::symlink(target, host.path(name)).unwrap();
    }
    let dag = host.path("dag.py").display().to_string();
    assert_eq!(run(&host, &dag, &["echo", "a"]).ok(), "a\n");
}

#[test]
fn a_symbolic_link_a_byte_order_mark_and_crlf_are_fine() {
    let host = Host::new();
    fs::write(
        host.path("real"),
        "\u{feff}docker_runtime:\r\n  image: busybox:test\r\n",
    )
    .unwrap();
    fs::write(host.path("linked.py"), "").unwrap();
    std::os::unix::fs::symlink("real", host.path("linked.py.metadata.yaml")).unwrap();
    let dag = host.path("linked.py").display().to_string();
    assert_eq!(run(&host, &dag, &["echo", "a"]).ok(), "a\n");
}
