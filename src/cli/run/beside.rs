//! `--on-conflict attach`: where another run with the same key lives, this command ends as that does.
//!
//! In: a job. Out: its outcome, or that of the run it is in conflict with. A run that loses its owner meanwhile becomes
//! ours, where it was to be kept; it is never begun anew by one that was beside it.

use crate::cli::out;
use crate::failure::{Failure, Kind, Result};
use crate::living::Living;
use crate::living::attach::{DetachKeys, End, Leaving, Orphaned, Output, Unread, Wish, attach};
use crate::living::over::Claim;
use crate::run::signals::Signals;
use crate::run::verdict::{Cause, Phases, RunFacts, Verdict};
use crate::run::{self, Beginning, Executed, Job, Outcome, papers};

/// Runs the job, or stays beside the run that has its key.
pub async fn run_or_attach(mut job: Job<'_>, phases: Phases) -> Result<Outcome> {
    let mut signals = Signals::listen()?;
    // The run that we were beside, if it has lost its owner.
    let mut orphaned: Option<(Facts, Box<Orphaned>)> = None;
    loop {
        job.beginning = match orphaned {
            Some(_) => Beginning::Heir,
            None => Beginning::Any,
        };
        let executed = run::execute(job, phases.clone(), &mut signals).await?;
        let (before, output) = match orphaned.take() {
            Some((facts, run)) => (Some((facts, run.watch)), run.output),
            None => (None, None),
        };
        let outcome = match (executed, before) {
            (Executed::Ended(outcome), _) => Some(*outcome),
            // Another one has picked it up, and has seen it to its end.
            (Executed::Gone, Some((facts, watch))) => {
                Some(facts.outcome(&watch.end()?, phases.clone()))
            }
            (Executed::Gone | Executed::Held, _) => None,
        };
        if let Some(outcome) = outcome {
            if let Some(output) = output {
                output.finish().await;
            }
            return Ok(outcome);
        }
        let Some(run) = Living::look(job.state, &job.plan.id).await? else {
            continue;
        };
        let facts = Facts::of(&run);
        match beside(job, &run, &mut signals, output).await? {
            End::Run(end) => return Ok(facts.outcome(&end, phases)),
            End::Left(why) => return Err(left(&run, why)),
            End::Orphaned(run) => orphaned = Some((facts, run)),
            End::Gone => {}
        }
    }
}

async fn beside(
    job: Job<'_>,
    run: &Living,
    signals: &mut Signals,
    output: Option<Output>,
) -> Result<End> {
    let owner = run.record.owner.pid;
    out::tell(format_args!(
        "attached to run {}, which has this key and is process {owner}'s",
        run.id
    ));
    if job.plan.stop.time_limit.is_some() {
        out::tell("its own time limit holds, not --timeout");
    }
    (job.on_start)();
    let wish = Wish {
        input: job.plan.process.interactive,
        signals: true,
        keys: DetachKeys::default(),
        unread: Unread::Stay,
        claim: Claim::Heir,
        remark: &|what| out::tell(what),
    };
    attach(job.state, run, &wish, signals, output).await
}

/// What the verdict says of another one's run.
struct Facts {
    owner: u32,
    run: RunFacts,
}

impl Facts {
    fn of(run: &Living) -> Self {
        Self {
            owner: run.record.owner.pid,
            run: RunFacts::of(&run.record),
        }
    }

    fn outcome(self, end: &papers::End, mut phases: Phases) -> Outcome {
        phases.lap("attached");
        let cause = end.cause().unwrap_or_else(|| Cause::Lost {
            reason: "what its owner has written of its end is not understood".into(),
        });
        Outcome {
            verdict: Verdict::beside(self.owner, self.run, cause, phases),
            failure: None,
        }
    }
}

/// Nobody knows yet how it ends.
fn left(run: &Living, why: Leaving) -> Failure {
    let what = format!("left run {}, which goes on", run.id);
    match why {
        Leaving::Signal(number) => Failure::new(Kind::Interrupted(number), what),
        Leaving::Keys | Leaving::Unread => Failure::host(what),
    }
}
