//! Device nodes of the host that a container may use.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::{Invalid, clean_absolute};

/// `--device HOST[:CONTAINER[:rwm]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The node on the host.
    pub host: PathBuf,
    /// Where it appears inside.
    pub target: String,
    /// Letters of the device cgroup: read, write, mknod.
    pub access: String,
}

impl FromStr for Device {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, target, access) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, second] if is_access(second) => (host, host, second),
            [host, target] => (host, target, "rwm"),
            [host, target, access] => (host, target, access),
            _ => return Err(Invalid::new("HOST[:CONTAINER[:rwm]] is needed")),
        };
        if !is_access(access) {
            return Err(Invalid::new("access must be of the letters r, w and m"));
        }
        let host = clean_absolute(host)
            .map_err(|_| Invalid::new("the device must be an absolute host path"))?;
        let target = clean_absolute(target)?;
        Ok(Self {
            host: host.into(),
            target,
            access: access.to_owned(),
        })
    }
}

fn is_access(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_keeps_its_path_and_all_access_unless_told_otherwise() {
        let device: Device = "/dev/fuse".parse().unwrap();
        assert_eq!(
            (device.target.as_str(), device.access.as_str()),
            ("/dev/fuse", "rwm")
        );
        let device: Device = "/dev/sda:/dev/x:r".parse().unwrap();
        assert_eq!(
            (device.target.as_str(), device.access.as_str()),
            ("/dev/x", "r")
        );
        assert_eq!("/dev/sda:r".parse::<Device>().unwrap().access, "r");
        for bad in ["", "sda", "/dev/a:b", "/dev/a:/b:x", "/dev/a:/b:r:w"] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
    }
}
