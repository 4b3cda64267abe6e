//! Signals to the payload, and the state it finds them in.

use airtight::leash::{Event, SignalNumber, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::inside::{Inside, PLACES, Place, line, null, output, run, stderr};

/// Says when it is ready and waits for its input, which never ends.
const TRAP: [&str; 3] = ["sh", "-c", "trap 'exit 3' USR1; echo ready; read line"];

#[tokio::test]
async fn a_signal_reaches_the_payload() {
    for place in PLACES {
        let mut inside = Inside::new(place, &TRAP).await;
        let (input, _held) = std::io::pipe().unwrap();
        let (mut output, theirs) = output();
        inside.start(vec![(0, input.into()), (1, theirs), (2, stderr())]);
        inside.started().await;
        assert_eq!(line(&mut output).await, "ready");
        inside
            .leash
            .signal(libc::SIGUSR1.try_into().unwrap())
            .unwrap();
        assert_eq!(inside.exited().await.status, Status::Code(3), "{place:?}");
    }
}

#[tokio::test]
async fn a_signal_sent_to_init_by_others_reaches_the_payload() {
    for place in PLACES {
        let mut inside = Inside::new(place, &["sleep", "1000"]).await;
        let _output = inside.start_with_output();
        inside.started().await;
        kill(Pid::from_raw(inside.leash.pid()), Signal::SIGTERM).unwrap();
        let expected = Status::Signal(SignalNumber::TERM);
        assert_eq!(inside.exited().await.status, expected, "{place:?}");
    }
}

#[tokio::test]
async fn a_signal_before_the_payload_is_refused() {
    let mut inside = Inside::new(Place::PidOne, &["true"]).await;
    inside.leash.signal(SignalNumber::TERM).unwrap();
    let Event::SignalRefused(refusal) = inside.event().await else {
        panic!("not refused");
    };
    assert_eq!((refusal.errno, refusal.pid), (libc::ESRCH, 0));
    let _output = inside.start_with_output();
    inside.started().await;
}

#[tokio::test]
async fn a_payload_that_took_another_uid_refuses_signals_of_an_init_without_the_capability() {
    let weak = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"];
    let command = ["setpriv", "--reuid=65534", "--clear-groups"];
    let inner = ["sh", "-c", "echo ready; read line"];
    for place in PLACES {
        let mut inside = Inside::wrapped(place, &weak, &[&command[..], &inner].concat()).await;
        let (input, held) = std::io::pipe().unwrap();
        let (mut output, theirs) = output();
        inside.start(vec![(0, input.into()), (1, theirs), (2, null())]);
        let pid = inside.started().await;
        assert_eq!(line(&mut output).await, "ready");
        inside.leash.signal(SignalNumber::TERM).unwrap();
        let Event::SignalRefused(refusal) = inside.event().await else {
            panic!("not refused");
        };
        assert_eq!(refusal.signal, SignalNumber::TERM);
        assert_eq!((refusal.errno, refusal.pid), (libc::EPERM, pid));
        drop(held);
        inside.exited().await;
    }
}

#[tokio::test]
async fn the_payload_finds_no_signal_blocked_or_ignored() {
    let wrapper = ["env", "--ignore-signal", "--block-signal"];
    let command = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    for place in PLACES {
        let (text, _) = run(Inside::wrapped(place, &wrapper, &command).await).await;
        let zeros = "0000000000000000";
        let expected = format!("SigBlk:\t{zeros}\nSigIgn:\t{zeros}\n");
        assert_eq!(text, expected, "{place:?}");
    }
}

#[tokio::test]
async fn a_closed_reader_is_sigpipe_to_the_payload() {
    for place in PLACES {
        let mut inside = Inside::new(place, &["yes"]).await;
        drop(inside.start_with_output());
        inside.started().await;
        let expected = Status::Signal(libc::SIGPIPE.try_into().unwrap());
        assert_eq!(inside.exited().await.status, expected, "{place:?}");
    }
}

#[tokio::test]
async fn the_payload_leads_a_session_of_its_own() {
    for place in PLACES {
        // Fields 1, 5 and 6: pid, process group, session (proc_pid_stat(5)).
        let command = ["cut", "-d ", "-f1,5,6", "/proc/self/stat"];
        let (text, _) = run(Inside::new(place, &command).await).await;
        let ids: Vec<_> = text.split_whitespace().collect();
        assert!(matches!(ids[..], [pid, group, session] if pid == group && group == session));
    }
}
