//! Messages to bytes and back: one `encode` and one `decode` for each direction.
//!
//! Shared by owner and init like [`super::protocol`], and like it: std only, no allocation, no
//! panic. A tag is a constant of its enum's `encode`, and `decode` beneath is its mirror.

use std::time::Duration;

use super::protocol::{
    Exit, FromInit, FromOwner, Hello, MAX_DESCRIPTORS, MAX_PACKET, Malformed, SignalNumber,
    SignalRefusal, Stage, Start, StartFailure, Status, WhenAlone, WindowSize,
};

/// One encoded message.
#[derive(Clone)]
pub struct Packet {
    bytes: [u8; MAX_PACKET],
    length: usize,
}

impl Packet {
    fn new(tag: u8) -> Self {
        let empty = Self {
            bytes: [0; MAX_PACKET],
            length: 0,
        };
        empty.put([tag])
    }

    /// Appends one field. The longest message fills [`MAX_PACKET`] exactly, so none is dropped.
    fn put<const N: usize>(mut self, field: [u8; N]) -> Self {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        if let Some(room) = room.first_chunk_mut::<N>() {
            *room = field;
            self.length += N;
        }
        self
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The fields of a message not yet read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    fn signal(&mut self) -> Result<SignalNumber, Malformed> {
        i32::from(self.u8()?).try_into()
    }

    fn end<T>(self, message: T) -> Result<T, Malformed> {
        if self.0.is_empty() {
            Ok(message)
        } else {
            Err(Malformed::TrailingBytes)
        }
    }
}

impl FromInit {
    /// The message as a packet.
    pub fn encode(&self) -> Packet {
        match self {
            Self::Hello(Hello { version, pid }) => Packet::new(1)
                .put(version.to_le_bytes())
                .put(pid.to_le_bytes()),
            Self::Terminal => Packet::new(2),
            Self::Started(pid) => Packet::new(3).put(pid.to_le_bytes()),
            Self::StartFailed(failure) => put_failure(Packet::new(4), failure),
            Self::SignalRefused(refusal) => put_signal(Packet::new(5), refusal.signal)
                .put(refusal.errno.to_le_bytes())
                .put(refusal.pid.to_le_bytes()),
            Self::Exited(exit) => put_exit(Packet::new(6), exit),
        }
    }

    /// The message in a packet's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let message = match fields.u8()? {
            1 => Self::Hello(Hello {
                version: fields.u16()?,
                pid: fields.i32()?,
            }),
            2 => Self::Terminal,
            3 => Self::Started(fields.i32()?),
            4 => Self::StartFailed(take_failure(&mut fields)?),
            5 => Self::SignalRefused(SignalRefusal {
                signal: fields.signal()?,
                errno: fields.i32()?,
                pid: fields.i32()?,
            }),
            6 => Self::Exited(take_exit(&mut fields)?),
            tag => return Err(Malformed::UnknownTag(tag)),
        };
        fields.end(message)
    }
}

impl FromOwner {
    /// The message as a packet.
    pub fn encode(&self) -> Packet {
        match self {
            Self::Start(start) => put_start(Packet::new(1), start),
            Self::Signal(signal) => put_signal(Packet::new(2), *signal),
            Self::WhenAlone(rule) => put_rule(Packet::new(3), *rule),
        }
    }

    /// The message in a packet's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let message = match fields.u8()? {
            1 => Self::Start(take_start(&mut fields)?),
            2 => Self::Signal(fields.signal()?),
            3 => Self::WhenAlone(take_rule(&mut fields)?),
            tag => return Err(Malformed::UnknownTag(tag)),
        };
        fields.end(message)
    }
}

fn put_signal(packet: Packet, signal: SignalNumber) -> Packet {
    // 1 to 64, so the low byte is all of it.
    let [low, ..] = signal.get().to_le_bytes();
    packet.put([low])
}

fn put_start(packet: Packet, start: &Start) -> Packet {
    let packet = match start.terminal() {
        None => packet.put([0]),
        Some(WindowSize { rows, columns }) => packet
            .put([1])
            .put(rows.to_le_bytes())
            .put(columns.to_le_bytes()),
    };
    // At most MAX_DESCRIPTORS = 253 of them, so the low byte is all of the count.
    let [count, ..] = start.targets().len().to_le_bytes();
    let numbers = start.targets().iter();
    numbers.fold(packet.put([count]), |packet, target| {
        packet.put(target.to_le_bytes())
    })
}

fn take_start(fields: &mut Fields<'_>) -> Result<Start, Malformed> {
    let terminal = match fields.u8()? {
        0 => None,
        1 => Some(WindowSize {
            rows: fields.u16()?,
            columns: fields.u16()?,
        }),
        tag => return Err(Malformed::UnknownTag(tag)),
    };
    let mut targets = [0; MAX_DESCRIPTORS];
    let count = usize::from(fields.u8()?);
    let used = targets.get_mut(..count);
    let used = used.ok_or(Malformed::TooManyDescriptors)?;
    for target in used.iter_mut() {
        *target = fields.i32()?;
    }
    Start::new(terminal, used)
}

fn put_rule(packet: Packet, rule: WhenAlone) -> Packet {
    match rule {
        WhenAlone::Kill => packet.put([0]),
        WhenAlone::Stop(signal, timeout) => {
            put_signal(packet.put([1]), signal).put(micros(timeout).to_le_bytes())
        }
        WhenAlone::Keep => packet.put([2]),
    }
}

fn take_rule(fields: &mut Fields<'_>) -> Result<WhenAlone, Malformed> {
    Ok(match fields.u8()? {
        0 => WhenAlone::Kill,
        1 => WhenAlone::Stop(fields.signal()?, Duration::from_micros(fields.u64()?)),
        2 => WhenAlone::Keep,
        tag => return Err(Malformed::UnknownTag(tag)),
    })
}

fn put_failure(packet: Packet, failure: &StartFailure) -> Packet {
    let stage = match failure.stage {
        Stage::Descriptors => 1,
        Stage::Terminal => 2,
        Stage::Fork => 3,
        Stage::Search => 4,
        Stage::Exec => 5,
    };
    packet.put([stage]).put(failure.errno.to_le_bytes())
}

fn take_failure(fields: &mut Fields<'_>) -> Result<StartFailure, Malformed> {
    let stage = match fields.u8()? {
        1 => Stage::Descriptors,
        2 => Stage::Terminal,
        3 => Stage::Fork,
        4 => Stage::Search,
        5 => Stage::Exec,
        tag => return Err(Malformed::UnknownTag(tag)),
    };
    let errno = fields.i32()?;
    Ok(StartFailure { stage, errno })
}

fn put_exit(packet: Packet, exit: &Exit) -> Packet {
    let packet = match exit.status {
        Status::Code(code) => packet.put([0]).put([code]),
        Status::Signal(signal) => put_signal(packet.put([1]), signal),
        Status::CoreDumped(signal) => put_signal(packet.put([2]), signal),
    };
    packet
        .put(micros(exit.user).to_le_bytes())
        .put(micros(exit.system).to_le_bytes())
        .put(exit.max_rss.to_le_bytes())
}

fn take_exit(fields: &mut Fields<'_>) -> Result<Exit, Malformed> {
    let status = match fields.u8()? {
        0 => Status::Code(fields.u8()?),
        1 => Status::Signal(fields.signal()?),
        2 => Status::CoreDumped(fields.signal()?),
        tag => return Err(Malformed::UnknownTag(tag)),
    };
    Ok(Exit {
        status,
        user: Duration::from_micros(fields.u64()?),
        system: Duration::from_micros(fields.u64()?),
        max_rss: fields.u64()?,
    })
}

/// Microseconds, the resolution of wait4's rusage; 584,000 years fit, and more is cut.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
