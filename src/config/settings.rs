//! Settings: every runtime key in its own type.
//!
//! Built from the merged layers; an error names the value and where it was written. What two
//! settings mean together is decided in `plan`.

mod environment;
mod limits;
mod mounts;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use self::environment::{Environment, environment};
use self::limits::limits;
use self::mounts::mounts;
use self::read::{
    each, list, optional, optional_with, parse, required, required_with, switch, unique,
    unless_zero,
};
use super::ceilings::Fences;
use super::image::{check_tag, final_image};
use super::layer::Merged;
use super::values::{
    AppArmor, BlkioWeight, Bytes, CpuShares, Cpus, Device, Invalid, IpcMode, Label, LogDriver,
    Mount, NetworkMode, OnConflict, OomScoreAdj, OwnerDeath, PidMode, PidsLimit, Seccomp,
    SecurityOption, SwapLimit, Ulimit, UtsMode, clean_absolute, duration, hostname, log_files,
    log_size, signal_number, sysctl, truth, working_dir,
};
use crate::cgroup::Subpath;
use crate::containerd::socket_path;
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::image::Wanted;
use crate::spec::capabilities::CapabilityChanges;
use crate::spec::user::{NameOrId, UserSpec};

/// Size of /dev/shm where nobody says anything: docker's.
pub const DEFAULT_SHM_SIZE: Bytes = Bytes(64 << 20);

/// Everything one run was asked for.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "runtime-specs/keys.yaml says what each key means"
)]
pub struct Settings {
    pub image: Wanted,
    pub command: Vec<String>,
    pub entrypoint: Option<Vec<String>>,
    pub working_dir: Option<String>,
    pub user: Option<UserSpec>,
    pub root_forbidden: bool,
    pub group_add: Vec<NameOrId>,
    /// What is set; `None` takes the image's variable away.
    pub environment: BTreeMap<String, Option<String>>,
    /// Those of it whose values nobody is shown.
    pub private: BTreeSet<String>,
    pub init: bool,
    pub random_pids: bool,
    pub interactive: bool,
    pub tty: bool,
    pub pass_fds: Vec<i32>,
    pub ulimits: Vec<Ulimit>,
    pub oom_score_adj: OomScoreAdj,
    pub stop_signal: Option<i32>,
    pub stop_timeout: Duration,
    pub timeout: Option<Duration>,
    /// Whether nothing is kept of a detached run; None where nobody says.
    pub remove: Option<bool>,
    pub log: Log,
    pub name: Option<ContainerId>,
    pub key: Option<String>,
    pub on_conflict: OnConflict,
    pub on_owner_death: OwnerDeath,
    pub labels: Vec<Label>,
    pub hostname: Option<String>,
    pub mounts: Vec<Mount>,
    pub read_only: bool,
    pub devices: Vec<Device>,
    pub shm_size: Option<Bytes>,
    pub limits: Limits,
    pub privileged: bool,
    pub capabilities: CapabilityChanges,
    pub security: Security,
    pub sysctls: BTreeMap<String, String>,
    pub pid_mode: PidMode,
    pub uts_mode: UtsMode,
    pub ipc_mode: IpcMode,
    pub network_mode: NetworkMode,
    pub cgroup_mount_path: String,
    pub cgroup_subpath: Subpath,
    pub runtime: String,
    pub runtime_binary: Option<String>,
    pub snapshotter: String,
    pub cold_parsing: bool,
}

/// What the cgroup allows.
#[derive(Debug, Default)]
#[allow(
    missing_docs,
    reason = "runtime-specs/keys.yaml says what each key means"
)]
pub struct Limits {
    pub memory: Option<Bytes>,
    pub memory_swap: Option<SwapLimit>,
    pub memory_reservation: Option<Bytes>,
    pub oom_kill_disable: bool,
    pub cpus: Option<Cpus>,
    pub cpu_shares: Option<CpuShares>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub pids: Option<PidsLimit>,
    pub blkio_weight: Option<BlkioWeight>,
}

/// What becomes of a detached run's output.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(
    missing_docs,
    reason = "runtime-specs/keys.yaml says what each key means"
)]
pub struct Log {
    pub driver: LogDriver,
    /// None is unlimited.
    pub max_size: Option<u64>,
    pub max_files: NonZeroU32,
}

/// `--security-opt`, sorted.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "runtime-specs/keys.yaml says what each key means"
)]
pub struct Security {
    pub seccomp: Seccomp,
    pub app_armor: Option<AppArmor>,
    pub no_new_privileges: bool,
}

/// What settings may refer to beside themselves.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Our own environment, as far as its names are text.
    pub variables: BTreeMap<String, OsString>,
    /// containerd's socket.
    pub socket: PathBuf,
    /// The author of a metadata file must not become root.
    pub root_forbidden: bool,
    /// Where the host paths of a metadata file must lead.
    pub fences: Fences,
    /// Whether files of variables are opened.
    pub env_files: EnvFiles,
}

/// What happens to files of variables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EnvFiles {
    /// They are read, for a run.
    #[default]
    Read,
    /// They are left alone: a check may be of somebody's proposal, and on another host.
    Skip,
}

impl Settings {
    /// Parses what the layers say. `command` is what stood behind the image.
    pub fn parse(merged: &Merged, command: Vec<String>, around: &Surroundings) -> Result<Self> {
        let (image, named_by) = final_image(merged).ok_or_else(|| {
            Failure::usage("no image is named").hint(
                "give it as the first argument, with --image, in the metadata file of --dag-file, or as CONTAINER_REPOSITORY in airflow.cfg",
            )
        })?;
        let Environment { variables, private } = environment(merged, around)?;
        check_tag(merged)?;
        if let Some(item) = merged.one("socket_path") {
            socket_path(&item.text).map_err(|why| item.refuse(why))?;
        }
        Ok(Self {
            image: image.parse().map_err(|why: Failure| named_by.refuse(why))?,
            command,
            entrypoint: merged.one("entrypoint").map(|item| {
                if item.text.is_empty() {
                    Vec::new()
                } else {
                    vec![item.text.clone()]
                }
            }),
            working_dir: optional_with(merged, "working_dir", working_dir)?,
            user: optional(merged, "run_as_user")?,
            root_forbidden: around.root_forbidden,
            group_add: each(merged, "group_add")?,
            environment: variables,
            private,
            init: switch(merged, "init")?,
            random_pids: switch(merged, "random_pids")?,
            interactive: switch(merged, "interactive")?,
            tty: switch(merged, "tty")?,
            pass_fds: list(merged, "pass_fd", |text| {
                let number = text
                    .parse()
                    .ok()
                    .filter(|fd: &i32| (0..65_536).contains(fd));
                number.ok_or_else(|| Invalid::new("the number of an open descriptor is needed"))
            })?,
            ulimits: each(merged, "ulimits")?,
            oom_score_adj: required(merged, "oom_score_adj")?,
            stop_signal: optional_with(merged, "stop_signal", signal_number)?,
            stop_timeout: required_with(merged, "stop_timeout", duration)?,
            timeout: optional_with(merged, "timeout", time_limit)?,
            remove: optional_with(merged, "remove_container_after_exit", truth)?,
            log: Log {
                driver: required(merged, "log_driver")?,
                max_size: required_with(merged, "log_max_size", log_size)?,
                max_files: required_with(merged, "log_max_file", log_files)?,
            },
            name: unless_later(merged, "key", "name", optional(merged, "name")?),
            key: unless_later(
                merged,
                "name",
                "key",
                optional_with(merged, "key", not_empty)?,
            ),
            on_conflict: required(merged, "on_conflict")?,
            on_owner_death: required(merged, "on_owner_death")?,
            labels: each(merged, "labels")?,
            hostname: optional_with(merged, "hostname", hostname)?,
            mounts: mounts(merged, around)?,
            read_only: switch(merged, "read_only")?,
            devices: unique(merged, "devices", |device: &Device| device.target.clone())?,
            shm_size: unless_zero(merged, "shm_size")?,
            limits: limits(merged)?,
            privileged: switch(merged, "privileged")?,
            capabilities: CapabilityChanges {
                add: each(merged, "cap_add")?,
                drop: each(merged, "cap_drop")?,
            },
            security: security(merged)?,
            sysctls: list(merged, "sysctls", sysctl)?.into_iter().collect(),
            pid_mode: required(merged, "pid_mode")?,
            uts_mode: required(merged, "uts_mode")?,
            ipc_mode: required(merged, "ipc_mode")?,
            network_mode: required(merged, "network_mode")?,
            cgroup_mount_path: required_with(merged, "cgroup_mount_path", clean_absolute)?,
            cgroup_subpath: required(merged, "docker_cgroup_subpath")?,
            runtime: required_with(merged, "runtime", runtime)?,
            runtime_binary: merged.one("runtime_binary").map(|item| item.text.clone()),
            snapshotter: required_with(merged, "snapshotter", not_empty)?,
            cold_parsing: switch(merged, "cold_parsing")?,
        })
    }
}

fn security(merged: &Merged) -> Result<Security> {
    let mut security = Security {
        seccomp: Seccomp::Default,
        app_armor: None,
        no_new_privileges: false,
    };
    for item in merged.all("security_opt") {
        match parse(item)? {
            SecurityOption::Seccomp(seccomp) => security.seccomp = seccomp,
            SecurityOption::AppArmor(profile) => security.app_armor = Some(profile),
            SecurityOption::NoNewPrivileges(on) => security.no_new_privileges = on,
        }
    }
    Ok(security)
}

/// `value` of the key `name`, unless a later layer says `other`, which says the same in another way.
fn unless_later<T>(merged: &Merged, other: &str, name: &str, value: Option<T>) -> Option<T> {
    let layer = |key| merged.with_layer(key).map(|(layer, _)| layer);
    value.filter(|_| layer(other) <= layer(name))
}

/// containerd finds the shim's program by this name, so it must not be a path into elsewhere.
fn runtime(text: &str) -> Result<String, Invalid> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.starts_with('/') || (text.split('.').count() >= 2 && text.chars().all(plain)) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(
        "a name such as io.containerd.runc.v2 or the absolute path of a shim is needed",
    ))
}

/// A limit of nothing would stop every run before it starts.
fn time_limit(text: &str) -> Result<Duration, Invalid> {
    match duration(text)? {
        Duration::ZERO => Err(Invalid::new(
            "it must be more than nothing; leave it out for no limit",
        )),
        limit => Ok(limit),
    }
}

fn not_empty(text: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        Err(Invalid::new("it is empty"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests;
