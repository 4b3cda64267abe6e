//! The image hook: `get_docker_runtime_image(image)` of the operator's `airflow_local_settings.py`,
//! whose answer decides the image (AIP-46, "Feature Flag and Hook").
//!
//! In: airflow.cfg and its environment, the image that the layers name. Out: the answer with the
//! place it comes from, and what the function said on its standard error. `None` keeps the image. It
//! runs code of the operator's with our own rights, so it never takes any that an author of DAGs
//! could have put there: nothing of the DAGs folder, nothing of the working directory.
//!
//! - **Which file**: what `import airflow_local_settings` finds in Airflow, read in 2.11.2 and 3.3.2
//!   (`airflow/settings.py`, `initialize` and `prepare_syspath_for_config_and_plugins`): PYTHONPATH,
//!   what is installed into the operator's Python, then `$AIRFLOW_HOME/config` and the plugins
//!   folder, which Airflow puts at the end of sys.path. So a file on PYTHONPATH hides the one in
//!   `config`.
//! - **Not the DAGs folder**: Airflow 2 puts it on sys.path too: 2.8 before it looks for this module,
//!   2.10 and 2.11 after it. Authors write there, and what they write must run in a container. It is
//!   taken off PYTHONPATH and sys.path, with everything below it.
//! - **Which names count**: those of `__all__`, else all that do not begin with two underscores
//!   (`import_local_settings`).
//! - **Which Python**: [`python`]. It is started only where a file has the name of the function or
//!   a star import in its text ([`places`]).

mod answers;
mod places;
mod python;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::airflow_cfg::AirflowConfig;
use super::image::final_image;
use super::keys;
use super::layer::{Item, Merged, Origin};
use super::program::{self, NoEnd, OnLongSpeech};
use crate::failure::{Failure, Result};
pub use answers::Answers;
use places::{Candidate, Places};

const MODULE: &str = "airflow_local_settings";
const FUNCTION: &str = "get_docker_runtime_image";
const SCRIPT: &str = include_str!("ask.py");

/// How long the function may take. The module may import all of Airflow, which takes 2 s, and 6 s
/// where nothing is compiled yet.
const LIMIT: Duration = Duration::from_secs(30);

/// Python is told to end at the limit, and to say where it is. This much later it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How much of its standard error is repeated: a traceback through forty frames.
const MAX_SAID: usize = 8 << 10;

/// What came of asking.
#[derive(Debug, Clone, Default)]
struct Heard {
    /// The image, and which function named it; nothing where there is no function or it said `None`.
    image: Option<(String, Origin)>,
    /// What the operator should know.
    said: Vec<String>,
}

/// Asks the function, where there is one, and puts its answer above every layer.
pub(super) fn decide(
    config: &AirflowConfig,
    answers: &Answers,
    merged: &mut Merged,
    warnings: &mut Vec<Failure>,
) -> Result<()> {
    let image = final_image(merged).map(|(image, _)| image);
    let heard = ask(config, answers, &image.unwrap_or_default(), LIMIT)?;
    warnings.extend(heard.said.into_iter().map(Failure::usage));
    if let (Some((text, origin)), Some(key)) = (heard.image, keys::find("image")) {
        merged.settle(Item { key, text, origin });
    }
    Ok(())
}

/// `image` is empty where no layer names one.
fn ask(config: &AirflowConfig, answers: &Answers, image: &str, limit: Duration) -> Result<Heard> {
    let places = Places::of(config)?;
    let warnings = places.ignored.iter().map(|file| {
        format!(
            "{} is not asked for the image: it is in the DAGs folder, where authors write",
            file.display()
        )
    });
    let warnings: Vec<String> = warnings.collect();
    let environment = config.environment();
    let python = python::find(environment);
    let home = environment.get("HOME").map(Path::new);
    let Some(candidate) = places.candidate(python.as_deref().ok(), home) else {
        return Ok(Heard {
            image: None,
            said: warnings,
        });
    };
    let question = Question {
        python: python?,
        places: &places,
        candidate: &candidate,
        image,
        limit,
    };
    let put = || {
        let answer = question.put().map_err(|why| question.fail(why))?;
        Ok(answer.into())
    };
    let mut heard = answers.of(&candidate.file, image, put)?;
    heard.said.splice(0..0, warnings);
    Ok(heard)
}

impl From<Answer> for Heard {
    fn from(answer: Answer) -> Self {
        let image = answer.reply.and_then(|reply| {
            let place = match reply.line {
                Some(line) => format!("{FUNCTION} ({}:{line})", reply.file),
                None => format!("{FUNCTION} ({})", reply.file),
            };
            Some((reply.image?, Origin::Answer(place)))
        });
        Self {
            image,
            said: answer.said,
        }
    }
}

struct Question<'a> {
    python: PathBuf,
    places: &'a Places,
    candidate: &'a Candidate,
    image: &'a str,
    limit: Duration,
}

struct Answer {
    /// Nothing where the module does not define the function after all.
    reply: Option<Reply>,
    said: Vec<String>,
}

/// What the script writes.
#[derive(Deserialize)]
struct Reply {
    image: Option<String>,
    file: String,
    line: Option<u64>,
}

/// Why the function gave no answer.
#[derive(Debug, Error)]
enum NoAnswer {
    #[error(transparent)]
    NoEnd(#[from] NoEnd),
    #[error("{status}\n{said}")]
    Failed { status: ExitStatus, said: String },
    #[error("Python ended without an answer\n{said}")]
    Nothing { said: String },
    #[error("Python's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

impl Question<'_> {
    fn put(&self) -> Result<Answer, NoAnswer> {
        let ended = program::run(self.command(), OnLongSpeech::KeepEnd, self.limit + GRACE)?;
        let said = end_of(&ended.said);
        if !ended.status.success() {
            let status = ended.status;
            return Err(NoAnswer::Failed { status, said });
        }
        // What Python's own start has printed, such as a module `sitecustomize`, is in front.
        let mut parts = ended.out.rsplitn(2, |byte| *byte == 0);
        let (Some(reply), Some(printed)) = (parts.next(), parts.next()) else {
            return Err(NoAnswer::Nothing { said });
        };
        let reply = serde_json::from_slice(reply)?;
        let printed = end_of(printed);
        let lines = printed.lines().chain(said.lines());
        Ok(Answer {
            reply,
            said: lines.map(str::to_owned).collect(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        // -B: root's compiled files would be in the way of Airflow's own user.
        command
            .args(["-B", "-c", SCRIPT])
            .arg(self.limit.as_secs_f64().to_string())
            .arg(self.image)
            .arg(if self.candidate.imports_airflow {
                "yes"
            } else {
                "no"
            })
            .arg(&self.places.dags)
            .args(&self.places.appended)
            // Since Python 3.11: not the working directory, from the first import on.
            .env("PYTHONSAFEPATH", "1");
        match std::env::join_paths(&self.places.python_path) {
            Ok(path) if !path.is_empty() => command.env("PYTHONPATH", path),
            _ => command.env_remove("PYTHONPATH"),
        };
        command
    }

    fn fail(&self, why: NoAnswer) -> Failure {
        let file = self.candidate.file.display();
        Failure::usage(format!("{FUNCTION} did not name the image"))
            .because(why)
            .hint(format!(
                "the operator's {file} defines {FUNCTION}, and its answer decides the image"
            ))
            .hint(format!(
                "it was run by {}; {} names another Python",
                self.python.display(),
                python::VARIABLE
            ))
    }
}

/// The last lines of what was said.
fn end_of(said: &[u8]) -> String {
    let end = said.trim_ascii_end();
    let Some((_, last)) = end.split_last_chunk::<MAX_SAID>() else {
        return String::from_utf8_lossy(end).into_owned();
    };
    let text = String::from_utf8_lossy(last);
    let lines = text.split_once('\n').map_or(&*text, |(_, lines)| lines);
    format!("…\n{lines}")
}

#[cfg(test)]
mod tests;
