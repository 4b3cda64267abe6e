//! What happens to runs, as containerd tells it.
//!
//! In: containerd's envelopes. Out: an [`Event`] for those that are about a run of ours, and mean something to
//! people. Nothing here waits or prints.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use containerd_client::events::{
    ContainerCreate, ContainerDelete, TaskExecStarted, TaskExit, TaskOom, TaskPaused, TaskResumed,
    TaskStart,
};
use prost::Message;
use prost_types::Any;
use serde::Serialize;

use crate::containerd::types::Envelope;
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::run::state::State;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A container was made.
    Create,
    /// Its first process was started.
    Start,
    /// Memory ran out.
    Oom,
    /// It was frozen.
    Pause,
    /// It was thawed.
    Unpause,
    /// Its first process has ended.
    Exit,
    /// The container was removed.
    Delete,
    /// A command was started beside the payload.
    ExecStart,
    /// Such a command has ended.
    ExecExit,
}

impl What {
    /// Our word for it, and docker's.
    const WORDS: [(Self, &str, &str); 9] = [
        (Self::Create, "create", "create"),
        (Self::Start, "start", "start"),
        (Self::Oom, "oom", "oom"),
        (Self::Pause, "pause", "pause"),
        (Self::Unpause, "unpause", "unpause"),
        (Self::Exit, "exit", "die"),
        (Self::Delete, "delete", "destroy"),
        (Self::ExecStart, "exec-start", "exec_start"),
        (Self::ExecExit, "exec-exit", "exec_die"),
    ];

    /// Our word.
    pub fn word(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(what, ..)| *what == self)
            .map_or("", |(_, word, _)| word)
    }
}

impl FromStr for What {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = Self::WORDS.iter();
        let found = words.find(|(_, ours, docker_s)| [*ours, *docker_s].contains(&text));
        found.map(|(what, ..)| *what).ok_or_else(|| {
            let words: Vec<_> = Self::WORDS.iter().map(|(_, word, _)| *word).collect();
            Failure::usage(format!("there is no event {text:?}"))
                .hint(format!("there are {}", words.join(", ")))
        })
    }
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// RFC 3339.
    pub time: String,
    /// What.
    #[serde(rename = "type")]
    pub what: What,
    /// To which run.
    pub run: ContainerId,
    /// 128 and the signal's number if it died of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u32>,
    /// The process, on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The image's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Which events are wanted: of one of these runs and of one of these kinds, where any are named.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    runs: Vec<String>,
    whats: BTreeSet<What>,
}

impl Filter {
    /// Adds `run=NAME` or `type=WORD`; docker's `container`, `event` and `type=container` are the same.
    pub fn add(&mut self, text: &str) -> Result<()> {
        match text.split_once('=') {
            Some(("run" | "container", run)) => self.runs.push(run.to_owned()),
            // There are no others.
            Some(("type", "container")) => {}
            Some(("type" | "event", word)) => drop(self.whats.insert(word.parse()?)),
            _ => {
                return Err(Failure::usage(format!("invalid filter {text:?}"))
                    .hint("run=NAME and type=EVENT are the filters, such as type=exit"));
            }
        }
        Ok(())
    }

    /// Whether it is wanted. A run need not exist yet, so the beginning of an id may be that of several.
    pub fn takes(&self, event: &Event) -> bool {
        (self.runs.is_empty() || self.runs.iter().any(|word| event.run.answers_to(word)))
            && (self.whats.is_empty() || self.whats.contains(&event.what))
    }
}

/// Tells ours from other clients' containers in the same namespace.
#[derive(Debug)]
pub struct Ours {
    state: State,
    known: BTreeSet<ContainerId>,
}

impl Ours {
    /// Those that have a run directory now, and those that will have one.
    pub fn new(state: &State) -> Result<Self> {
        Ok(Self {
            known: state.ids()?.into_iter().collect(),
            state: state.clone(),
        })
    }

    /// The event in `envelope`, if it is about one of ours. (A run's directory is there before anything
    /// else, but may be gone before its last event is heard.)
    pub fn event(&mut self, envelope: Envelope) -> Option<Event> {
        let event = event(envelope)?;
        if self.state.directory(&event.run).exists() {
            self.known.insert(event.run.clone());
        }
        let ours = self.known.contains(&event.run);
        if event.what == What::Delete {
            self.known.remove(&event.run);
        }
        ours.then_some(event)
    }
}

fn event(envelope: Envelope) -> Option<Event> {
    let stamp = envelope.timestamp.unwrap_or_default();
    let since = Duration::new(
        stamp.seconds.try_into().unwrap_or_default(),
        stamp.nanos.try_into().unwrap_or_default(),
    );
    let time = SystemTime::UNIX_EPOCH.checked_add(since)?;
    let Happened {
        what,
        run,
        exit_code,
        pid,
        image,
    } = happened(&envelope.event?)?;
    Some(Event {
        time: humantime::format_rfc3339_nanos(time).to_string(),
        what,
        // Another client's container may be called as none of ours can.
        run: run.parse().ok()?,
        exit_code,
        pid,
        image,
    })
}

/// What an event says.
struct Happened {
    what: What,
    run: String,
    exit_code: Option<u32>,
    pid: Option<u32>,
    image: Option<String>,
}

impl Happened {
    fn new(what: What, run: String) -> Self {
        Self {
            what,
            run,
            exit_code: None,
            pid: None,
            image: None,
        }
    }
}

/// The messages of containerd's `api/events`; all others are of no interest here.
fn happened(any: &Any) -> Option<Happened> {
    // There may be a prefix.
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    Some(match name.strip_prefix("containerd.events.")? {
        "ContainerCreate" => {
            let event: ContainerCreate = decode(any)?;
            Happened {
                image: Some(event.image).filter(|image| !image.is_empty()),
                ..Happened::new(What::Create, event.id)
            }
        }
        "ContainerDelete" => Happened::new(What::Delete, decode::<ContainerDelete>(any)?.id),
        "TaskStart" => {
            let event: TaskStart = decode(any)?;
            Happened {
                pid: Some(event.pid),
                ..Happened::new(What::Start, event.container_id)
            }
        }
        "TaskExecStarted" => {
            let event: TaskExecStarted = decode(any)?;
            Happened {
                pid: Some(event.pid),
                ..Happened::new(What::ExecStart, event.container_id)
            }
        }
        "TaskExit" => {
            let event: TaskExit = decode(any)?;
            let first = event.id.is_empty() || event.id == event.container_id;
            let what = if first { What::Exit } else { What::ExecExit };
            Happened {
                pid: Some(event.pid),
                exit_code: Some(event.exit_status),
                ..Happened::new(what, event.container_id)
            }
        }
        "TaskOOM" => Happened::new(What::Oom, decode::<TaskOom>(any)?.container_id),
        "TaskPaused" => Happened::new(What::Pause, decode::<TaskPaused>(any)?.container_id),
        "TaskResumed" => Happened::new(What::Unpause, decode::<TaskResumed>(any)?.container_id),
        _ => return None,
    })
}

fn decode<M: Message + Default>(any: &Any) -> Option<M> {
    M::decode(any.value.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(name: &str, message: &impl Message) -> Envelope {
        Envelope {
            event: Some(Any {
                type_url: name.to_owned(),
                value: message.encode_to_vec(),
            }),
            ..Envelope::default()
        }
    }

    fn exit_of(run: &str, id: &str) -> Event {
        let message = TaskExit {
            container_id: run.to_owned(),
            id: id.to_owned(),
            exit_status: 7,
            ..TaskExit::default()
        };
        event(envelope("containerd.events.TaskExit", &message)).unwrap()
    }

    fn exit(id: &str) -> Event {
        exit_of("web", id)
    }

    #[test]
    fn a_random_id_may_be_named_by_its_beginning() {
        let mut filter = Filter::default();
        filter.add("container=0123ab").unwrap();
        let id = "0123abcd0123abcd";
        assert!(filter.takes(&exit_of(id, id)));
        assert!(!filter.takes(&exit_of("0123ab-x", "0123ab-x")));
    }

    #[test]
    fn the_end_of_a_command_is_told_from_that_of_the_run() {
        assert_eq!(exit("web").what, What::Exit);
        assert_eq!(exit("other").what, What::ExecExit);
        assert_eq!(exit("web").exit_code, Some(7));
    }

    #[test]
    fn what_is_no_event_of_a_container_is_none() {
        let message = TaskStart::default();
        assert!(event(envelope("containerd.events.ImageCreate", &message)).is_none());
        assert!(event(envelope("containerd.events.TaskStart", &message)).is_none());
        assert!(event(Envelope::default()).is_none());
    }

    #[test]
    fn filters_of_one_kind_are_alternatives_and_docker_s_words_are_taken() {
        let filter = |texts: &[&str]| {
            let mut filter = Filter::default();
            texts.iter().for_each(|text| filter.add(text).unwrap());
            filter
        };
        let event = exit("web");
        for taken in [
            &[][..],
            &["type=container", "event=die"],
            &["type=exit", "type=start", "run=web"],
            &["container=web", "container=other"],
        ] {
            assert!(filter(taken).takes(&event), "{taken:?}");
        }
        for other in ["run=other", "run=we", "run=web2", "run="] {
            assert!(!filter(&[other]).takes(&event), "{other}");
        }
        assert!(!filter(&["run=web", "type=start"]).takes(&event));
        for bad in ["", "run", "type=x", "label=a"] {
            assert!(Filter::default().add(bad).is_err(), "{bad}");
        }
    }
}
