//! What runs: command, user, environment, descriptors.

use std::collections::BTreeSet;

use oci_spec::runtime::{Capabilities, Capability, PosixRlimit};
use serde::{Serialize, Serializer};

use super::{app_armor, environment};
use crate::config::Settings;
use crate::config::values::{PidMode, Ulimit, working_dir};
use crate::failure::{Failure, Result};
use crate::image::Image;
use crate::secret;
use crate::spec::base::Base;
use crate::spec::user::{NameOrId, UserSpec};
use crate::survey::{Descriptor, Survey};

/// The payload.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// The command and its arguments, without the init.
    pub args: Vec<String>,
    /// `NAME=VALUE`; HOME is added when the user is resolved, unless it is set here.
    pub environment: Vec<String>,
    /// The names of variables whose values nobody is shown.
    #[serde(skip)]
    pub private: BTreeSet<String>,
    /// Absolute.
    pub working_dir: String,
    /// Resolved in the image once its file system can be read.
    pub user: UserSpec,
    /// A user that turns out to be root in the image is refused: the operator chose another.
    pub root_forbidden: bool,
    /// Further groups, by name or number.
    pub group_add: Vec<NameOrId>,
    /// Started by our init, on the leash.
    pub init: bool,
    /// The pids of its namespace begin at a random number.
    pub random_pids: bool,
    /// Gets a terminal of its own.
    pub terminal: bool,
    /// Gets our stdin.
    pub interactive: bool,
    /// Descriptors handed over under their own numbers; 0, 1 and 2 here mean: as they are.
    pub pass_fds: Vec<i32>,
    /// Limits set explicitly, so that none is inherited from containerd.
    pub rlimits: Vec<PosixRlimit>,
    /// Set explicitly, for the same reason.
    pub oom_score_adj: i32,
    /// Set-user-ID programs gain nothing.
    pub no_new_privileges: bool,
    /// The capabilities root has inside, and the bound for everyone else.
    #[serde(serialize_with = "sorted")]
    pub capabilities: Capabilities,
    /// The AppArmor profile.
    pub app_armor_profile: Option<String>,
}

/// What a process gets of ours.
#[derive(Debug, Clone, Copy)]
pub struct Streams {
    /// Our stdin.
    pub interactive: bool,
    /// A terminal, which has one output.
    pub terminal: bool,
}

impl Process {
    /// What it gets of ours.
    pub fn streams(&self) -> Streams {
        Streams {
            interactive: self.interactive,
            terminal: self.terminal,
        }
    }

    /// Hides what is secret.
    pub(super) fn mask(&mut self) {
        for variable in &mut self.environment {
            let name = variable.split('=').next().unwrap_or_default();
            *variable = if self.private.contains(name) {
                secret::hidden(variable)
            } else {
                secret::pair(variable)
            };
        }
        for argument in &mut self.args {
            *argument = secret::argument(argument);
        }
    }
}

/// A set has no order of its own; printed plans are compared.
fn sorted<S: Serializer>(set: &Capabilities, serializer: S) -> Result<S::Ok, S::Error> {
    let mut names: Vec<String> = set.iter().map(|name| format!("CAP_{name}")).collect();
    names.sort();
    names.serialize(serializer)
}

/// Linux's MAX_ARG_STRLEN: no single argument or variable may be longer.
const MAX_STRING: usize = 128 << 10;
/// Arguments and environment together; the kernel allows a quarter of the stack limit, 2 MiB with
/// the usual 8 MiB (execve(2)).
const MAX_STRINGS: usize = 2 << 20;

pub(super) fn plan(
    settings: &Settings,
    survey: &Survey,
    image: &Image,
    base: &Base,
    capabilities: Capabilities,
    hostname: Option<&str>,
) -> Result<Process> {
    check_descriptors(settings, survey)?;
    let args = command(settings, image)?;
    let environment = environment::plan(settings, image, hostname);
    check_strings(&args, &environment)?;
    let working_dir = match (&settings.working_dir, image.working_dir()) {
        (Some(dir), _) => dir.clone(),
        (None, None) => "/".to_owned(),
        (None, Some(dir)) => {
            working_dir(dir).map_err(|why| image.refuse(format!("WORKDIR {dir:?}")).because(why))?
        }
    };
    let user = match (&settings.user, image.user()) {
        (Some(user), _) => user.clone(),
        (None, None) => UserSpec::root(),
        (None, Some(user)) => user
            .parse()
            .map_err(|why: Failure| image.refuse(format!("USER {user:?}")).because(why))?,
    };
    Ok(Process {
        args,
        environment,
        private: settings.private.clone(),
        working_dir,
        user,
        root_forbidden: settings.root_forbidden,
        group_add: settings.group_add.clone(),
        init: settings.init,
        random_pids: settings.random_pids && settings.init && settings.pid_mode == PidMode::Private,
        terminal: settings.tty,
        interactive: settings.interactive,
        pass_fds: settings.pass_fds.clone(),
        rlimits: rlimits(settings, survey, base)?,
        oom_score_adj: oom_score_adj(settings, survey)?,
        // A set-user-ID program of the author's image would be root after all.
        no_new_privileges: settings.security.no_new_privileges || settings.root_forbidden,
        capabilities,
        app_armor_profile: app_armor(settings, survey)?,
    })
}

/// docker's rule: the entry point in front of the command; a new entry point drops the image's CMD.
fn command(settings: &Settings, image: &Image) -> Result<Vec<String>> {
    let mut args = settings
        .entrypoint
        .clone()
        .unwrap_or_else(|| image.entrypoint().to_vec());
    if !settings.command.is_empty() {
        args.extend(settings.command.iter().cloned());
    } else if settings.entrypoint.is_none() {
        args.extend(image.cmd().iter().cloned());
    }
    match args.first() {
        None => Err(Failure::usage(format!(
            "no command is given and image {} names none",
            image.name
        ))),
        Some(program) if program.is_empty() => Err(Failure::usage("the command is empty")),
        Some(_) => Ok(args),
    }
}

fn check_strings(args: &[String], environment: &[String]) -> Result<()> {
    // Of a variable, whose value may be a secret, the name is enough.
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let variables = environment.iter();
    for (what, text, shown) in args
        .iter()
        .map(|text| ("an argument", text, secret::argument(text)))
        .chain(variables.map(|pair| ("a variable", pair, name(pair))))
    {
        let start: String = shown.chars().take(32).collect();
        if text.contains('\0') {
            return Err(Failure::usage(format!(
                "{what} contains a NUL byte: {start:?}…"
            )));
        }
        if text.len() >= MAX_STRING {
            return Err(Failure::usage(format!(
                "{what} is longer than the kernel's 128 KiB: {start:?}…"
            ))
            .hint("hand large data over as a file (--volume) or on stdin (-i)"));
        }
    }
    // The kernel counts a pointer and a NUL for each.
    let total: usize = args
        .iter()
        .chain(environment)
        .map(|text| text.len() + 9)
        .sum();
    if total >= MAX_STRINGS {
        return Err(Failure::usage(
            "arguments and environment together are longer than the kernel's 2 MiB",
        )
        .hint("hand large data over as a file (--volume) or on stdin (-i)"));
    }
    Ok(())
}

fn check_descriptors(settings: &Settings, survey: &Survey) -> Result<()> {
    for &fd in &settings.pass_fds {
        let refuse =
            |why: &str| Failure::usage(format!("cannot pass descriptor {fd}")).because(why);
        if fd > 2 && !settings.init {
            return Err(refuse(
                "without the init (--no-init) nothing can be handed over",
            ));
        }
        match survey.descriptor(fd) {
            None => return Err(refuse("it is not open")),
            Some(Descriptor::Refused(kind)) => return Err(refuse(kind)),
            Some(Descriptor::Terminal) => {
                return Err(refuse(
                    "it is a terminal; -t gives the payload one of its own",
                ));
            }
            Some(Descriptor::Passable | Descriptor::File) => {}
        }
    }
    Ok(())
}

/// Below 0 it takes CAP_SYS_RESOURCE (proc(5)).
fn oom_score_adj(settings: &Settings, survey: &Survey) -> Result<i32> {
    let score = settings.oom_score_adj.0;
    if score < 0 && !survey.capabilities.contains(&Capability::SysResource) {
        return Err(
            Failure::usage(format!("--oom-score-adj {score} cannot be set"))
                .because("this host can set none below 0: it has no CAP_SYS_RESOURCE"),
        );
    }
    Ok(score)
}

/// What the user set over our defaults for every kind: a limit that is not set would be inherited
/// from containerd. A default yields to what the host can set; what the user set does not.
fn rlimits(settings: &Settings, survey: &Survey, base: &Base) -> Result<Vec<PosixRlimit>> {
    let highest = |kind| {
        let known = survey
            .highest_rlimits
            .iter()
            .find(|(known, _)| *known == kind);
        known.map_or(u64::MAX, |(_, hard)| *hard)
    };
    let mut limits = Vec::new();
    for limit in &base.rlimits {
        let highest = highest(limit.typ());
        let (soft, hard) = (limit.soft().min(highest), limit.hard().min(highest));
        limits.push(Ulimit {
            kind: limit.typ(),
            soft,
            hard,
        });
    }
    for limit in &settings.ulimits {
        let highest = highest(limit.kind);
        if limit.hard > highest {
            return Err(
                Failure::usage(format!("--ulimit {} cannot be set", limit.kind)).because(format!(
                    "this host can set none above {highest}: it has no CAP_SYS_RESOURCE"
                )),
            );
        }
        limits.retain(|other| other.kind != limit.kind);
        limits.push(*limit);
    }
    Ok(limits.into_iter().map(PosixRlimit::from).collect())
}

#[cfg(test)]
mod tests;
