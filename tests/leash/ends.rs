//! Nothing inside outlives the payload or the leash. (That the kernel breaks the leash of an owner that
//! was killed is shown with the real one, in `tests/e2e/killed.rs`.)

use std::io::Write;
use std::time::Duration;

use airtight::leash::{SignalNumber, Status, WhenAlone};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::inside::{Inside, PLACES, Place, line, null, output, rest, soon, stderr};

/// A payload with a daemon: forked twice, in a session of its own, deaf to what can be ignored,
/// and like the payload itself waiting for an input that does not come.
const FAMILY: &str = "trap '' TERM HUP INT
(setsid sh -c 'echo daemon; read line <&3' &)
echo payload; read line <&3";

/// Starts a script with an endless input as 3, and waits until it said so many lines.
async fn family(place: Place, script: &str, lines: usize) -> (Inside, crate::inside::Output) {
    family_with(place, script, lines, WhenAlone::Kill).await
}

async fn family_with(
    place: Place,
    script: &str,
    lines: usize,
    rule: WhenAlone,
) -> (Inside, crate::inside::Output) {
    let inside = Inside::new(place, &["sh", "-c", script]).await;
    inside.leash.when_alone(rule).unwrap();
    let (input, held) = std::io::pipe().unwrap();
    let (mut output, theirs) = output();
    // The payload holds the other end too: nobody's death closes it.
    inside.start(vec![
        (0, null()),
        (1, theirs),
        (2, stderr()),
        (3, input.into()),
        (4, held.into()),
    ]);
    for _ in 0..lines {
        assert_ne!(line(&mut output).await, "");
    }
    (inside, output)
}

#[tokio::test]
async fn a_broken_leash_kills_everything() {
    for place in PLACES {
        let (inside, mut output) = family(place, FAMILY, 2).await;
        assert_eq!(inside.abandon().await, 137, "{place:?}");
        assert_eq!(rest(&mut output).await, "");
    }
}

#[tokio::test]
async fn an_orphan_that_is_to_be_stopped_gets_the_signal_and_ends_as_it_likes() {
    for place in PLACES {
        let script = "trap 'echo stopped; exit 7' TERM; echo here; while :; do read line <&3; done";
        let rule = WhenAlone::Stop(SignalNumber::TERM, Duration::from_secs(600));
        let (inside, mut output) = family_with(place, script, 1, rule).await;
        assert_eq!(inside.abandon().await, 7, "{place:?}");
        assert_eq!(rest(&mut output).await, "stopped\n");
    }
}

#[tokio::test]
async fn an_orphan_that_does_not_stop_in_time_is_killed_with_its_family() {
    for place in PLACES {
        let rule = WhenAlone::Stop(SignalNumber::TERM, Duration::from_millis(50));
        let (inside, mut output) = family_with(place, FAMILY, 2, rule).await;
        assert_eq!(inside.abandon().await, 137, "{place:?}");
        assert_eq!(rest(&mut output).await, "");
    }
}

#[tokio::test]
async fn an_orphan_that_is_kept_goes_on_to_its_own_end() {
    for place in PLACES {
        let command = ["sh", "-c", "read line <&3; echo $line; exit 6"];
        let mut inside = Inside::new(place, &command).await;
        inside.leash.when_alone(WhenAlone::Keep).unwrap();
        let (input, mut held) = std::io::pipe().unwrap();
        let (mut output, theirs) = output();
        inside.start(vec![
            (0, null()),
            (1, theirs),
            (2, stderr()),
            (3, input.into()),
        ]);
        inside.started().await;
        // Its leash is broken first, and only then has it something to read.
        let (code, ()) = tokio::join!(inside.abandon(), async {
            held.write_all(b"on\n").unwrap();
        });
        assert_eq!(code, 6, "{place:?}");
        assert_eq!(rest(&mut output).await, "on\n");
    }
}

#[tokio::test]
async fn the_payloads_end_is_the_end_of_what_it_left() {
    for place in PLACES {
        let script = "(setsid sh -c 'trap \"\" TERM HUP; echo daemon; read line <&3' &)
            read line <&5; exit 5";
        let mut inside = Inside::new(place, &["sh", "-c", script]).await;
        let (input, held) = std::io::pipe().unwrap();
        let (go, going) = std::io::pipe().unwrap();
        let (mut output, theirs) = output();
        inside.start(vec![
            (0, null()),
            (1, theirs),
            (2, stderr()),
            (3, input.into()),
            (4, held.into()),
            (5, go.into()),
        ]);
        inside.started().await;
        assert_eq!(line(&mut output).await, "daemon");
        drop(going);
        assert_eq!(inside.exited().await.status, Status::Code(5));
        assert_eq!(inside.exit_code().await, 5, "{place:?}");
        assert_eq!(rest(&mut output).await, "");
    }
}

#[tokio::test]
async fn killing_init_kills_its_namespace() {
    let (mut inside, mut output) = family(Place::PidOne, FAMILY, 2).await;
    inside.started().await;
    inside.leash.kill().unwrap();
    assert!(soon(inside.leash.next()).await.unwrap().is_none());
    soon(inside.leash.gone()).await.unwrap();
    assert_eq!(rest(&mut output).await, "");
    // It is gone: nothing to kill, which is no failure.
    inside.leash.kill().unwrap();
}

#[tokio::test]
async fn an_init_that_does_not_read_is_killed_all_the_same() {
    let (inside, mut output) = family(Place::PidOne, FAMILY, 2).await;
    let init = Pid::from_raw(inside.leash.pid());
    kill(init, Signal::SIGSTOP).unwrap();
    inside.leash.kill().unwrap();
    soon(inside.leash.gone()).await.unwrap();
    assert_eq!(rest(&mut output).await, "");
}

#[tokio::test]
async fn a_stopped_payload_dies_with_the_leash() {
    for place in PLACES {
        let script = "echo ready; kill -STOP $$";
        let (inside, mut output) = family(place, script, 1).await;
        assert_eq!(inside.abandon().await, 137, "{place:?}");
        assert_eq!(rest(&mut output).await, "");
    }
}

#[tokio::test]
async fn a_payload_that_keeps_forking_and_exiting_dies_with_the_leash() {
    // Ends by itself one day, should it ever escape.
    let script = "hop() { [ $1 -lt 100000 ] && hop $(($1+1)) & }
        echo ready; hop 0; read line <&3";
    for place in PLACES {
        let (inside, mut output) = family(place, script, 1).await;
        assert_eq!(inside.abandon().await, 137, "{place:?}");
        assert_eq!(rest(&mut output).await, "");
    }
}

#[tokio::test]
async fn an_init_left_before_it_had_a_payload_exits() {
    for place in PLACES {
        let inside = Inside::new(place, &["true"]).await;
        assert_eq!(inside.abandon().await, 125, "{place:?}");
    }
}

#[tokio::test]
async fn orphans_are_reaped() {
    for place in PLACES {
        // A zombie still takes signals: the loop ends when somebody has waited for it.
        let script = "orphan=$(true >&2 & echo $!)
            while kill -0 $orphan 2>/dev/null; do :; done; echo reaped; read line <&3";
        family(place, script, 1).await;
    }
}
