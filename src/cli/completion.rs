//! Completion at a shell: `airtight completion SHELL` prints what the shell is to source, and the hidden verb that
//! this calls knows verbs, flags, their values, runs and images.
//!
//! Nothing here changes anything, fails or speaks: who presses the tabulator wants candidates or nothing.

mod candidates;

use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use self::candidates::{Candidates, Runs, Wanted};
use super::{Globals, globals, out};
use crate::failure::Result;
use crate::image::Reference;
use crate::image::list::list;
use crate::run::seen::{self, Condition};

/// The hidden verb.
pub const COMPLETE: &str = "__complete";

/// What is typed so far.
const WORDS: &str = "words";

/// How long somebody waits for names of images.
const PATIENCE: Duration = Duration::from_secs(2);

const AFTER: &str = "\
Examples:
  source <(airtight completion bash)     for this shell; or into ~/.bashrc
  airtight completion bash > /etc/bash_completion.d/airtight
  airtight completion zsh > /usr/local/share/zsh/site-functions/_airtight
  airtight completion fish > ~/.config/fish/completions/airtight.fish

Runs and images are completed for root, who alone may see them.";

/// The scripts.
const SHELLS: [(&str, &str); 3] = [
    ("bash", include_str!("completion/airtight.bash")),
    ("zsh", include_str!("completion/airtight.zsh")),
    ("fish", include_str!("completion/airtight.fish")),
];

/// The verb's definition.
pub fn command() -> Command {
    Command::new("completion")
        .about("Prints what a shell needs to complete airtight's verbs, flags, runs and images")
        .after_help(AFTER)
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(PossibleValuesParser::new(SHELLS.map(|(shell, _)| shell)))
                .help("Whose"),
        )
}

/// The definition of the hidden verb.
pub fn hidden_command() -> Command {
    Command::new(COMPLETE).hide(true).arg(
        Arg::new(WORDS)
            .action(ArgAction::Append)
            .num_args(0..)
            .last(true),
    )
}

/// Prints the script.
pub fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let wanted = matches.get_one::<String>("shell");
    let script = SHELLS
        .iter()
        .find(|(shell, _)| wanted.is_some_and(|wanted| wanted == shell));
    out::print(script.map_or("", |(_, script)| script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the candidates for the last word, each with what it is.
pub async fn complete(matches: &ArgMatches) -> Result<ExitCode> {
    let words = matches.get_many::<String>(WORDS).into_iter().flatten();
    let words: Vec<String> = words.cloned().collect();
    let Candidates {
        mut found,
        wanted,
        prefix,
        typed,
        globals,
    } = candidates::of(super::command(), &words);
    match wanted {
        Wanted::Nothing => {}
        Wanted::Files => found.push((":files".to_owned(), String::new())),
        Wanted::Runs(which) => found.extend(runs(&globals, which)),
        Wanted::Images => found.extend(images(&globals).await),
    }
    let taken = found
        .into_iter()
        .filter(|(word, _)| word == ":files" || word.starts_with(&typed));
    let lines = taken.map(|(word, about)| match word.as_str() {
        ":files" => ":files\n".to_owned(),
        _ => format!("{prefix}{word}\t{about}\n"),
    });
    out::print_harmless(&lines.collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

/// The global flags that were typed, as another airtight would read them.
fn globals_of(words: &[String]) -> Option<Globals> {
    let words = ["airtight".to_owned()].into_iter().chain(words.to_vec());
    let command = Command::new("airtight").args(globals::flags());
    Globals::of(&command.try_get_matches_from(words).ok()?).ok()
}

fn runs(words: &[String], which: Runs) -> Vec<(String, String)> {
    let Some(globals) = globals_of(words) else {
        return Vec::new();
    };
    let meant = |condition| match condition {
        Condition::Created | Condition::Running => true,
        Condition::Orphaned => which != Runs::Owned,
        Condition::Exited | Condition::Lost => which == Runs::All,
    };
    let all = seen::at_a_glance(&globals.state).into_iter();
    let runs = all.filter(|run| meant(run.condition));
    runs.map(|run| (run.id.to_string(), run.condition.word().to_owned()))
        .collect()
}

async fn images(words: &[String]) -> Vec<(String, String)> {
    let Some(globals) = globals_of(words) else {
        return Vec::new();
    };
    let found = tokio::time::timeout(PATIENCE, list(&globals.client)).await;
    let images = found.ok().and_then(Result::ok).unwrap_or_default();
    let names = images.iter().map(|listed| {
        let name = listed.name.parse::<Reference>();
        name.map_or_else(|_| listed.name.clone(), |name| name.familiar())
    });
    names.map(|name| (name, "image".to_owned())).collect()
}
