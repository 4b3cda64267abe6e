//! Values that are the output of a command (`KEY_cmd`), as Airflow has them for its secrets.
//!
//! In: a command line, without a shell. Out: what it printed. It never shows what was printed, and
//! keeps to the limits of [`program`].

use std::process::{Command, ExitStatus};
use std::time::Duration;

use thiserror::Error;

use super::super::program::{self, NoEnd, OnLongSpeech};
use super::super::words::{self, Unsplittable};

/// How long a command may take. Airflow sets no limit; a vault's client answers in a second or two.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// What the failure of a command quotes of its standard error.
const MAX_QUOTE: usize = 300;

/// Why a command gave no value.
#[derive(Debug, Error)]
pub(super) enum NoOutput {
    #[error("the command is empty")]
    Empty,
    #[error(transparent)]
    Unsplittable(#[from] Unsplittable),
    #[error(transparent)]
    NoEnd(#[from] NoEnd),
    #[error("what it printed is not UTF-8")]
    NotUtf8,
    #[error("{status}: {said}")]
    Failed { status: ExitStatus, said: String },
}

/// Runs `command` and returns its standard output without the newlines at its end.
pub(super) fn output(command: &str, limit: Duration) -> Result<String, NoOutput> {
    let words = words::split(command)?;
    let (name, arguments) = words.split_first().ok_or(NoOutput::Empty)?;
    let mut command = Command::new(name);
    command.args(arguments);
    let ended = program::run(command, OnLongSpeech::Refuse, limit)?;
    if !ended.status.success() {
        let said = ended.said.get(..MAX_QUOTE).unwrap_or(&ended.said);
        let said = String::from_utf8_lossy(said);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let status = ended.status;
        return Err(NoOutput::Failed { status, said });
    }
    let out = String::from_utf8(ended.out).map_err(|_| NoOutput::NotUtf8)?;
    Ok(out.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(command: &str) -> String {
        output(command, LIMIT).unwrap_err().to_string()
    }

    #[test]
    fn the_output_is_the_value_without_its_last_newline() {
        assert_eq!(output("printf ' a\\nb\\n\\n'", LIMIT).unwrap(), " a\nb");
        assert_eq!(output("true", LIMIT).unwrap(), "");
    }

    #[test]
    fn no_shell_takes_part() {
        assert_eq!(
            output("echo $HOME '*'; true", LIMIT).unwrap(),
            "$HOME *; true"
        );
    }

    #[test]
    fn a_failure_quotes_what_it_said_but_not_what_it_printed() {
        let why = why("sh -c 'echo secret; echo no vault >&2; exit 3'");
        assert!(
            why.contains('3') && why.contains("no vault") && !why.contains("secret"),
            "{why}"
        );
    }

    #[test]
    fn what_gives_no_value_says_why() {
        for (command, words) in [
            (" ", "the command is empty"),
            ("/no/such/program x", "cannot start \"/no/such/program\""),
            ("printf '\\377'", "what it printed is not UTF-8"),
            ("cat /dev/zero", "it printed more than 64 KiB"),
        ] {
            assert_eq!(why(command), words);
        }
    }
}
