//! `airtight parse --serve FD`: the keeper of warm parsers, for the DAG processor that started it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::globals::Globals;
use crate::cli::interrupt::interrupted;
use crate::cli::run::{self, as_payload};
use crate::cli::settings::{self, Read};
use crate::cli::{out, usage};
use crate::config::Answers;
use crate::containerd::{self, ABSENCE, Client, patiently};
use crate::failure::{Context, Failure, Kind, Result};
use crate::image::{self, digest::Digest};
use crate::leash::inherited;
use crate::parse::keeper::{self, Reader};
use crate::parse::message::Order;
use crate::parse::pool::{Limits, Sharing};
use crate::parse::recipe::{self, Recipe, Slip, Sources};
use crate::reap;

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
    // Most of it is said by an airtight of ours.
    let say = |line: &str| out::tell(line.strip_prefix("airtight: ").unwrap_or(line));
    keep(client, globals, limits, say, until).await?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps parsers for `client`; nothing of them is left afterwards.
pub async fn keep(
    client: OwnedFd,
    globals: &Globals,
    limits: Limits,
    say: impl Fn(&str),
    until: impl Future<Output = ()>,
) -> Result<()> {
    let reader = SettingsReader::new(globals)?;
    let kept = keeper::keep(client, reader, limits, say, until).await;
    // A container that would not end was killed with the airtight that had it.
    for left in reap::dead_owners(&globals.state).await? {
        out::tell(left);
    }
    kept
}

/// Reads settings as `airtight run` does.
#[derive(Clone)]
struct SettingsReader {
    globals: Arc<Globals>,
    words: Arc<Vec<String>>,
    answers: Answers,
    /// One connection for all files, by containerd's address: only an operator names it.
    clients: Arc<Mutex<HashMap<String, Client>>>,
    unpacking: Turns,
}

impl SettingsReader {
    /// With these global flags.
    fn new(globals: &Globals) -> Result<Self> {
        Ok(Self {
            words: Arc::new(globals.words()?),
            globals: Arc::new(globals.clone()),
            answers: Answers::remembered(),
            clients: Arc::default(),
            unpacking: Turns::default(),
        })
    }

    /// A client of the containerd at `address`.
    fn client(&self, address: &str) -> Result<Client> {
        // Nothing in here panics.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(address) {
            return Ok(client.clone());
        }
        let (client, _) = self.globals.connect_to(address.to_owned())?;
        clients.insert(address.to_owned(), client.clone());
        Ok(client)
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

impl Reader for SettingsReader {
    async fn read(&self, order: Order) -> Result<Recipe> {
        let words = recipe::words(&order)?;
        let ours = self.clone();
        let cold = order.cold;
        // It may ask the image hook, which is a program that takes its time.
        let reading = tokio::task::spawn_blocking(move || {
            let read = ours.settings(&words, &order)?;
            let sources = Sources::of(&read.settings);
            Ok::<_, Failure>((read, sources, words, order.variables))
        });
        let (read, sources, words, variables) = reading
            .await
            .or_fail(Kind::Host, || "cannot read the settings")??;
        let settings = &read.settings;
        let client = self.client(&read.address)?;
        containerd::reach_patiently(&read.address, |_| ()).await?;
        let found = patiently(ABSENCE, |_| image::find(&client, &settings.image));
        let image = found.await;
        let image = image.map_err(|failure| match failure.kind() {
            Kind::Image => failure.hint("parsing never pulls: airtight image pull --for-dags DIR"),
            _ => failure,
        })?;
        let digest = image.manifest.digest;
        let key = recipe::key(settings, &sources, &digest, &read.address);
        // It may take minutes, which are not the container's; one file's turn does it for all.
        let turn = self.unpacking.of((digest, settings.snapshotter.clone()));
        let turn = turn.lock().await;
        image::ensure_unpacked(&client, &image, &settings.snapshotter).await?;
        drop(turn);
        let sharing = match cold || settings.cold_parsing {
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

    fn forget(&self) {
        self.answers.forget();
    }
}

/// Which image is unpacked, and with which snapshotter.
type Unpacked = (Digest, String);

/// One at a time for each image.
#[derive(Clone, Default)]
struct Turns(Arc<Mutex<HashMap<Unpacked, Arc<tokio::sync::Mutex<()>>>>>);

impl Turns {
    fn of(&self, image: Unpacked) -> Arc<tokio::sync::Mutex<()>> {
        // Nothing in here panics.
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(image).or_default().clone()
    }
}
