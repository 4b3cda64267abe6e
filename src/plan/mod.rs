//! All decisions for one run, as plain data.
//!
//! [`Plan::make`] takes what was asked for ([`Settings`]), what this host is ([`Survey`]) and what the
//! image says, and finds every conflict between them before anything exists. It does no I/O and
//! asks nobody; `--dry-run` prints its result.

mod environment;
mod etc;
#[cfg(test)]
pub(crate) mod fixture;
mod identity;
mod limits;
mod mounts;
mod process;
mod sysctls;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use oci_spec::image::Arch;
use oci_spec::runtime::LinuxSeccomp;
use serde::Serialize;

use crate::cgroup::{Layout, Subpath};
use crate::config::Settings;
use crate::config::settings::Log;
use crate::config::values::{
    AppArmor, IpcMode, NetworkMode, OwnerDeath, PidMode, Seccomp, UtsMode,
};
use crate::failure::{Failure, Result};
use crate::id::ContainerId;
use crate::image::Image;
use crate::leash::{SignalNumber, WhenAlone};
use crate::secret;
use crate::spec::base::Base;
use crate::spec::{capabilities, seccomp};
use crate::survey::{DeviceNode, Survey};

pub use etc::EtcFiles;
pub use identity::{KeyPlan, id};
pub use limits::Resources;
pub use mounts::{MountKind, PlannedMount, RunFile};
pub use process::{Process, Streams};

/// Everything that will be done for one run.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The container, its snapshot, its cgroup and its run directory are called so.
    pub id: ContainerId,
    /// What the id was made from, where it was.
    pub key: Option<KeyPlan>,
    /// What its root file system is made of.
    pub image: ImagePlan,
    /// What runs in it.
    pub process: Process,
    /// The host name inside; `None` shares the host's UTS namespace.
    pub hostname: Option<String>,
    /// The three files every container gets.
    pub files: EtcFiles,
    /// Which namespaces are its own.
    pub namespaces: Namespaces,
    /// In the order in which they are mounted.
    pub mounts: Vec<PlannedMount>,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// Paths that appear empty inside.
    pub masked_paths: Vec<PathBuf>,
    /// Paths that cannot be written inside.
    pub readonly_paths: Vec<PathBuf>,
    /// The system call filter, conditions already resolved.
    pub seccomp: Option<LinuxSeccomp>,
    /// Nodes made in `/dev` beside the default ones.
    pub devices: Vec<DeviceNode>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Where its cgroup is.
    pub cgroup: CgroupPlan,
    /// What the cgroup allows.
    pub resources: Resources,
    /// Labels of the container record.
    pub labels: BTreeMap<String, String>,
    /// How it ends.
    pub stop: StopPlan,
    /// What is kept of it, if it is detached.
    pub keeping: KeepingPlan,
    /// What executes it.
    pub runtime: RuntimePlan,
    /// What the user should know, though it is no reason to refuse.
    pub warnings: Vec<String>,
}

/// The image and how it is unpacked.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the image's own terms")]
pub struct ImagePlan {
    pub name: String,
    pub digest: String,
    pub chain_id: String,
    pub snapshotter: String,
}

/// Which namespaces are the container's own; those it does not own are the host's.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs, reason = "namespaces(7)'s own names")]
pub struct Namespaces {
    pub pid: PidMode,
    pub ipc: IpcMode,
    pub uts: UtsMode,
    pub network: NetworkMode,
    /// docker's default: its own on v2, the host's on v1.
    pub own_cgroup: bool,
}

/// The container's cgroup: `<mount path>/<controller…>/<subpath>/<id>`.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "AIP-46's own names")]
pub struct CgroupPlan {
    pub mount_path: PathBuf,
    pub subpath: Subpath,
}

/// How a run ends when it does not end by itself.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StopPlan {
    /// First signal of a stop.
    pub signal: i32,
    /// From that signal to SIGKILL.
    pub timeout: Duration,
    /// For the whole run.
    pub time_limit: Option<Duration>,
    /// When airtight is killed.
    pub owner_death: OwnerDeath,
}

impl StopPlan {
    /// What init is told to do when the owner is dead.
    pub fn when_alone(&self) -> WhenAlone {
        match (self.owner_death, SignalNumber::try_from(self.signal)) {
            (OwnerDeath::Keep, _) => WhenAlone::Keep,
            (OwnerDeath::Stop, Ok(signal)) => WhenAlone::Stop(signal, self.timeout),
            // Each signal that a plan can have is one that the kernel knows.
            (OwnerDeath::Stop, Err(_)) | (OwnerDeath::Kill, _) => WhenAlone::Kill,
        }
    }
}

/// What is kept of a detached run; nothing is of another one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct KeepingPlan {
    /// Its output, and how much of it.
    pub log: Log,
    /// All of it is removed when the run has ended.
    pub remove: bool,
}

/// containerd's runtime and the OCI runtime below it.
#[derive(Debug, Clone, Serialize)]
pub struct RuntimePlan {
    /// The shim, such as `io.containerd.runc.v2`.
    pub name: String,
    /// The OCI runtime; `None` is the shim's own default.
    pub binary: Option<String>,
}

impl Plan {
    /// Decides everything, or says what cannot be.
    pub fn make(
        settings: &Settings,
        survey: &Survey,
        image: &Image,
        id: ContainerId,
    ) -> Result<Self> {
        let base = Base::builtin();
        let mut warnings = Vec::new();
        let own_cgroup = survey.facts.cgroup_layout == Layout::Unified;
        let namespaces = namespaces(settings, own_cgroup);
        let hostname = hostname(settings, survey, &id)?;
        let capabilities = if settings.privileged {
            if !settings.capabilities.drop.is_empty() {
                warnings.push("--cap-drop has no effect with --privileged, as with docker".into());
            }
            survey.capabilities.clone()
        } else {
            capabilities::granted(
                &base.capabilities,
                &settings.capabilities,
                &survey.capabilities,
            )?
        };
        let seccomp = match (&settings.security.seccomp, settings.privileged) {
            (Seccomp::Unconfined, _) | (Seccomp::Default, true) => None,
            _ => Some(seccomp::resolve(
                &survey.seccomp,
                &capabilities,
                &Arch::default(),
                survey.facts.kernel,
            )),
        };
        let (masked_paths, readonly_paths) = if settings.privileged {
            (Vec::new(), Vec::new())
        } else {
            (
                [base.masked_paths.as_slice(), &survey.thermal_throttle].concat(),
                base.readonly_paths.clone(),
            )
        };
        Ok(Self {
            image: ImagePlan {
                name: image.name.clone(),
                digest: image.manifest.digest.to_string(),
                chain_id: image
                    .chain_id()
                    .map(|id| id.to_string())
                    .unwrap_or_default(),
                snapshotter: settings.snapshotter.clone(),
            },
            process: process::plan(
                settings,
                survey,
                image,
                &base,
                capabilities,
                hostname.as_deref(),
            )?,
            files: etc::plan(survey, namespaces.network, hostname.as_deref()),
            mounts: mounts::plan(settings, survey, image, &base)?,
            resources: limits::plan(settings, survey, &base, &mut warnings)?,
            sysctls: sysctls::plan(settings)?,
            stop: stop(settings, image)?,
            cgroup: CgroupPlan {
                mount_path: settings.cgroup_mount_path.clone().into(),
                subpath: settings.cgroup_subpath.clone(),
            },
            labels: settings
                .labels
                .iter()
                .map(|label| (label.name.clone(), label.value.clone()))
                .collect(),
            keeping: KeepingPlan {
                log: settings.log,
                remove: settings.remove.unwrap_or(false),
            },
            runtime: RuntimePlan {
                name: settings.runtime.clone(),
                binary: settings.runtime_binary.clone(),
            },
            devices: survey.devices.clone(),
            read_only: settings.read_only,
            masked_paths,
            readonly_paths,
            hostname,
            namespaces,
            key: identity::key(settings),
            seccomp,
            warnings,
            id,
        })
    }
}

impl Plan {
    /// The same without our init: the payload is PID 1.
    pub fn without_init(mut self) -> Self {
        self.process.init = false;
        self.process.random_pids = false;
        self.mounts
            .retain(|mount| mount.kind != MountKind::Run(RunFile::Inside));
        self
    }

    /// The same, and so the spec made of it, with every secret hidden: to be printed, not to be run.
    pub fn masked(mut self) -> Self {
        self.process.mask();
        for (name, value) in self.labels.iter_mut().chain(&mut self.sysctls) {
            *value = secret::value(name, value);
        }
        self
    }

    /// The container's cgroup as the OCI runtime takes it: absolute below each controller's mount, or
    /// `slice:prefix:name` for systemd's driver.
    pub fn cgroup_path(&self) -> String {
        self.cgroup
            .subpath
            .cgroups_path(&self.id)
            .to_string_lossy()
            .into_owned()
    }
}

fn namespaces(settings: &Settings, own_cgroup: bool) -> Namespaces {
    Namespaces {
        pid: settings.pid_mode,
        ipc: settings.ipc_mode,
        uts: settings.uts_mode,
        network: settings.network_mode,
        own_cgroup,
    }
}

/// How many characters of an id docker makes the host name.
const SHORT_ID: usize = 12;

fn hostname(settings: &Settings, survey: &Survey, id: &ContainerId) -> Result<Option<String>> {
    match (&settings.hostname, settings.uts_mode, settings.network_mode) {
        (Some(_), UtsMode::Host, _) => Err(Failure::usage(
            "--hostname cannot be combined with --uts host: the host's name is shared",
        )),
        (None, UtsMode::Host, _) => Ok(None),
        (Some(name), ..) => Ok(Some(name.clone())),
        (None, UtsMode::Private, NetworkMode::Host) => Ok(Some(survey.facts.hostname.clone())),
        (None, UtsMode::Private, NetworkMode::None) => {
            let name = settings
                .name
                .as_ref()
                .map(|name| name.as_str().replace(['_', '.'], "-"));
            let name = name.unwrap_or_else(|| id.as_str().chars().take(SHORT_ID).collect());
            // The kernel's limit; ids are ASCII.
            Ok(Some(name.chars().take(63).collect()))
        }
    }
}

fn stop(settings: &Settings, image: &Image) -> Result<StopPlan> {
    let signal = match (settings.stop_signal, image.stop_signal()) {
        (Some(signal), _) => signal,
        (None, None) => nix::libc::SIGTERM,
        (None, Some(name)) => crate::config::values::signal_number(name)
            .map_err(|why| image.refuse(format!("STOPSIGNAL {name:?}")).because(why))?,
    };
    Ok(StopPlan {
        signal,
        timeout: settings.stop_timeout,
        time_limit: settings.timeout,
        owner_death: settings.on_owner_death,
    })
}

/// The AppArmor profile to ask the runtime for; naming one that the kernel cannot apply is an error.
fn app_armor(settings: &Settings, survey: &Survey) -> Result<Option<String>> {
    match &settings.security.app_armor {
        Some(AppArmor::Profile(name)) if survey.facts.app_armor => Ok(Some(name.clone())),
        Some(AppArmor::Profile(name)) => {
            Err(Failure::usage(format!("--security-opt apparmor={name}"))
                .because("AppArmor is not enabled on this host"))
        }
        Some(AppArmor::Unconfined) | None => Ok(None),
    }
}
