//! `airtight config check`: for a CI of DAG authors.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::super::dag_files::{self, Named};
use super::super::out;
use crate::config::check::{Finding, Report, Severity, check};
use crate::failure::Result;

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("check")
        .about("Checks the metadata files of DAG files, and airflow.cfg: exit code 1 on any finding")
        .arg(
            Arg::new("paths")
                .value_name("PATH")
                .num_args(0..)
                .value_parser(ValueParser::path_buf())
                .help("DAG files, their metadata files, or directories that are searched for metadata files; without any, only airflow.cfg is checked"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(PossibleValuesParser::new(["text", "github", "json"]))
                .help("text: FILE:LINE:COLUMN: what. github: annotations of a workflow [default: github where GITHUB_ACTIONS is true, else text]"),
        )
}

/// Prints every finding, each with its file and line.
pub fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let paths = matches.get_many::<PathBuf>("paths").into_iter().flatten();
    let Named {
        dag_files,
        warnings,
    } = dag_files::named(paths)?;
    crate::cli::warn(&warnings);
    let report = check(&dag_files);
    match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => out::print_json(&json(&report))?,
        Some("text") => print(&report, text)?,
        None if std::env::var_os("GITHUB_ACTIONS").is_none_or(|on| on != "true") => {
            print(&report, text)?
        }
        _ => print(&report, github)?,
    }
    out::tell(summary(&report, dag_files.len()));
    Ok(ExitCode::from(u8::from(!report.findings.is_empty())))
}

fn print(report: &Report, line: fn(&Finding) -> String) -> Result<()> {
    let lines = report.findings.iter().map(|finding| {
        // A traceback has several lines; a finding has one.
        let line = line(finding).replace('\n', " ");
        format!("{line}\n")
    });
    out::print_harmless(&lines.collect::<String>())
}

/// As compilers print it, which editors and GitHub's problem matchers know.
fn text(finding: &Finding) -> String {
    let failure = &finding.failure;
    let place = failure.place().map(|place| format!("{place}: "));
    let hints = failure.hints();
    let hints = match hints.is_empty() {
        true => String::new(),
        false => format!(" ({})", hints.join("; ")),
    };
    let (place, severity) = (place.unwrap_or_default(), word(finding.severity));
    format!("{place}{severity}: {}{hints}", failure.message())
}

/// A workflow command of GitHub Actions, which becomes an annotation of the line.
fn github(finding: &Finding) -> String {
    let failure = &finding.failure;
    let mut properties = Vec::new();
    if let Some(place) = failure.place() {
        properties.push(format!("file={}", property(&place.path.to_string_lossy())));
        properties.extend(place.line.map(|line| format!("line={line}")));
        properties.extend(place.column.map(|column| format!("col={column}")));
    }
    let mut message = failure.message();
    for hint in failure.hints() {
        message.push_str(&format!("\n{hint}"));
    }
    let (severity, properties) = (word(finding.severity), properties.join(","));
    let blank = if properties.is_empty() { "" } else { " " };
    format!("::{severity}{blank}{properties}::{}", data(&message))
}

/// Percent signs and line ends as the runner of GitHub Actions reads them.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn json(report: &Report) -> Vec<serde_json::Value> {
    let finding = |finding: &Finding| {
        let failure = &finding.failure;
        let place = failure.place();
        json!({
            "severity": word(finding.severity),
            "file": place.map(|place| place.path.to_string_lossy()),
            "line": place.and_then(|place| place.line),
            "column": place.and_then(|place| place.column),
            "message": failure.message(),
            "hints": failure.hints(),
        })
    };
    report.findings.iter().map(finding).collect()
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What was checked, and against what.
fn summary(report: &Report, dag_files: usize) -> String {
    let config = match &report.airflow_cfg {
        Some(path) => path.display().to_string(),
        None => "no airflow.cfg (AIRFLOW_CONFIG or AIRFLOW_HOME names one)".to_owned(),
    };
    let findings = match report.findings.len() {
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    match dag_files {
        0 => format!("checked {config}: {findings}"),
        1 => format!("checked 1 DAG file and {config}: {findings}"),
        many => format!("checked {many} DAG files and {config}: {findings}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Place};
    use std::sync::Arc;

    fn finding() -> Finding {
        let place = Place {
            path: Arc::new("a,b/d.py.metadata.yaml".into()),
            line: Some(3),
            column: Some(5),
        };
        let failure = Failure::usage("unknown key \"5%\"").at(place);
        Finding {
            severity: Severity::Error,
            failure: failure.hint("did you mean cpus?"),
        }
    }

    #[test]
    fn a_finding_is_one_line_that_editors_know() {
        assert_eq!(
            text(&finding()),
            "a,b/d.py.metadata.yaml:3:5: error: unknown key \"5%\" (did you mean cpus?)"
        );
    }

    #[test]
    fn a_workflow_annotates_the_line() {
        assert_eq!(
            github(&finding()),
            "::error file=a%2Cb/d.py.metadata.yaml,line=3,col=5::unknown key \"5%25\"%0Adid you mean cpus?"
        );
    }
}
