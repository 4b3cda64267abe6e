//! Plan → OCI runtime spec (runtime-spec 1.0.2, config.md and config-linux.md).
//!
//! Pure: it writes down what the plan decided. Every field that the runtime would otherwise fill
//! with something inherited (limits, OOM score) is set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxNamespace, LinuxNamespaceType, Mount, Process, Root, Spec, User,
};

use serde_json::Value;

use super::user::ResolvedUser;
use super::{capabilities, resources};
use crate::config::values::{IpcMode, NetworkMode, PidMode, UtsMode, set_option};
use crate::failure::{Context, Failure, Kind, Result};
use crate::leash::INSIDE;
use crate::plan::{MountKind, Plan, PlannedMount, RunFile};

/// The version whose fields we use; runc 1.1 knows it.
const VERSION: &str = "1.0.2";

/// Where the host keeps what the plan names only by kind.
#[derive(Debug, Clone)]
pub struct Places {
    /// The files of the run directory.
    pub run: PathBuf,
    /// Below it a directory per anonymous volume.
    pub volumes: PathBuf,
    /// What the mounts behind a fence are; where they are not settled, they are shown as written.
    pub settled: SettledMounts,
}

/// Mounts behind a fence, by their number.
pub type SettledMounts = BTreeMap<usize, Settled>;

/// What a mount behind a fence has turned out to be.
#[derive(Debug, Clone)]
pub struct Settled {
    /// A path that leads there.
    pub source: PathBuf,
    /// What the host restricts there.
    pub flags: Vec<&'static str>,
}

impl Places {
    /// The host path of a file of the run directory.
    pub fn run_file(&self, file: RunFile) -> PathBuf {
        self.run.join(match file {
            RunFile::Hosts => "hosts",
            RunFile::Hostname => "hostname",
            RunFile::ResolvConf => "resolv.conf",
            RunFile::Inside => "inside",
        })
    }

    /// The host directory of an anonymous volume.
    pub fn volume(&self, number: usize) -> PathBuf {
        self.volumes.join(number.to_string())
    }
}

/// The whole document, for a root file system at `root`.
pub fn document(plan: &Plan, user: &ResolvedUser, places: &Places, root: &Path) -> Result<Spec> {
    if plan.process.root_forbidden && user.uid == 0 {
        return Err(Failure::usage(format!("the user {} is root in this image", plan.process.user))
            .because("the operator runs tasks as another user, and the DAG's metadata file chose image or user")
            .hint("the operator can add run_as_user to ALLOWED_KEYS in [docker_runtime_ceilings] of airflow.cfg"));
    }
    let mut file_system = Root::default();
    file_system
        .set_path(root.to_owned())
        .set_readonly(Some(plan.read_only));

    let mut spec = Spec::default();
    spec.set_version(VERSION.to_owned())
        .set_root(Some(file_system))
        .set_hostname(plan.hostname.clone())
        .set_process(Some(process(plan, user)))
        .set_mounts(Some(
            plan.mounts
                .iter()
                .map(|mount| one_mount(mount, places))
                .collect(),
        ))
        .set_linux(Some(linux(plan)?));
    Ok(spec)
}

/// The document as JSON that is the same for the same plan: what has no order is sorted.
pub fn stable_json(spec: &Spec) -> Result<Value> {
    // A JSON object of ours is sorted by name.
    let mut json =
        serde_json::to_value(spec).or_fail(Kind::Host, || "cannot write the OCI spec")?;
    let sets = json.pointer_mut("/process/capabilities");
    for set in sets
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|sets| sets.values_mut())
        .filter_map(Value::as_array_mut)
    {
        set.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
    }
    Ok(json)
}

fn process(plan: &Plan, user: &ResolvedUser) -> Process {
    let planned = &plan.process;
    let mut environment = planned.environment.clone();
    if !environment
        .iter()
        .any(|variable| variable.starts_with("HOME="))
    {
        environment.push(format!("HOME={}", user.home));
    }
    let mut args = Vec::new();
    if planned.init {
        args.push(format!("{INSIDE}/init"));
    }
    args.extend(planned.args.iter().cloned());

    let mut oci_user = User::default();
    oci_user
        .set_uid(user.uid)
        .set_gid(user.gid)
        .set_additional_gids(Some(user.groups.clone()));

    let mut process = Process::default();
    process
        // The init makes the payload's terminal itself.
        .set_terminal(Some(planned.terminal && !planned.init))
        .set_user(oci_user)
        .set_args(Some(args))
        .set_env(Some(environment))
        .set_cwd(PathBuf::from(&planned.working_dir))
        .set_capabilities(Some(capabilities::for_uid(
            planned.capabilities.clone(),
            user.uid,
        )))
        .set_rlimits(Some(planned.rlimits.clone()))
        .set_no_new_privileges(Some(planned.no_new_privileges))
        .set_apparmor_profile(planned.app_armor_profile.clone())
        .set_oom_score_adj(Some(planned.oom_score_adj));
    process
}

fn one_mount(planned: &PlannedMount, places: &Places) -> Mount {
    let mut options = planned.options.clone();
    let (kind, source) = match &planned.kind {
        MountKind::Kernel { fs_type, source } => (fs_type.as_str(), PathBuf::from(source)),
        MountKind::Bind { host, .. } => ("bind", host.clone()),
        MountKind::Fenced { number, host, .. } => match places.settled.get(number) {
            Some(settled) => {
                for flag in &settled.flags {
                    set_option(&mut options, flag);
                }
                ("bind", settled.source.clone())
            }
            None => ("bind", host.clone()),
        },
        MountKind::Run(file) => ("bind", places.run_file(*file)),
        MountKind::Anonymous(number) => ("bind", places.volume(*number)),
    };
    let mut mount = Mount::default();
    mount
        .set_destination(PathBuf::from(&planned.target))
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source))
        .set_options(Some(options));
    mount
}

fn linux(plan: &Plan) -> Result<Linux> {
    let paths = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    };
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(plan)))
        .set_resources(Some(resources::document(&plan.resources)?))
        .set_cgroups_path(Some(plan.cgroup_path().into()))
        .set_devices(Some(
            plan.devices
                .iter()
                .map(crate::survey::DeviceNode::node)
                .collect(),
        ))
        .set_seccomp(plan.seccomp.clone())
        .set_sysctl(Some(plan.sysctls.clone().into_iter().collect()))
        .set_masked_paths(Some(paths(&plan.masked_paths)))
        .set_readonly_paths(Some(paths(&plan.readonly_paths)))
        .set_rootfs_propagation(rootfs_propagation(plan));
    Ok(linux)
}

fn namespaces(plan: &Plan) -> Vec<LinuxNamespace> {
    let own = [
        (true, LinuxNamespaceType::Mount),
        (
            plan.namespaces.pid == PidMode::Private,
            LinuxNamespaceType::Pid,
        ),
        (
            plan.namespaces.ipc != IpcMode::Host,
            LinuxNamespaceType::Ipc,
        ),
        (
            plan.namespaces.uts == UtsMode::Private,
            LinuxNamespaceType::Uts,
        ),
        (
            plan.namespaces.network != NetworkMode::Host,
            LinuxNamespaceType::Network,
        ),
        (plan.namespaces.own_cgroup, LinuxNamespaceType::Cgroup),
    ];
    let namespace = |kind| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind);
        namespace
    };
    own.into_iter()
        .filter(|(own, _)| *own)
        .map(|(_, kind)| namespace(kind))
        .collect()
}

/// A shared or slave bind mount works only below a root that is at least as open.
fn rootfs_propagation(plan: &Plan) -> Option<String> {
    let says = |word: &str| {
        let long = format!("r{word}");
        plan.mounts.iter().any(|mount| {
            mount
                .options
                .iter()
                .any(|option| option == word || *option == long)
        })
    };
    if says("shared") {
        Some("rshared".to_owned())
    } else if says("slave") {
        Some("rslave".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
