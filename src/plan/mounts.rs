//! What is mounted where, in which order.

use std::path::PathBuf;

use oci_spec::runtime::Mount;
use serde::Serialize;

use crate::config::Settings;
use crate::config::settings::DEFAULT_SHM_SIZE;
use crate::config::values::{IpcMode, MountSource, clean_absolute};
use crate::failure::{Failure, Result};
use crate::fence::Fence;
use crate::image::Image;
use crate::leash::INSIDE;
use crate::spec::base::Base;
use crate::survey::{SHM, Source, Survey};

/// One mount of the container.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "mount(8)'s own words")]
pub struct PlannedMount {
    pub target: String,
    pub kind: MountKind,
    pub options: Vec<String>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A file system of the kernel's.
    Kernel {
        /// Such as `proc`.
        fs_type: String,
        /// By convention its own name.
        source: String,
    },
    /// A host path.
    Bind {
        /// Absolute; symbolic links in it are followed on the host, as docker does.
        host: PathBuf,
        /// A directory is made first.
        make: bool,
    },
    /// A host path that a DAG's author named; what it leads to is settled when it is mounted.
    Fenced {
        /// Counts these.
        number: usize,
        /// Absolute, as it was written.
        host: PathBuf,
        /// A directory is made where nothing is then.
        make: bool,
        /// Where it must lead.
        fence: Fence,
    },
    /// A file of the run directory.
    Run(RunFile),
    /// The anonymous volume with this number: a directory on disk that ends with the run.
    Anonymous(usize),
}

/// What the run directory shows to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the files")]
pub enum RunFile {
    Hosts,
    Hostname,
    ResolvConf,
    /// The directory with the init and the leash.
    Inside,
}

pub(super) fn plan(
    settings: &Settings,
    survey: &Survey,
    image: &Image,
    base: &Base,
) -> Result<Vec<PlannedMount>> {
    let mut mounts: Vec<PlannedMount> = base
        .mounts
        .iter()
        .map(|mount| kernel_mount(mount, settings))
        .collect();
    mounts.extend(shared_memory(settings, survey)?);

    let mut later = run_files(settings);
    let mut anonymous = 0..;
    let mut fenced = 0..;
    for mount in &settings.mounts {
        let kind = match &mount.source {
            MountSource::Bind {
                host,
                make_missing,
                fence,
            } => {
                let make = check_source(survey, host, *make_missing)?;
                let host = host.clone();
                match fence {
                    None => MountKind::Bind { host, make },
                    Some(fence) => MountKind::Fenced {
                        number: fenced.next().unwrap_or_default(),
                        host,
                        make: *make_missing,
                        fence: fence.clone(),
                    },
                }
            }
            MountSource::Anonymous => MountKind::Anonymous(anonymous.next().unwrap_or_default()),
            MountSource::Tmpfs => MountKind::Kernel {
                fs_type: "tmpfs".into(),
                source: "tmpfs".into(),
            },
        };
        let target = mount.target.clone();
        // What lies below a user's own /dev is the user's business too.
        let below = format!("{target}/");
        mounts.retain(|other| other.target != target && !other.target.starts_with(&below));
        later.retain(|other| other.target != target);
        later.push(PlannedMount {
            target,
            kind,
            options: with_propagation(&mount.options),
        });
    }
    for volume in image.volumes() {
        let target = clean_absolute(volume)
            .map_err(|why| image.refuse(format!("VOLUME {volume:?}")).because(why))?;
        if target == "/"
            || mounts
                .iter()
                .chain(&later)
                .any(|other| other.target == target)
        {
            continue;
        }
        let kind = MountKind::Anonymous(anonymous.next().unwrap_or_default());
        later.push(PlannedMount {
            target,
            kind,
            options: with_propagation(&["rbind".into()]),
        });
    }
    // A parent first, or it would hide its child.
    later.sort_by_key(|mount| mount.target.matches('/').count());
    mounts.extend(later);
    Ok(mounts)
}

fn kernel_mount(mount: &Mount, settings: &Settings) -> PlannedMount {
    let target = mount.destination().to_string_lossy().into_owned();
    let mut options = mount.options().clone().unwrap_or_default();
    if settings.privileged && ["/sys", "/sys/fs/cgroup"].contains(&target.as_str()) {
        options.retain(|option| option != "ro");
    }
    let fs_type = mount.typ().clone().unwrap_or_default();
    let source = mount.source().as_ref().map_or(fs_type.clone(), |source| {
        source.to_string_lossy().into_owned()
    });
    PlannedMount {
        target,
        kind: MountKind::Kernel { fs_type, source },
        options,
    }
}

fn shared_memory(settings: &Settings, survey: &Survey) -> Result<Option<PlannedMount>> {
    let target = SHM.to_owned();
    let own = |size| PlannedMount {
        target: target.clone(),
        kind: MountKind::Kernel {
            fs_type: "tmpfs".into(),
            source: "shm".into(),
        },
        options: [
            "nosuid",
            "noexec",
            "nodev",
            "mode=1777",
            &format!("size={size}"),
        ]
        .map(String::from)
        .to_vec(),
    };
    match (settings.ipc_mode, settings.shm_size) {
        (IpcMode::Private, None) => Ok(Some(own(DEFAULT_SHM_SIZE.0))),
        // docker takes 0 for its default.
        (IpcMode::Private, Some(size)) => Ok(Some(own(if size.0 == 0 {
            DEFAULT_SHM_SIZE.0
        } else {
            size.0
        }))),
        (IpcMode::None, None) => Ok(None),
        (IpcMode::Host, None) => {
            check_source(survey, &target.clone().into(), false)
                .map_err(|why| Failure::usage("--ipc host cannot be had").because(why))?;
            Ok(Some(PlannedMount {
                kind: MountKind::Bind {
                    host: target.clone().into(),
                    make: false,
                },
                options: with_propagation(&["rbind".into()]),
                target,
            }))
        }
        (IpcMode::None, Some(_)) => Err(Failure::usage(
            "--shm-size cannot be combined with --ipc none, which has no /dev/shm",
        )),
        (IpcMode::Host, Some(_)) => Err(Failure::usage(
            "--shm-size cannot be combined with --ipc host, whose /dev/shm is the host's",
        )),
    }
}

fn run_files(settings: &Settings) -> Vec<PlannedMount> {
    let bind = |target: &str, file, options: &[&str]| PlannedMount {
        target: target.to_owned(),
        kind: MountKind::Run(file),
        options: with_propagation(
            &options
                .iter()
                .map(|option| (*option).to_owned())
                .collect::<Vec<_>>(),
        ),
    };
    // docker's rule: as writable as the root file system.
    let etc: &[&str] = if settings.read_only {
        &["bind", "ro"]
    } else {
        &["bind"]
    };
    let mut mounts = vec![
        bind("/etc/hosts", RunFile::Hosts, etc),
        bind("/etc/hostname", RunFile::Hostname, etc),
        bind("/etc/resolv.conf", RunFile::ResolvConf, etc),
    ];
    if settings.init {
        // Debian mounts /run with noexec: `exec` lets the init start all the same.
        mounts.push(bind(
            INSIDE,
            RunFile::Inside,
            &["bind", "ro", "nosuid", "nodev", "exec"],
        ));
    }
    mounts
}

/// docker's default propagation is rprivate.
fn with_propagation(options: &[String]) -> Vec<String> {
    let mut options = options.to_vec();
    let bind = options
        .iter()
        .any(|option| option == "bind" || option == "rbind");
    let said = options
        .iter()
        .any(|option| crate::config::values::Propagation::named(option).is_some());
    if bind && !said {
        options.push("rprivate".into());
    }
    options
}

/// Says whether the source has to be made.
fn check_source(survey: &Survey, host: &PathBuf, make_missing: bool) -> Result<bool> {
    let refuse =
        |why: &str| Failure::usage(format!("cannot mount {}", host.display())).because(why);
    match survey.sources.get(host) {
        Some(Source::Present) => Ok(false),
        Some(Source::Missing) | None if make_missing => Ok(true),
        Some(Source::Missing) | None => Err(refuse("it does not exist")),
        Some(Source::Unusable(why)) => Err(refuse(why)),
    }
}

#[cfg(test)]
mod tests;
