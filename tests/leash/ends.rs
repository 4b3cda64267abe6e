//! Nothing inside outlives the payload, the leash or the owner.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use airtight::leash::{Payload, Status};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::inside::{Inside, PLACES, Place, line, null, output, rest, soon, start_init, stderr};

/// A payload with a daemon: forked twice, in a session of its own, deaf to what can be ignored,
/// and like the payload itself waiting for an input that does not come.
const FAMILY: &str = "trap '' TERM HUP INT
(setsid sh -c 'echo daemon; read line <&3' &)
echo payload; read line <&3";

/// Starts a script with an endless input as 3, and waits until it said so many lines.
async fn family(place: Place, script: &str, lines: usize) -> (Inside, crate::inside::Output) {
    let inside = Inside::new(place, &["sh", "-c", script]).await;
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

/// Not a test by itself: the owner that the next one kills.
#[tokio::test]
#[ignore = "run by the test below"]
async fn an_owner_that_waits_to_be_killed() {
    let directory = std::env::var_os("LEASH_TEST_DIRECTORY").unwrap();
    let wrapper: &[&str] = match std::env::var("LEASH_TEST_PLACE").unwrap().as_str() {
        "PidOne" => &["unshare", "--pid", "--fork", "--mount-proc"],
        _ => &[],
    };
    let command = ["sh", "-c", FAMILY];
    let (mut leash, init) = start_init(directory.as_ref(), wrapper, &command).await;
    let (input, held) = std::io::pipe().unwrap();
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
    let descriptors = vec![
        (0, null()),
        (1, stdout),
        (2, stderr()),
        (3, input.into()),
        (4, held.into()),
    ];
    println!("child {}", init.id());
    leash
        .start(Payload {
            terminal: None,
            descriptors,
        })
        .unwrap();
    while leash.next().await.unwrap().is_some() {}
}

#[test]
fn a_killed_owner_takes_everything_with_it() {
    // The owner's child comes to us, so that it does not stay a zombie.
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    for place in PLACES {
        let directory = tempfile::tempdir().unwrap();
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args([
                "--nocapture",
                "--ignored",
                "--exact",
                "ends::an_owner_that_waits_to_be_killed",
            ])
            .env("LEASH_TEST_DIRECTORY", directory.path())
            .env("LEASH_TEST_PLACE", format!("{place:?}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(owner.stdout.take().unwrap());
        let mut seen = String::new();
        while !(seen.contains("payload\n") && seen.contains("daemon\n")) {
            assert_ne!(output.read_line(&mut seen).unwrap(), 0, "{seen}");
        }
        owner.kill().unwrap();
        assert_eq!(owner.wait().unwrap().signal(), Some(9));
        // Ends when the last of the family is dead.
        output.read_to_string(&mut seen).unwrap();
        let child = seen.lines().find_map(|line| line.split_once("child "));
        let child = Pid::from_raw(child.unwrap().1.parse().unwrap());
        waitpid(child, None).unwrap();
    }
}
