//! The files that a container needs on the host before it is made.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Places;
use crate::failure::{Context, Kind, Result};
use crate::plan::{MountKind, Plan, RunFile};

/// Writes `/etc/hosts` and its like to their places, and makes the host directories that the plan says
/// are to be made. Those stay afterwards, as with docker: they are the user's.
pub fn write_files(plan: &Plan, places: &Places) -> Result<()> {
    for mount in &plan.mounts {
        match &mount.kind {
            MountKind::Run(RunFile::Hosts) => {
                write(&places.run_file(RunFile::Hosts), &plan.files.hosts)?
            }
            MountKind::Run(RunFile::Hostname) => {
                write(&places.run_file(RunFile::Hostname), &plan.files.hostname)?
            }
            MountKind::Run(RunFile::ResolvConf) => write(
                &places.run_file(RunFile::ResolvConf),
                &plan.files.resolv_conf,
            )?,
            MountKind::Bind { host, make: true } => {
                fs::create_dir_all(host)
                    .or_fail(Kind::Host, || format!("cannot make {}", host.display()))?;
            }
            MountKind::Run(RunFile::Inside)
            | MountKind::Bind { .. }
            | MountKind::Fenced { .. }
            | MountKind::Kernel { .. }
            | MountKind::Anonymous(_) => {}
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(path)
        .and_then(|mut file| {
            // Whatever the umask: the payload may be any user.
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(text.as_bytes())
        })
        .or_fail(Kind::Host, || format!("cannot write {}", path.display()))
}
