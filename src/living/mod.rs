//! What other commands do with living runs: they ask the owner, through its control socket, and where it does
//! not answer they do without it what can be done.
//!
//! In: the state directory and a run. Out: what came of it. The owner alone decides about its run; nothing here
//! removes what is a run's, but through [`crate::reap`] once the owner is dead.

mod astray;
pub mod attach;
pub mod events;
pub mod exec;
pub mod over;
pub mod signal;
pub mod stats;
pub mod stop;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::control::message::{Reply, Request};
use crate::control::{Answer, Call, Caller};
use crate::failure::{Context, Failure, Kind, Result};
use crate::id::ContainerId;
use crate::run::cleanup;
use crate::run::record::Record;
use crate::run::seen::{self, Condition};
use crate::run::state::{Found, State};

/// Between two looks at a run that is being made or removed at this moment.
const PAUSE: Duration = Duration::from_millis(10);
/// How long making or removing takes at most.
const CHANGING: Duration = Duration::from_secs(10);

/// A run whose owner lives.
#[derive(Debug, Clone)]
pub struct Living {
    /// Which.
    pub id: ContainerId,
    /// What its owner has written down.
    pub record: Record,
    dir: PathBuf,
}

/// What a request came to.
#[derive(Debug)]
enum Asked {
    /// The owner did it, or has begun to; the connection ends with the run.
    Answered(Answered),
    /// The owner has ended, or is about to: the run has to be looked at again.
    Gone,
    /// The owner lives and does not answer.
    Hangs,
}

/// What an owner has answered.
#[derive(Debug)]
struct Answered {
    owner: Caller,
    reply: Reply,
    descriptors: Vec<OwnedFd>,
}

impl Living {
    /// The run `id`, if its owner lives.
    pub async fn find(state: &State, id: &ContainerId) -> Result<Self> {
        match Self::look(state, id).await? {
            Some(run) => Ok(run),
            None => Err(no_owner(state, id)?),
        }
    }

    /// The same; `None` when its owner is dead, or there is no such run any more.
    pub async fn look(state: &State, id: &ContainerId) -> Result<Option<Self>> {
        let begun = Instant::now();
        loop {
            if !matches!(state.find(id)?, Found::Held) {
                return Ok(None);
            }
            if let Some(record) = state.record(id)? {
                return Ok(Some(Self {
                    id: id.clone(),
                    record,
                    dir: state.directory(id),
                }));
            }
            if begun.elapsed() > CHANGING {
                return Err(Failure::usage(format!("{id} is no run"))
                    .because("its owner has not written down what it makes"));
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks the owner for something that needs no more than an answer.
    pub async fn ask(&self, request: &Request) -> Result<Caller> {
        match self.request(request).await? {
            Asked::Answered(answered) => Ok(answered.owner),
            Asked::Gone => Err(Failure::usage(format!("run {} is ending", self.id))),
            Asked::Hangs => Err(self.hangs()),
        }
    }

    async fn request(&self, request: &Request) -> Result<Asked> {
        let cannot = || format!("cannot speak to the owner of run {}", self.id);
        let caller = match Caller::call(&self.dir).await.or_fail(Kind::Host, cannot)? {
            Call::Connected(caller) => caller,
            Call::Busy => return Ok(Asked::Hangs),
            Call::Nobody if self.dir.join("control").exists() || !self.dir.exists() => {
                return Ok(Asked::Gone);
            }
            Call::Nobody => {
                return Err(Failure::host(cannot())
                    .because("it is of a version of airtight without a control socket")
                    .hint(format!("kill -TERM {} stops it", self.record.owner.pid)));
            }
        };
        match caller.ask(request).await.or_fail(Kind::Host, cannot)? {
            Answer::Reply(Reply::Refused { why, hint }, _) => {
                let failure = Failure::usage(format!("run {}: {why}", self.id));
                Err(hint.into_iter().fold(failure, Failure::hint))
            }
            Answer::Reply(reply, descriptors) => Ok(Asked::Answered(Answered {
                owner: caller,
                reply,
                descriptors,
            })),
            Answer::Gone => Ok(Asked::Gone),
            Answer::Silence => Ok(Asked::Hangs),
            Answer::Other(why) => Err(Failure::host(cannot()).because(why)),
        }
    }

    fn hangs(&self) -> Failure {
        let owner = self.record.owner.pid;
        Failure::host(format!("the owner of run {} does not answer", self.id))
            .because(format!("process {owner} is stopped, or hangs"))
            .hint(format!(
                "kill -CONT {owner} lets a stopped one go on; airtight stop ends the run without it"
            ))
    }

    /// Kills everything inside without the owner; what is to be said about that.
    async fn force(&self) -> Result<String> {
        let (id, owner) = (&self.id, self.record.owner.pid);
        cleanup::kill(&self.record).await.map_err(|why| {
            Failure::host(format!("cannot kill what is in run {id}")).because(why)
        })?;
        Ok(format!(
            "run {id}: its owner, process {owner}, does not answer; everything inside was killed without it, and the rest is undone once it goes on (kill -CONT {owner}) or dies"
        ))
    }
}

/// Why nothing can be asked of a run that has no owner, or none that can be reached.
fn no_owner(state: &State, id: &ContainerId) -> Result<Failure> {
    if let Some(run) = astray::look(state, id)? {
        return Ok(astray::failure(
            &run,
            format!("cannot ask for anything of run {id}"),
        ));
    }
    let what = format!("run {id} does not run");
    let Some(run) = seen::look(state, id)? else {
        return Ok(Failure::usage(what)
            .because("it has ended, and nothing is kept of it")
            .hint("`airtight ps -a` lists what there is"));
    };
    Ok(match (&run.condition, &run.end) {
        (Condition::Exited, Some(end)) => {
            Failure::usage(what).because(format!("it has exited with code {}", end.exit_code))
        }
        (Condition::Lost, Some(end)) => {
            let why = end.lost.as_deref().unwrap_or_default();
            Failure::usage(what).because(format!("it is lost: {why}"))
        }
        (Condition::Orphaned, _) if run.ended_unheard => Failure::usage(what)
            .because("it has ended without an owner, and its end is kept for another one")
            .hint("airtight run with its --key ends as it did; airtight stop undoes it"),
        (Condition::Orphaned, _) => Failure::usage(format!("run {id} has no owner to ask"))
            .because("its owner has died, and the run is kept for another one")
            .hint("airtight run with its --key picks it up; airtight stop ends it"),
        _ => Failure::usage(what).because("its owner has just ended"),
    })
}
