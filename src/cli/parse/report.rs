//! What came of the files, as a table or as data.
//!
//! In: outcomes, whose results were written by processes of DAG files: they may say anything. Out: text,
//! an exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::Outcome;
use crate::cli::out::{self, Format};
use crate::failure::Result;
use crate::parse::message::End;

/// Of what a file printed, this much explains why there is no result.
const MAX_LINES: usize = 20;

/// What the program in the container writes for a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    airflow: Option<String>,
    dags: Vec<Dag>,
    import_errors: Vec<String>,
    warnings: Vec<String>,
    seconds: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Dag {
    dag_id: String,
    tasks: u64,
    serialized: Value,
}

/// What came of one file.
#[derive(Debug, Serialize)]
pub struct Row {
    file: PathBuf,
    bundle: PathBuf,
    /// The version in its image.
    airflow: Option<String>,
    dags: Vec<Dag>,
    import_errors: Vec<String>,
    warnings: Vec<String>,
    /// Why airtight could not parse it.
    failure: Option<Failed>,
    /// The end of what it printed.
    output: String,
    /// What parsing took; of what did not end by itself, all that it took.
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Failed {
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

impl Row {
    /// Reads what the file's process wrote.
    pub fn of(outcome: Outcome) -> Self {
        let parsed = outcome.parsed;
        let output = String::from_utf8_lossy(&parsed.output).into_owned();
        let mut row = Self {
            file: outcome.file,
            bundle: outcome.bundle,
            airflow: None,
            dags: Vec::new(),
            import_errors: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            output,
            seconds: outcome.took.as_secs_f64(),
        };
        let why = match parsed.end {
            End::Code(0) => match serde_json::from_slice::<Told>(&parsed.result) {
                Ok(told) => {
                    row.take(told);
                    return row;
                }
                Err(_) => "its process ended without a result".to_owned(),
            },
            End::Code(code) => format!("its process ended with exit code {code}"),
            End::Signal(signal) => format!("its process was killed by signal {signal}"),
            End::Timeout(seconds) => format!("it took longer than {seconds} s and was killed"),
            End::Lost(reason) => {
                let hint = String::new();
                row.failure = Some(Failed { reason, hint });
                return row;
            }
            End::Failed { failed, hint } => {
                row.failure = Some(Failed {
                    reason: failed,
                    hint,
                });
                return row;
            }
        };
        let last = last_lines(&row.output);
        row.import_errors.push(match last.is_empty() {
            true => why,
            false => format!("{why}; it had printed:\n{last}"),
        });
        row
    }

    fn take(&mut self, told: Told) {
        self.airflow = told.airflow;
        self.dags = told.dags;
        self.import_errors = told.import_errors;
        self.warnings = told.warnings;
        // It has measured itself; a time that is none would be no JSON.
        let seconds = told.seconds.filter(|seconds| seconds.is_finite());
        self.seconds = seconds.unwrap_or(self.seconds);
    }

    fn cells(&self, name: &str) -> [String; 6] {
        let ids: Vec<&str> = self.dags.iter().map(|dag| dag.dag_id.as_str()).collect();
        let tasks: u64 = self
            .dags
            .iter()
            .fold(0, |sum, dag| sum.saturating_add(dag.tasks));
        let errors = match &self.failure {
            Some(_) => "failed".to_owned(),
            None => self.import_errors.len().to_string(),
        };
        [
            name.to_owned(),
            ids.join(", "),
            tasks.to_string(),
            errors,
            self.warnings.len().to_string(),
            format!("{:.2}", self.seconds),
        ]
    }

    /// What a line of the table has no room for.
    fn details(&self, name: &str) -> String {
        let failure = self.failure.iter().map(|failed| {
            let hint = match failed.hint.is_empty() {
                true => String::new(),
                false => format!("\nhint: {}", failed.hint),
            };
            ("could not be parsed", format!("{}{hint}", failed.reason))
        });
        let errors = self
            .import_errors
            .iter()
            .map(|text| ("import error", text.clone()));
        let warnings = self.warnings.iter().map(|text| ("warning", text.clone()));
        failure
            .chain(errors)
            .chain(warnings)
            .map(|(what, text)| format!("\n{name}: {what}\n{}", indented(&text)))
            .collect()
    }
}

fn indented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(MAX_LINES);
    lines.get(skipped..).unwrap_or_default().join("\n")
}

/// Prints them.
pub fn print(rows: &[Row], format: Format) -> Result<()> {
    match format {
        Format::Data(notation) => out::print_data(&rows, notation),
        Format::Table => {
            let here = std::env::current_dir().unwrap_or_default();
            out::print_harmless(&text(rows, &here, out::terminal_width()))
        }
    }
}

fn text(rows: &[Row], here: &Path, width: Option<u16>) -> String {
    let mut table = out::table(&["FILE", "DAGS", "TASKS", "ERRORS", "WARNINGS", "SECONDS"]);
    if let Some(width) = width {
        table.wrap_to(width);
    }
    let mut details = String::new();
    for row in rows {
        let name = row.file.strip_prefix(here).unwrap_or(&row.file);
        let name = name.display().to_string();
        table.add_row(row.cells(&name));
        details.push_str(&row.details(&name));
    }
    format!("{}{details}\n{}\n", out::table_text(&table), summary(rows))
}

fn summary(rows: &[Row]) -> String {
    let sum = |count: fn(&Row) -> usize| rows.iter().map(count).sum::<usize>();
    let mut parts = vec![
        counted(rows.len(), "file"),
        counted(sum(|row| row.dags.len()), "DAG"),
        counted(sum(|row| row.import_errors.len()), "import error"),
        counted(sum(|row| row.warnings.len()), "warning"),
    ];
    let failed = sum(|row| usize::from(row.failure.is_some()));
    if failed > 0 {
        parts.push(format!("{failed} could not be parsed"));
    }
    parts.join(", ")
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// What all of it comes to.
pub fn exit_code(rows: &[Row]) -> ExitCode {
    if rows.iter().any(|row| row.failure.is_some()) {
        ExitCode::from(125)
    } else if rows.iter().any(|row| !row.import_errors.is_empty()) {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::client::Parsed;
    use std::time::Duration;

    fn row(file: &str, end: End, result: &str, output: &str) -> Row {
        Row::of(Outcome {
            file: file.into(),
            bundle: "/d".into(),
            parsed: Parsed {
                end,
                result: result.into(),
                output: output.into(),
            },
            took: Duration::from_secs(2),
        })
    }

    const TWO: &str = r#"{"airflow": "3.3.2", "import_errors": [], "warnings": ["old"], "seconds": 0.061,
        "dags": [{"dag_id": "a", "tasks": 2, "serialized": {}}, {"dag_id": "b", "tasks": 1, "serialized": {}}]}"#;

    #[test]
    fn a_table_says_of_each_file_what_is_in_it_and_what_is_wrong_below() {
        let rows = [
            row("/d/a.py", End::Code(0), TWO, ""),
            row("/d/b.py", End::Signal(9), "", "x\ny\n"),
            row("/e/c.py", End::failed("there is no image \"x\""), "", ""),
        ];
        assert_eq!(
            text(&rows, Path::new("/d"), None),
            "FILE      DAGS   TASKS   ERRORS   WARNINGS   SECONDS\n\
             a.py      a, b   3       0        1          0.06\n\
             b.py             0       1        0          2.00\n\
             /e/c.py          0       failed   0          2.00\n\
             \n\
             a.py: warning\n  old\n\
             \n\
             b.py: import error\n  its process was killed by signal 9; it had printed:\n  x\n  y\n\
             \n\
             /e/c.py: could not be parsed\n  there is no image \"x\"\n\
             \n\
             3 files, 2 DAGs, 1 import error, 1 warning, 1 could not be parsed\n"
        );
    }

    #[test]
    fn the_exit_code_tells_import_errors_from_failures_of_ours() {
        let good = || row("/d/a.py", End::Code(0), TWO, "");
        let late = || row("/d/b.py", End::Timeout(50), "", "");
        let failed = || row("/d/c.py", End::failed("x"), "", "");
        let code = |rows: &[Row]| format!("{:?}", exit_code(rows));
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(&[good()]), expected(0));
        assert_eq!(code(&[good(), late()]), expected(1));
        assert_eq!(code(&[good(), late(), failed()]), expected(125));
    }

    #[test]
    fn a_result_that_is_none_is_an_import_error() {
        for result in ["", "[1", "{\"dags\": 5}", "{\"seconds\": 1e999}"] {
            let row = row("/d/a.py", End::Code(0), result, "");
            assert_eq!(row.import_errors.len(), 1, "{result}");
        }
    }
}
