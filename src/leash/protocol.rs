//! The messages on the leash and their form as bytes.
//!
//! In: a message, or the bytes of one packet. Out: the packet, or the message it holds. Owner and
//! init share this file (init includes it by path), so both always mean the same. It uses std
//! only, allocates nothing, and no bytes whatsoever make it panic.
//!
//! One message is one packet: a tag byte, then the fields in the order of the type, integers
//! little endian. [`VERSION`] travels in the first message, [`Hello`], and both sides are built
//! together, so nothing else needs to be extensible.

use std::fmt;
use std::time::Duration;

/// The version of everything below; to be raised with any change of it.
pub const VERSION: u16 = 2;

/// The most descriptors one packet carries (the kernel's SCM_MAX_FD, unix(7)).
pub const MAX_DESCRIPTORS: usize = 253;

/// The longest packet: a [`Start`] with a terminal and all descriptors.
pub const MAX_PACKET: usize = 1 + 5 + 1 + 4 * MAX_DESCRIPTORS;

/// What init tells the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromInit {
    /// Always the first message.
    Hello(Hello),
    /// The master side of the payload's terminal, as the packet's only descriptor.
    Terminal,
    /// The payload runs: its exec succeeded. Its pid in init's pid namespace.
    Started(i32),
    /// There is no payload and there will be none.
    StartFailed(StartFailure),
    /// A signal could not be delivered.
    SignalRefused(SignalRefusal),
    /// The payload ended.
    Exited(Exit),
}

/// What the owner tells init.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, and init allocates nothing"
)]
pub enum FromOwner {
    /// What to do when the leash breaks; may come before [`FromOwner::Start`]. Without it: kill.
    WhenAlone(WhenAlone),
    /// Start the payload, with the packet's descriptors.
    Start(Start),
    /// Send a signal to the payload.
    Signal(SignalNumber),
}

/// What becomes of a payload whose owner is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenAlone {
    /// Everything inside is killed.
    Kill,
    /// It gets a signal; after this time, everything inside is killed.
    Stop(SignalNumber, Duration),
    /// It goes on.
    Keep,
}

/// Who init is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The protocol it speaks.
    pub version: u16,
    /// Its pid in its own pid namespace.
    pub pid: i32,
}

/// What the payload gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    terminal: Option<WindowSize>,
    targets: Targets,
}

/// The descriptor numbers of the payload, in the order of the packet's descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Targets {
    numbers: [i32; MAX_DESCRIPTORS],
    count: u8,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

/// A signal number the kernel knows: 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalNumber(u8);

/// Why there is no payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartFailure {
    /// What init was doing.
    pub stage: Stage,
    /// What the kernel answered.
    pub errno: i32,
}

/// The steps of starting a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Receiving the descriptors and giving them their numbers.
    Descriptors,
    /// Opening the terminal and making it the payload's own.
    Terminal,
    /// Forking.
    Fork,
    /// Finding the command: there is no such file.
    Search,
    /// Executing the command: the file exists, but the kernel refuses it. With ENOENT it is the
    /// interpreter or the dynamic loader it names that is missing.
    Exec,
}

/// A signal that could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalRefusal {
    /// The signal.
    pub signal: SignalNumber,
    /// EPERM: the payload took another uid. ESRCH: there is no payload yet.
    pub errno: i32,
    /// The payload's pid in init's pid namespace, 0 when there is none.
    pub pid: i32,
}

/// How the payload ended and what it used, with the descendants it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub status: Status,
    /// Time in user mode.
    pub user: Duration,
    /// Time in the kernel.
    pub system: Duration,
    /// The largest resident set of one process, in bytes.
    pub max_rss: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with a code.
    Code(u8),
    /// A signal killed it.
    Signal(SignalNumber),
    /// A signal killed it and the kernel wrote a core file.
    CoreDumped(SignalNumber),
}

impl Status {
    /// The code as a shell shows it: 128 + n for signal n.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) | Self::CoreDumped(signal) => 128 + signal.0,
        }
    }
}

impl StartFailure {
    /// 127: no such command. 126: it exists but cannot be executed. 125: our own failure.
    pub fn exit_code(self) -> u8 {
        match self.stage {
            Stage::Search => 127,
            Stage::Exec => 126,
            Stage::Descriptors | Stage::Terminal | Stage::Fork => 125,
        }
    }
}

impl SignalNumber {
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGPIPE.
    pub const PIPE: Self = Self(13);
    /// SIGTERM.
    pub const TERM: Self = Self(15);

    /// The number for the kernel.
    pub fn get(self) -> i32 {
        self.0.into()
    }
}

impl TryFrom<i32> for SignalNumber {
    type Error = Malformed;

    fn try_from(number: i32) -> Result<Self, Malformed> {
        match u8::try_from(number) {
            Ok(number @ 1..=64) => Ok(Self(number)),
            _ => Err(Malformed::NoSuchSignal),
        }
    }
}

impl Start {
    /// `targets[i]` is the number descriptor `i` of the packet gets in the payload.
    ///
    /// Each of 0, 1 and 2 must have its descriptor, or, with a terminal, none of them.
    pub fn new(terminal: Option<WindowSize>, targets: &[i32]) -> Result<Self, Malformed> {
        let mut numbers = [0; MAX_DESCRIPTORS];
        let room = numbers.get_mut(..targets.len());
        room.ok_or(Malformed::TooManyDescriptors)?
            .copy_from_slice(targets);

        if targets.iter().any(|&target| target < 0) {
            return Err(Malformed::NegativeDescriptor);
        }
        let times = |number| targets.iter().filter(|&&target| target == number).count();
        if targets.iter().any(|&target| times(target) > 1) {
            return Err(Malformed::RepeatedDescriptor);
        }
        let standard = usize::from(terminal.is_none());
        if (0..=2).any(|number| times(number) != standard) {
            return Err(Malformed::StandardDescriptors);
        }
        let count = u8::try_from(targets.len()).map_err(|_| Malformed::TooManyDescriptors)?;
        Ok(Self {
            terminal,
            targets: Targets { numbers, count },
        })
    }

    /// The terminal the payload gets as 0, 1 and 2, if any.
    pub fn terminal(&self) -> Option<WindowSize> {
        self.terminal
    }

    /// The payload's numbers for the packet's descriptors.
    pub fn targets(&self) -> &[i32] {
        let count = usize::from(self.targets.count);
        self.targets.numbers.get(..count).unwrap_or_default()
    }
}

/// Why bytes are not a message, or values cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The packet ends within a field.
    Truncated,
    /// The packet goes on after the last field.
    TrailingBytes,
    /// No message has this tag, no field this variant.
    UnknownTag(u8),
    /// Not 1 to 64.
    NoSuchSignal,
    /// More than [`MAX_DESCRIPTORS`].
    TooManyDescriptors,
    /// Below 0.
    NegativeDescriptor,
    /// Two descriptors for one number.
    RepeatedDescriptor,
    /// 0, 1 or 2 without a descriptor, or with one although there is a terminal.
    StandardDescriptors,
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the message is too short",
            Self::TrailingBytes => "the message is too long",
            Self::UnknownTag(tag) => return write!(f, "unknown tag {tag} in the message"),
            Self::NoSuchSignal => "signals are numbered from 1 to 64",
            Self::TooManyDescriptors => "at most 253 descriptors can be passed",
            Self::NegativeDescriptor => "a descriptor number cannot be negative",
            Self::RepeatedDescriptor => "two descriptors are given for one number",
            Self::StandardDescriptors => {
                "descriptors 0, 1 and 2 must all be given, or none of them with a terminal"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Option<WindowSize> = Some(WindowSize {
        rows: 24,
        columns: 80,
    });

    #[test]
    fn the_standard_descriptors_are_given_or_replaced_by_a_terminal() {
        assert!(Start::new(None, &[0, 1, 2, 5]).is_ok());
        assert!(Start::new(SIZE, &[5]).is_ok());
        let refused = Err(Malformed::StandardDescriptors);
        assert_eq!(Start::new(None, &[0, 1]), refused);
        assert_eq!(Start::new(SIZE, &[1]), refused);
    }

    #[test]
    fn a_number_is_given_once_and_is_not_negative() {
        let start = |number| Start::new(SIZE, &[4, number]);
        assert_eq!(start(4), Err(Malformed::RepeatedDescriptor));
        assert_eq!(start(-1), Err(Malformed::NegativeDescriptor));
    }

    #[test]
    fn no_more_descriptors_are_passed_than_the_kernel_takes() {
        let numbers: Vec<i32> = (3..).take(MAX_DESCRIPTORS + 1).collect();
        let refused = Err(Malformed::TooManyDescriptors);
        assert_eq!(Start::new(SIZE, &numbers), refused);
        assert!(Start::new(SIZE, &numbers[1..]).is_ok());
    }

    #[test]
    fn signals_are_numbered_from_1_to_64() {
        for number in [1, 32, 64] {
            assert_eq!(SignalNumber::try_from(number).unwrap().get(), number);
        }
        for number in [i32::MIN, -1, 0, 65, 265] {
            assert!(SignalNumber::try_from(number).is_err(), "{number}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(Status::Code(3).exit_code(), 3);
        assert_eq!(Status::Signal(SignalNumber::KILL).exit_code(), 137);
        let failed = |stage| StartFailure { stage, errno: 2 }.exit_code();
        assert_eq!(failed(Stage::Search), 127);
        assert_eq!(failed(Stage::Exec), 126);
        assert_eq!(failed(Stage::Fork), 125);
    }
}
