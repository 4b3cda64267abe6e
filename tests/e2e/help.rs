//! What airtight says about itself.

use super::support::{Host, Output};

#[test]
fn every_verb_teaches_itself_on_stdout() {
    let host = Host::with(&[]);
    for (args, words) in [
        (
            &["--help"][..],
            &["Examples:", "Exit codes", "airtight run", "doctor"][..],
        ),
        (&["-h"], &["Usage: airtight"]),
        (&["help"], &["Usage: airtight"]),
        (
            &["run", "--help"],
            &[
                "Arguments:",
                "Process:",
                "Limits:",
                "--memory",
                "Examples:",
                "Exit codes",
            ],
        ),
        (&["help", "run"], &["Usage: airtight run", "--memory"]),
        (&["bundle", "--help"], &["-o, --output", "runc run"]),
        (&["ps", "--help"], &["--filter", "status=", "Examples:"]),
        (&["logs", "--help"], &["--follow", "--since", "Examples:"]),
        (&["wait", "--help"], &["RUN", "Examples:"]),
        (&["inspect", "--help"], &["RUN", "Examples:"]),
        (&["rm", "--help"], &["--force", "Examples:"]),
        (&["image", "--help"], &["import", "ls", "rm"]),
        (&["image", "import", "--help"], &["docker save"]),
        (&["image", "rm", "-h"], &["--force"]),
        (&["doctor", "--help"], &["--format"]),
        (&["stop", "--help"], &["--timeout", "Examples:"]),
        (&["kill", "--help"], &["--signal", "Examples:"]),
        (&["exec", "--help"], &["--interactive", "Exit codes"]),
        (&["stats", "--help"], &["--no-stream", "Examples:"]),
        (&["events", "--help"], &["--filter", "Examples:"]),
        (&["completion", "--help"], &["bash", "Examples:"]),
        (
            &["parse", "--help"],
            &["FILE|DIR", "--bundle", "AIRFLOW_VAR_"],
        ),
        (
            &["--version"],
            &[concat!("airtight ", env!("CARGO_PKG_VERSION"))],
        ),
    ] {
        let text = host.airtight(args).ok();
        for word in words {
            assert!(text.contains(word), "{args:?} says nothing of {word:?}");
        }
        assert!(!text.contains('\x1b'), "{args:?}: colours in a pipe");
    }
}

#[test]
fn no_help_line_is_longer_than_the_terminal() {
    let host = Host::with(&[]);
    for columns in [80, 120] {
        for verb in ["run", "exec", "bundle", "parse", "ps", "logs"] {
            let mut command = host.command(&[verb, "--help"]);
            let text = Output::of(command.env("COLUMNS", columns.to_string())).ok();
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns, "{verb}: {longest} of {columns} columns");
        }
    }
}

#[test]
fn without_a_verb_the_help_goes_to_stderr_as_an_error() {
    let host = Host::with(&[]);
    host.airtight(&[]).refused(&["Usage: airtight", "image"]);
    host.airtight(&["image"])
        .refused(&["Usage: airtight image", "import"]);
}

#[test]
fn h_is_docker_s_hostname_and_says_so() {
    let host = Host::with(&[]);
    host.run(&["-h"])
        .refused(&["--hostname needs a value", "--help"]);
}
