//! Tests of [`super::codec`]: apart, because init includes that file and has no proptest.

use std::time::Duration;

use super::protocol::*;
use proptest::prelude::*;

fn signal(number: i32) -> SignalNumber {
    number.try_into().unwrap()
}

#[test]
fn what_init_says_is_understood() {
    let exit = |status| {
        FromInit::Exited(Exit {
            status,
            user: Duration::from_micros(1_500_001),
            system: Duration::from_micros(u64::MAX),
            max_rss: 3 << 40,
        })
    };
    let failed = |stage| FromInit::StartFailed(StartFailure { stage, errno: 13 });
    for message in [
        FromInit::Hello(Hello {
            version: 0x0102,
            pid: 1,
        }),
        FromInit::Terminal,
        FromInit::Started(i32::MAX),
        failed(Stage::Descriptors),
        failed(Stage::Terminal),
        failed(Stage::Fork),
        failed(Stage::Search),
        failed(Stage::Exec),
        FromInit::SignalRefused(SignalRefusal {
            signal: signal(64),
            errno: 1,
            pid: 2,
        }),
        exit(Status::Code(255)),
        exit(Status::Signal(signal(9))),
        exit(Status::CoreDumped(signal(11))),
    ] {
        let packet = message.encode();
        assert_eq!(FromInit::decode(packet.as_bytes()), Ok(message));
    }
}

#[test]
fn what_the_owner_says_is_understood() {
    let size = Some(WindowSize {
        rows: 50,
        columns: 1000,
    });
    let most: Vec<i32> = (3..).take(MAX_DESCRIPTORS).collect();
    for message in [
        FromOwner::Start(Start::new(None, &[2, 0, 1, 70_000]).unwrap()),
        FromOwner::Start(Start::new(size, &[]).unwrap()),
        FromOwner::Start(Start::new(size, &most).unwrap()),
        FromOwner::Signal(signal(1)),
        FromOwner::WhenAlone(WhenAlone::Kill),
        FromOwner::WhenAlone(WhenAlone::Keep),
        FromOwner::WhenAlone(WhenAlone::Stop(signal(15), Duration::from_millis(1500))),
    ] {
        let packet = message.encode();
        assert_eq!(FromOwner::decode(packet.as_bytes()), Ok(message));
    }
}

#[test]
fn a_message_cut_or_lengthened_is_refused() {
    let start = FromOwner::Start(Start::new(None, &[0, 1, 2]).unwrap()).encode();
    let bytes = start.as_bytes();
    for length in 0..bytes.len() {
        assert!(FromOwner::decode(&bytes[..length]).is_err(), "{length}");
    }
    let longer = [bytes, &[0]].concat();
    assert_eq!(FromOwner::decode(&longer), Err(Malformed::TrailingBytes));
}

/// What is understood has one form only.
fn understood_or_refused(bytes: &[u8]) {
    if let Ok(message) = FromInit::decode(bytes) {
        assert_eq!(message.encode().as_bytes(), bytes);
    }
    if let Ok(message) = FromOwner::decode(bytes) {
        assert_eq!(message.encode().as_bytes(), bytes);
    }
}

proptest! {
    #[test]
    fn random_bytes_are_a_message_or_refused(tag in 0u8..8, bytes: Vec<u8>) {
        understood_or_refused(&[&[tag], bytes.as_slice()].concat());
        understood_or_refused(&bytes);
    }

    #[test]
    fn random_numbers_are_a_start_or_refused(
        count: u8,
        numbers in prop::collection::vec(any::<[u8; 4]>(), 0..300),
    ) {
        understood_or_refused(&[&[1, 0, count], numbers.concat().as_slice()].concat());
    }
}
