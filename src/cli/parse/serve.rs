//! `airtight parse --serve FD`: the keeper of warm parsers, for the DAG processor that started it.

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::globals::Globals;
use crate::cli::interrupt::interrupted;
use crate::cli::run::{self, as_payload};
use crate::cli::settings::{self, Read};
use crate::cli::{out, usage};
use crate::config::Answers;
use crate::containerd;
use crate::failure::{Context, Failure, Kind, Result};
use crate::image;
use crate::leash::inherited;
use crate::parse::keeper::{self, Reader};
use crate::parse::message::Order;
use crate::parse::pool::{Limits, Sharing};
use crate::parse::recipe::{self, Recipe, Slip};

/// Keeps parsers for whoever holds the other end of descriptor `number`, until it is closed.
pub async fn serve(number: i32, globals: &Globals, limits: Limits) -> Result<ExitCode> {
    as_payload::die_with_the_caller()?;
    let client = inherited::take(number).or_fail(Kind::Usage, || {
        format!("--serve {number} needs an open socket")
    })?;
    let until = async {
        // What it says is for a verb that comes to nothing.
        let _ = interrupted("airtight parse").await;
    };
    let reader = Settings::new(globals)?;
    // Most of it is said by an airtight of ours.
    let say = |line: &str| out::tell(line.strip_prefix("airtight: ").unwrap_or(line));
    keeper::keep(client, reader, limits, say, until).await?;
    Ok(ExitCode::SUCCESS)
}

/// Reads settings as `airtight run` does.
#[derive(Clone)]
pub struct Settings {
    globals: Arc<Globals>,
    words: Arc<Vec<String>>,
    answers: Answers,
}

impl Settings {
    /// With these global flags.
    pub fn new(globals: &Globals) -> Result<Self> {
        Ok(Self {
            words: Arc::new(globals.words()?),
            globals: Arc::new(globals.clone()),
            answers: Answers::remembered(),
        })
    }

    /// As the `airtight run` with these words will read them.
    fn settings(&self, words: &[String], order: &Order) -> Result<Read> {
        let mut command = run::command().no_binary_name(true);
        let arguments = words.iter().skip(1);
        match command.try_get_matches_from_mut(arguments) {
            Ok(matches) => settings::read_with(
                &matches,
                &order.variables,
                self.answers.clone(),
                &self.globals,
            ),
            Err(error) => match usage::refusal(&error, &mut command, &[]) {
                usage::Refusal::Wrong(failure) => Err(failure),
                usage::Refusal::Asked | usage::Refusal::NoVerb(_) => {
                    Err(Failure::usage("this asks for help, not for a parser"))
                }
            },
        }
    }
}

impl Reader for Settings {
    async fn read(&self, order: Order) -> Result<Recipe> {
        let words = recipe::words(&order)?;
        let ours = self.clone();
        let sharing = order.cold;
        // It may ask the image hook, which is a program that takes its time.
        let reading = tokio::task::spawn_blocking(move || {
            let read = ours.settings(&words, &order)?;
            Ok::<_, Failure>((read, words, order.variables))
        });
        let (read, words, variables) = reading
            .await
            .or_fail(Kind::Host, || "cannot read the settings")??;
        let (client, connection) = self.globals.connect_to(read.address)?;
        containerd::reach(&connection.address).await?;
        let image = image::find(&client, &read.settings.image).await;
        let image = image.map_err(|failure| match failure.kind() {
            Kind::Image => failure.hint("parsing never pulls: airtight image pull --for-dags DIR"),
            _ => failure,
        })?;
        let key = recipe::key(&read.settings, &image.manifest.digest, &connection.address);
        let sharing = match sharing || read.settings.cold_parsing {
            true => Sharing::Cold,
            false => Sharing::Warm,
        };
        Ok(Recipe {
            key,
            sharing,
            words: [self.words.as_slice(), &words].concat(),
            slip: Slip { key, variables },
        })
    }
}
