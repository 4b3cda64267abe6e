//! `--on-conflict attach`: another run with the same key lives, and this command ends as that does.

use crate::cli::out;
use crate::failure::{Failure, Kind, Result};
use crate::living::Living;
use crate::living::attach::{DetachKeys, End, Leaving, Wish, attach};
use crate::plan::Plan;
use crate::run::Outcome;
use crate::run::papers;
use crate::run::state::State;
use crate::run::verdict::{Cause, Phases, RunFacts, Verdict};

/// The outcome of the run that `plan` is in conflict with; none where it has lost its owner, and may be ours.
pub async fn outcome(state: &State, plan: &Plan, mut phases: Phases) -> Result<Option<Outcome>> {
    let Some(run) = Living::look(state, &plan.id).await? else {
        return Ok(None);
    };
    let owner = run.record.owner.pid;
    out::tell(format_args!(
        "attached to run {}, which has this key and is process {owner}'s",
        run.id
    ));
    let wish = Wish {
        input: plan.process.interactive,
        signals: true,
        keys: DetachKeys::default(),
        remark: &|what| out::tell(what),
    };
    let end = match attach(state, &run, &wish).await? {
        End::Run(end) => end,
        End::Left(why) => return Err(left(&run, why)),
        End::Nobody => return Ok(None),
    };
    phases.lap("attached");
    let verdict = Verdict::beside(owner, RunFacts::of(&run.record), cause(&end), phases);
    Ok(Some(Outcome {
        verdict,
        failure: None,
    }))
}

fn cause(end: &papers::End) -> Cause {
    end.cause().unwrap_or_else(|| Cause::Lost {
        reason: "what its owner has written of its end is not understood".into(),
    })
}

/// Nobody knows yet how it ends.
fn left(run: &Living, why: Leaving) -> Failure {
    let what = format!("left run {}, which goes on", run.id);
    match why {
        Leaving::Signal(number) => Failure::new(Kind::Interrupted(number), what),
        Leaving::Unread => Failure::host(what).because("nobody reads its output here any more"),
        Leaving::Keys => Failure::host(what),
    }
}
