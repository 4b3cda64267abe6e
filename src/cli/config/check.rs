//! `airtight config check`: for a CI of DAG authors.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Command};

use super::super::out;
use crate::config::{Layer, Profile, Sources};
use crate::failure::Result;

/// The definition of the verb.
pub fn command() -> Command {
    Command::new("check")
        .about("Checks the metadata files of DAG files, and airflow.cfg")
        .arg(
            Arg::new("paths")
                .value_name("DAG_FILE")
                .num_args(0..)
                .value_parser(ValueParser::path_buf())
                .help(
                    "DAG files, or their metadata files; without any, only airflow.cfg is checked",
                ),
        )
}

/// One line per finding; each names its file and line.
pub fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let paths = matches.get_many::<PathBuf>("paths").into_iter().flatten();
    let mut dag_files: Vec<Option<PathBuf>> = paths.map(|path| Some(dag_file(path))).collect();
    if dag_files.is_empty() {
        dag_files.push(None);
    }
    let mut findings: Vec<String> = Vec::new();
    for dag_file in &dag_files {
        for profile in Profile::ALL {
            let dag_file = dag_file.as_deref();
            let sources = Sources {
                profile: Some(profile),
                dag_file,
                flags: Layer::default(),
            };
            for finding in sources.findings() {
                // What is wrong in both profiles, or in airflow.cfg for every file, is said once.
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
    }
    let lines: String = findings
        .iter()
        .map(|finding| format!("{finding}\n"))
        .collect();
    out::print(&lines)?;
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}

/// The DAG file that a metadata file belongs to.
fn dag_file(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.strip_suffix(".metadata.yaml")
        .map_or_else(|| path.to_owned(), PathBuf::from)
}
