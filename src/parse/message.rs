//! What client, keeper and the program in a container say to each other: one JSON object each
//! (docs/parsers.md).
//!
//! In and out: bytes of packets. What a client or a program sends is checked here for its form, and never
//! makes us panic; a field that nobody knows is a mistake, never ignored.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// A file that a client wants parsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The DAG file, absolute.
    #[serde(deserialize_with = "absolute")]
    pub file: PathBuf,
    /// As `--mount` of `airtight run`.
    #[serde(default)]
    pub mounts: Vec<String>,
    /// Variables of the container and their values, which are on no command line.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Of the container.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Further flags of `airtight run`, each a whole word.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Adds what Airflow 2 needs inside.
    #[serde(default)]
    pub airflow_2: bool,
    /// The program that the image's python3 runs; its first argument is the socket's number.
    pub program: String,
    /// Its further arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// What the program is to do, for it alone to understand.
    #[serde(default)]
    pub job: Value,
    /// A container for this file alone.
    #[serde(default)]
    pub cold: bool,
    /// How many seconds the program may take for it.
    #[serde(default, deserialize_with = "seconds", serialize_with = "in_seconds")]
    pub timeout: Option<Duration>,
}

fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(from)?;
    match path.is_absolute() {
        true => Ok(path),
        false => Err(de::Error::custom("file must be an absolute path")),
    }
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(from)? else {
        return Ok(None);
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if !limit.is_zero() => Ok(Some(limit)),
        _ => Err(de::Error::custom("timeout must be more than nothing")),
    }
}

fn in_seconds<S: Serializer>(limit: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    limit.map(|limit| limit.as_secs_f64()).serialize(to)
}

impl Order {
    /// Reads a packet of a client's.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// How it ends when its time is up.
    pub fn late(&self) -> End {
        let limit = self.timeout.unwrap_or_default();
        End::Timeout(limit.as_secs() + u64::from(limit.subsec_nanos() > 0))
    }
}

/// How a file's process ended: the last word on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// With this exit code.
    Code(i32),
    /// Of this signal.
    Signal(i32),
    /// Its time was up, in seconds.
    Timeout(u64),
    /// In the middle, with its container, in which others were too: nobody knows because of which of them.
    Lost(String),
    /// airtight could not, and why.
    #[serde(untagged)]
    Failed {
        /// Why.
        failed: String,
        /// What can be done about it; may be empty.
        hint: String,
    },
}

impl End {
    /// A failure of ours without advice.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed {
            failed: why.into(),
            hint: String::new(),
        }
    }

    /// The packet for the client.
    pub fn write(&self) -> Vec<u8> {
        let shortened = match self {
            Self::Failed { failed, hint } => Self::Failed {
                failed: shortened(failed),
                hint: shortened(hint),
            },
            Self::Lost(why) => Self::Lost(shortened(why)),
            other => other.clone(),
        };
        // It has no map and no number that JSON does not have.
        serde_json::to_vec(&shortened).unwrap_or_default()
    }
}

/// So that it fits into a packet, whatever JSON makes of it.
fn shortened(text: &str) -> String {
    const MOST: usize = 8 << 10;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What the program in a container says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It has imported what it needs, and can fork.
    Ready,
    /// It never will, for this reason.
    Unfit(String),
    /// A file's process is dead, and all that it started; or there was none.
    Ended {
        /// Of which job.
        id: u64,
        /// How.
        end: End,
    },
}

/// All fields that a program's packet can have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    ready: Option<bool>,
    id: Option<u64>,
    code: Option<i32>,
    signal: Option<i32>,
    failed: Option<String>,
}

impl Said {
    /// Reads a packet of the program's; nothing where it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let spoken: Spoken = serde_json::from_slice(bytes).ok()?;
        let Spoken {
            ready,
            id,
            code,
            signal,
            failed,
        } = spoken;
        match (ready, id, code, signal, failed) {
            (Some(true), None, None, None, None) => Some(Self::Ready),
            (None, None, None, None, Some(why)) => Some(Self::Unfit(why)),
            (None, Some(id), code, signal, failed) => {
                let end = match (code, signal, failed) {
                    (Some(code), None, None) => End::Code(code),
                    (None, Some(signal), None) => End::Signal(signal),
                    (None, None, Some(why)) => End::failed(why),
                    _ => return None,
                };
                Some(Self::Ended { id, end })
            }
            _ => None,
        }
    }
}

/// What the program is told to do.
pub fn job(id: u64, job: &Value) -> Vec<u8> {
    serde_json::json!({ "id": id, "job": job })
        .to_string()
        .into_bytes()
}

/// That a file's process is to die, and all that it started.
pub fn kill(id: u64) -> Vec<u8> {
    serde_json::json!({ "kill": id }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_order_needs_a_file_and_a_program() {
        let order = Order::read(br#"{"file": "/d.py", "program": "/p.py"}"#).unwrap();
        assert_eq!(order.file, PathBuf::from("/d.py"));
        assert_eq!((order.cold, order.timeout), (false, None));
        for (text, why) in [
            (r#"{"file": "d.py", "program": "/p.py"}"#, "absolute"),
            (r#"{"file": "/d.py"}"#, "program"),
            (r#"{"file": "/d.py", "program": "p", "x": 1}"#, "`x`"),
            (
                r#"{"file": "/d.py", "program": "p", "timeout": 0}"#,
                "more than nothing",
            ),
            (
                r#"{"file": "/d.py", "program": "p", "timeout": -1e300}"#,
                "more than nothing",
            ),
            ("[]", ""),
            ("", ""),
        ] {
            let error = Order::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_end_is_one_object() {
        let text = |end: End| String::from_utf8(end.write()).unwrap();
        assert_eq!(text(End::Code(1)), r#"{"code":1}"#);
        assert_eq!(text(End::Signal(9)), r#"{"signal":9}"#);
        assert_eq!(text(End::failed("why")), r#"{"failed":"why","hint":""}"#);
        for end in [
            End::Timeout(50),
            End::Lost("ended".into()),
            End::failed("no image"),
        ] {
            let read: End = serde_json::from_slice(&end.write()).unwrap();
            assert_eq!(read, end);
        }
        let long = End::failed("\u{1}".repeat(1 << 20)).write();
        assert!(long.len() < crate::packet::MAX_LENGTH);
    }

    #[test]
    fn a_program_says_whether_it_is_ready_or_how_a_job_ended_and_nothing_else() {
        let read = |text: &str| Said::read(text.as_bytes());
        assert_eq!(read(r#"{"ready": true}"#), Some(Said::Ready));
        let ended = |end| Some(Said::Ended { id: 7, end });
        assert_eq!(read(r#"{"id": 7, "code": 0}"#), ended(End::Code(0)));
        assert_eq!(read(r#"{"id": 7, "signal": 9}"#), ended(End::Signal(9)));
        assert_eq!(read(r#"{"id": 7, "failed": "x"}"#), ended(End::failed("x")));
        assert_eq!(read(r#"{"failed": "x"}"#), Some(Said::Unfit("x".into())));
        for text in [
            r#"{"ready": false}"#,
            r#"{"ready": true, "id": 7}"#,
            r#"{"id": 7}"#,
            r#"{"id": 7, "code": 0, "signal": 9}"#,
            r#"{"id": -7, "code": 0}"#,
            r#"{"id": 7, "code": 99999999999}"#,
            r#"{"kill": 7}"#,
            "{}",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Order::read(&bytes), Said::read(&bytes));
        }
    }
}
