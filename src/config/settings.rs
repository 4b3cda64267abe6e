//! Settings: every runtime key in its own type.
//!
//! Built from the merged layers; an error names the value and where it was written. What two
//! settings mean together is decided in `plan`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::ceilings::{Fences, final_image};
use super::layer::{Item, Merged, OnTwin};
use super::values::{
    AppArmor, BlkioWeight, Bytes, CpuShares, Cpus, Device, Invalid, IpcMode, Label, Mount,
    NetworkMode, OomScoreAdj, PidMode, PidsLimit, Seccomp, SecurityOption, SwapLimit, Ulimit,
    UtsMode, Variable, clean_absolute, cpu_list, duration, hostname, parse_mount, parse_tmpfs,
    parse_volume, signal_number, sysctl, working_dir,
};
use super::{env_file, pattern};
use crate::cgroup::Subpath;
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::image::Wanted;
use crate::spec::capabilities::CapabilityChanges;
use crate::spec::user::{NameOrId, UserSpec};

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
    pub init: bool,
    pub interactive: bool,
    pub tty: bool,
    pub pass_fds: Vec<i32>,
    pub ulimits: Vec<Ulimit>,
    pub oom_score_adj: OomScoreAdj,
    pub stop_signal: Option<i32>,
    pub stop_timeout: Duration,
    pub timeout: Option<Duration>,
    pub name: Option<ContainerId>,
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
}

impl Settings {
    /// Parses what the layers say. `command` is what stood behind the image.
    pub fn parse(merged: &Merged, command: Vec<String>, around: &Surroundings) -> Result<Self> {
        let (image, named_by) = final_image(merged).ok_or_else(|| {
            Failure::usage("no image is named").hint(
                "give it as the first argument, with --image, in the metadata file of --dag-file, or as CONTAINER_REPOSITORY in airflow.cfg",
            )
        })?;
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
            environment: environment(merged, around)?,
            init: switch(merged, "init")?,
            interactive: switch(merged, "interactive")?,
            tty: switch(merged, "tty")?,
            pass_fds: list(merged, "pass_fd", |text| {
                let number = text
                    .parse()
                    .ok()
                    .filter(|fd: &i32| (0..65_536).contains(fd));
                number.ok_or_else(|| Invalid::new("the number of an open descriptor is needed"))
            })?,
            ulimits: merged.by_name(
                "ulimits",
                parse::<Ulimit>,
                |limit| limit.kind,
                OnTwin::LaterWins,
            )?,
            oom_score_adj: required(merged, "oom_score_adj")?,
            stop_signal: optional_with(merged, "stop_signal", signal_number)?,
            stop_timeout: required_with(merged, "stop_timeout", duration)?,
            timeout: optional_with(merged, "timeout", time_limit)?,
            name: optional(merged, "name")?,
            labels: merged.by_name(
                "labels",
                parse::<Label>,
                |label| label.name.clone(),
                OnTwin::LaterWins,
            )?,
            hostname: optional_with(merged, "hostname", hostname)?,
            mounts: mounts(merged, around)?,
            read_only: switch(merged, "read_only")?,
            devices: merged.by_name(
                "devices",
                parse::<Device>,
                |device| device.target.clone(),
                OnTwin::Refuse,
            )?,
            shm_size: unless_zero(merged, "shm_size")?,
            limits: if switch(merged, "limit_resource")? {
                limits(merged)?
            } else {
                Limits::default()
            },
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
        })
    }
}

fn limits(merged: &Merged) -> Result<Limits> {
    Ok(Limits {
        memory: optional(merged, "memory")?,
        memory_swap: optional(merged, "memory_swap")?,
        memory_reservation: optional(merged, "memory_reservation")?,
        oom_kill_disable: switch(merged, "oom_kill_disable")?,
        cpus: unless_zero(merged, "cpus")?,
        cpu_shares: unless_zero(merged, "cpu_shares")?,
        cpuset_cpus: optional_with(merged, "cpuset_cpus", cpu_list)?,
        cpuset_mems: optional_with(merged, "cpuset_mems", cpu_list)?,
        pids: optional(merged, "pids_limit")?,
        blkio_weight: optional(merged, "blkio_weight")?,
    })
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

/// Files first, then single variables, as docker has it. A bare name that we have no value for says
/// nothing in a file; on its own it takes the image's variable away.
fn environment(merged: &Merged, around: &Surroundings) -> Result<BTreeMap<String, Option<String>>> {
    let ours = |item: &Item, name: &str| {
        let text = around
            .variables
            .get(name)
            .cloned()
            .map(OsString::into_string)
            .transpose();
        text.map_err(|_| {
            item.refuse(format!(
                "the value of {name} in airtight's own environment is not UTF-8, and an OCI spec cannot hold it"
            ))
        })
    };
    let mut environment = BTreeMap::new();
    for item in merged.all("environment_variables_from_host") {
        for name in around
            .variables
            .keys()
            .filter(|name| pattern::matches(&item.text, name))
        {
            environment.insert(name.clone(), ours(item, name)?);
        }
    }
    for item in merged.all("env_file") {
        for Variable { name, value } in env_file::read(item)? {
            let value = value.map_or_else(|| ours(item, &name), |value| Ok(Some(value)))?;
            if value.is_some() {
                environment.insert(name, value);
            }
        }
    }
    for item in merged.all("environments") {
        let Variable { name, value } = parse(item)?;
        let value = value.map_or_else(|| ours(item, &name), |value| Ok(Some(value)))?;
        environment.insert(name, value);
    }
    Ok(environment)
}

/// All three spellings share one set of targets: one mount would hide the other.
fn mounts(merged: &Merged, around: &Surroundings) -> Result<Vec<Mount>> {
    let target = |mount: &Mount| mount.target.clone();
    let with = |parse: fn(&str) -> Result<Mount, Invalid>| {
        move |item: &Item| {
            let mount = parse(&item.text).map_err(|why| item.refuse(why))?;
            Ok(match around.fences.of(item) {
                Some(fence) => mount.behind(fence),
                None => mount,
            })
        }
    };
    let mut mounts: Vec<Mount> = Vec::new();
    for (key, parse) in [
        ("volumes", parse_volume as fn(&str) -> _),
        ("mounts", parse_mount),
        ("tmpfs", parse_tmpfs),
    ] {
        for mount in merged.by_name(key, with(parse), target, OnTwin::Refuse)? {
            if mounts.iter().any(|other| other.target == mount.target) {
                return Err(Failure::usage(format!(
                    "two mounts have the target {}",
                    mount.target
                )));
            }
            mounts.push(mount);
        }
    }
    if switch(merged, "mount_docker_socket")? {
        let socket = around.socket.to_string_lossy();
        let mount = parse_volume(&format!("{socket}:{socket}"))
            .map_err(|why| Failure::usage("cannot mount containerd's socket").because(why))?;
        mounts.retain(|other| other.target != mount.target);
        mounts.push(mount);
    }
    Ok(mounts)
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

fn parse<T: FromStr>(item: &Item) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    item.text.parse().map_err(|why: T::Err| item.refuse(why))
}

fn optional<T: FromStr>(merged: &Merged, name: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    merged.one(name).map(parse).transpose()
}

/// docker's: 0 is the same as not given.
fn unless_zero<T: FromStr>(merged: &Merged, name: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match merged.one(name) {
        Some(item) if item.text.trim() == "0" => Ok(None),
        _ => optional(merged, name),
    }
}

fn optional_with<T>(
    merged: &Merged,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Option<T>> {
    let parsed = merged
        .one(name)
        .map(|item| parse(&item.text).map_err(|why| item.refuse(why)));
    parsed.transpose()
}

fn required<T: FromStr>(merged: &Merged, name: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    optional(merged, name)?.ok_or_else(|| missing(name))
}

fn required_with<T>(
    merged: &Merged,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<T> {
    optional_with(merged, name, parse)?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Failure {
    Failure::usage(format!("no layer gives a value for {name}"))
}

fn switch(merged: &Merged, name: &str) -> Result<bool> {
    let Some(item) = merged.one(name) else {
        return Ok(false);
    };
    match item.text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(item.refuse("true or false is needed")),
    }
}

fn list<T>(
    merged: &Merged,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>> {
    merged
        .all(name)
        .map(|item| parse(&item.text).map_err(|why| item.refuse(why)))
        .collect()
}

fn each<T: FromStr>(merged: &Merged, name: &str) -> Result<Vec<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    merged.all(name).map(parse).collect()
}

#[cfg(test)]
mod tests;
