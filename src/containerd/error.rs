//! One failed containerd call: which, on what, and how.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tonic::{Code, Status};

use crate::failure::{Failure, Kind};

/// A containerd call that failed.
#[derive(Debug, Clone)]
pub struct Error {
    call: &'static str,
    object: String,
    how: How,
}

/// What tonic says when the connection breaks during a call, and during a stream's.
const BROKEN: [&str; 2] = ["transport error", "error reading a body from connection"];

#[derive(Debug, Clone)]
enum How {
    /// containerd, or the transport below it, answered with a status.
    Refused(Code, String),
    /// No answer within the deadline.
    Late(Duration),
    /// More content than the caller takes.
    TooLong(usize),
}

impl Error {
    pub(super) fn refused((call, object): (&'static str, &str), status: &Status) -> Self {
        let how = How::Refused(status.code(), status.message().to_owned());
        Self {
            call,
            object: object.to_owned(),
            how,
        }
    }

    /// A call that did not come to its end within `deadline`.
    pub fn late((call, object): (&'static str, &str), deadline: Duration) -> Self {
        Self {
            call,
            object: object.to_owned(),
            how: How::Late(deadline),
        }
    }

    pub(super) fn too_long((call, object): (&'static str, &str), limit: usize) -> Self {
        Self {
            call,
            object: object.to_owned(),
            how: How::TooLong(limit),
        }
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.how, How::Refused(Code::NotFound, _))
    }

    /// The object exists already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self.how, How::Refused(Code::AlreadyExists, _))
    }

    /// containerd has no snapshotter of that name; its code is the general InvalidArgument.
    pub fn is_unknown_snapshotter(&self) -> bool {
        self.message().starts_with("snapshotter not loaded")
    }

    /// The object is in another state than the call needs.
    pub fn is_failed_precondition(&self) -> bool {
        matches!(self.how, How::Refused(Code::FailedPrecondition, _))
    }

    /// Another client writes to the ingest (containerd, `core/content` and before `content/local`:
    /// "ref … locked").
    pub fn is_locked(&self) -> bool {
        matches!(&self.how, How::Refused(Code::Unavailable, message) if message.contains("locked"))
    }

    /// The connection broke, containerd is not there, or it did not answer: nothing is known about
    /// the object, and the same call may work later. A broken connection in the middle of a call
    /// arrives as one of a few texts (seen on containerd 1.6 when it is killed).
    pub fn is_unreachable(&self) -> bool {
        match &self.how {
            How::Late(_) => true,
            How::Refused(Code::Unavailable | Code::Cancelled, _) => true,
            How::Refused(Code::Unknown | Code::Internal, message) => {
                BROKEN.iter().any(|text| message.contains(text))
            }
            How::Refused(..) | How::TooLong(_) => false,
        }
    }

    /// A snapshotter that was killed over a snapshot is in its own way (containerd,
    /// `snapshots/overlay`: "failed to rename: … file exists"), once: it removes that now.
    pub fn is_of_its_own_making(&self) -> bool {
        self.message().contains("failed to rename") && self.message().contains("file exists")
    }

    /// The directory that containerd could not make because it is there (Go's words for mkdir(2)).
    pub fn directory_in_the_way(&self) -> Option<&Path> {
        let (_, behind) = self.message().split_once("mkdir ")?;
        let (path, _) = behind.split_once(": file exists")?;
        Some(Path::new(path))
    }

    /// No answer came in time.
    pub fn is_late(&self) -> bool {
        matches!(self.how, How::Late(_))
    }

    /// containerd's own message.
    pub fn message(&self) -> &str {
        match &self.how {
            How::Refused(_, message) => message,
            How::Late(_) => "no answer",
            How::TooLong(_) => "too long",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {:?}: ", self.call, self.object)?;
        match &self.how {
            How::Refused(code, message) if message.is_empty() => write!(f, "{code}"),
            How::Refused(_, message) => f.write_str(message),
            How::Late(limit) => write!(f, "containerd did not answer within {}s", limit.as_secs()),
            How::TooLong(limit) => write!(f, "it is longer than {limit} bytes"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_unreachable() {
            Failure::new(Kind::ContainerdAway, error.to_string()).hint(
                "is containerd running, and is this its address? (--address, CONTAINERD_ADDRESS)",
            )
        } else {
            Failure::new(Kind::Containerd, error.to_string())
        }
    }
}
