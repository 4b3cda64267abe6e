//! How a run ended, as its papers say it; or that nobody said anything.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::{About, VERDICT};
use crate::failure::{Context, Failure, Kind, Result};
use crate::run::verdict::Cause;

/// Room for a verdict: a disk that has become full meanwhile shall not cost the exit code.
pub(super) const ROOM: usize = 4096;

/// What is known of a run's end at once.
pub(super) fn end_of(
    about: &About,
    cause: &Cause,
    ended_at: Option<String>,
) -> Result<Map<String, Value>> {
    let json = serde_json::to_value(cause).or_fail(Kind::Host, || "cannot write the verdict")?;
    let mut end = json.as_object().cloned().unwrap_or_default();
    end.insert("exit_code".into(), cause.code().into());
    end.insert("id".into(), about.id.as_str().into());
    end.insert("image".into(), about.image.clone().into());
    end.insert("image_digest".into(), about.image_digest.clone().into());
    end.extend(ended_at.map(|at| ("ended_at".to_owned(), at.into())));
    Ok(end)
}

/// Over what was there, blanks included, so that it needs no more room.
pub(super) fn write_verdict(file: &File, verdict: &Map<String, Value>) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(verdict)?;
    bytes.resize(bytes.len().max(ROOM), b' ');
    file.write_all_at(&bytes, 0)
}

/// The end of a run, as its papers have it.
#[derive(Debug, Clone)]
pub struct End {
    /// Of `airtight run`.
    pub exit_code: i32,
    /// Nobody knows how it ended, for this reason.
    pub lost: Option<String>,
    /// When, if that is known.
    pub ended_at: Option<SystemTime>,
    /// The verdict.
    pub whole: Map<String, Value>,
}

impl End {
    /// From the papers in `dir`; None where nothing is said yet.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let cannot = || format!("cannot read {}", dir.join(VERDICT).display());
        match File::open(dir.join(VERDICT)) {
            Ok(file) => Self::of(file),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(Failure::host(cannot()).because(why)),
        }
    }

    /// From an open verdict, even of papers that are removed.
    pub fn of(mut file: File) -> Result<Option<Self>> {
        let cannot = || "cannot read the verdict";
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).or_fail(Kind::Host, cannot)?;
        // A power cut may leave bytes of nothing in place of the blanks.
        while bytes
            .pop_if(|last| *last == 0 || last.is_ascii_whitespace())
            .is_some()
        {}
        if bytes.is_empty() {
            return Ok(None);
        }
        let whole: Map<String, Value> =
            serde_json::from_slice(&bytes).or_fail(Kind::Host, cannot)?;
        let text = |name: &str| whole.get(name).and_then(Value::as_str);
        let code = whole.get("exit_code").and_then(Value::as_i64);
        let reason = text("reason").unwrap_or("nobody says why").to_owned();
        Ok(Some(Self {
            exit_code: code
                .and_then(|code| i32::try_from(code).ok())
                .unwrap_or(125),
            lost: (text("cause") == Some("lost")).then_some(reason),
            ended_at: text("ended_at").and_then(|at| humantime::parse_rfc3339(at).ok()),
            whole,
        }))
    }

    /// Why it ended.
    pub fn cause(&self) -> Option<Cause> {
        serde_json::from_value(Value::Object(self.whole.clone())).ok()
    }

    /// Of a run whose owner died without a word; `boot_id` is the present one.
    pub fn unseen(about: &About, boot_id: &str) -> Result<Self> {
        let cause = lost(about, boot_id);
        Ok(Self {
            exit_code: cause.code(),
            lost: Some(cause.reason().unwrap_or_default().to_owned()),
            ended_at: None,
            whole: end_of(about, &cause, None)?,
        })
    }
}

pub(super) fn lost(about: &About, boot_id: &str) -> Cause {
    let reason = if about.boot_id == boot_id {
        format!("its owner, process {}, died", about.owner)
    } else {
        "the host was started anew while it ran".into()
    };
    Cause::Lost { reason }
}
