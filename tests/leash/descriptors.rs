//! What the payload holds, and what nobody else does.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

use airtight::leash::{Payload, Stage};

use crate::inside::{Inside, PLACES, Place, line, null, output, rest, run, stderr};

/// A file that holds this text, to be read from its beginning.
fn text(text: &str) -> OwnedFd {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file.into()
}

#[tokio::test]
async fn descriptors_arrive_under_their_numbers_whatever_was_there() {
    for place in PLACES {
        // Init receives them at the same numbers, in the other order.
        let numbers: Vec<i32> = (3..=30).rev().collect();
        let script = "n=3; while [ $n -le 30 ]; do cat /proc/self/fd/$n; n=$((n+1)); done";
        let mut inside = Inside::new(place, &["sh", "-c", script]).await;
        let (mut output, theirs) = output();
        let mut given = vec![(2, stderr()), (1, theirs), (0, null())];
        given.extend(numbers.iter().map(|&n| (n, text(&format!("{n} ")))));
        inside.start(given);
        let expected: String = numbers.iter().rev().map(|n| format!("{n} ")).collect();
        assert_eq!(rest(&mut output).await, expected, "{place:?}");
        inside.started().await;
    }
}

#[tokio::test]
async fn three_and_five_stay_three_and_five() {
    for order in [[3, 5], [5, 3]] {
        let mut inside = Inside::new(Place::PidOne, &["sh", "-c", "cat <&3; cat <&5"]).await;
        let (mut output, theirs) = output();
        let mut given = vec![(0, null()), (1, theirs), (2, stderr())];
        given.extend(order.map(|number| (number, text(&format!("{number}\n")))));
        inside.start(given);
        assert_eq!(rest(&mut output).await, "3\n5\n");
        inside.started().await;
    }
}

#[tokio::test]
async fn the_payload_holds_nothing_else() {
    let leaky = [
        "sh",
        "-c",
        "exec 3</dev/null 9</dev/null; exec \"$0\" \"$@\"",
    ];
    for place in PLACES {
        let command = ["sh", "-c", "ls /proc/$$/fd; true"];
        let mut inside = Inside::wrapped(place, &leaky, &command).await;
        let (mut output, theirs) = output();
        inside.start(vec![(0, null()), (1, theirs), (2, stderr()), (7, null())]);
        assert_eq!(rest(&mut output).await, "0\n1\n2\n7\n", "{place:?}");
        inside.started().await;
    }
}

#[tokio::test]
async fn init_keeps_no_copy_of_the_payloads_output() {
    for place in PLACES {
        let command = ["sh", "-c", "echo ready; exec >&-; read line"];
        let mut inside = Inside::new(place, &command).await;
        let (input, held) = std::io::pipe().unwrap();
        let (mut output, theirs) = output();
        inside.start(vec![(0, input.into()), (1, theirs), (2, null())]);
        inside.started().await;
        assert_eq!(rest(&mut output).await, "ready\n", "{place:?}");
        drop(held);
        inside.exited().await;
    }
}

#[tokio::test]
async fn the_payloads_input_ends_when_its_writer_closes_it() {
    let mut inside = Inside::new(Place::PidOne, &["cat"]).await;
    let (input, mut writer) = std::io::pipe().unwrap();
    let (mut output, theirs) = output();
    inside.start(vec![(0, input.into()), (1, theirs), (2, stderr())]);
    writer.write_all(b"all of it\n").unwrap();
    assert_eq!(line(&mut output).await, "all of it");
    drop(writer);
    assert_eq!(rest(&mut output).await, "");
    inside.started().await;
    inside.exited().await;
}

#[tokio::test]
async fn a_payload_without_standard_output_is_refused_by_the_owner() {
    let inside = Inside::new(Place::PidOne, &["true"]).await;
    let refused = inside.leash.start(Payload {
        terminal: None,
        descriptors: vec![(0, null())],
    });
    assert!(refused.unwrap_err().to_string().contains("0, 1 and 2"));
}

#[tokio::test]
async fn a_number_beyond_the_limit_is_a_failure_to_start() {
    let mut inside = Inside::spawned(&["prlimit", "--nofile=64"], &["true"]).await;
    inside.start(vec![(0, null()), (1, null()), (2, null()), (64, null())]);
    assert_eq!(inside.start_failed().await.stage, Stage::Descriptors);
    assert_eq!(inside.exit_code().await, 125);
}

#[tokio::test]
async fn more_descriptors_than_init_may_hold_are_a_failure_to_start() {
    let mut inside = Inside::spawned(&["prlimit", "--nofile=16"], &["true"]).await;
    inside.start((0..15).map(|number| (number, null())).collect());
    let failure = inside.start_failed().await;
    assert_eq!(failure.stage, Stage::Descriptors);
    assert_eq!(failure.errno, libc::EMFILE);
    assert_eq!(inside.exit_code().await, 125);
}

#[tokio::test]
async fn the_payload_cannot_reach_inits_descriptors() {
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let look = "ls /proc/$PPID/fd >/dev/null 2>&1 && echo open || echo shut";
    for place in PLACES {
        let inside = Inside::wrapped(place, &nobody, &["sh", "-c", look]).await;
        assert_eq!(run(inside).await, ("shut\n".into(), 0), "{place:?}");
    }
}
