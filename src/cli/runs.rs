//! What the verbs that take runs share: their argument, and doing something with several at once.

use std::future::Future;
use std::process::ExitCode;

use clap::{Arg, ArgMatches};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::out;
use crate::failure::Result;
use crate::id::ContainerId;
use crate::run::state::State;

/// The argument's name among clap's.
const RUN: &str = "run";

/// One or more runs.
pub fn several() -> Arg {
    Arg::new(RUN)
        .value_name("RUN")
        .num_args(1..)
        .required(true)
        .help("A run's name, or its id or the beginning of no other's")
}

/// The same, or none.
pub fn any() -> Arg {
    several().required(false)
}

/// What was typed.
pub fn words(matches: &ArgMatches) -> impl Iterator<Item = &String> {
    matches.get_many::<String>(RUN).into_iter().flatten()
}

/// Does `act` with each run at once. As docker does, each that it was done with is printed as it was typed,
/// and the exit code is 1 where it could not be done with one. What `act` returns are remarks.
pub async fn each<F, R>(
    matches: &ArgMatches,
    state: &State,
    act: impl Fn(ContainerId) -> F,
) -> Result<ExitCode>
where
    F: Future<Output = Result<R>>,
    R: IntoIterator<Item = String>,
{
    let doing = words(matches).map(|word| {
        let named = state.named(word).map(&act);
        async move {
            match named {
                Ok(doing) => (word, doing.await),
                Err(why) => (word, Err(why)),
            }
        }
    });
    let mut doing: FuturesUnordered<_> = doing.collect();
    let mut code = ExitCode::SUCCESS;
    while let Some((word, done)) = doing.next().await {
        match done {
            Ok(remarks) => {
                remarks.into_iter().for_each(out::tell);
                out::print_harmless(&format!("{word}\n"))?;
            }
            Err(failure) => {
                super::print_failure(&failure);
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
