//! Which of an index's manifests is for this host.
//!
//! Pure: an index goes in, one of its descriptors comes out. Attestations (`unknown/unknown`
//! manifests that builders add) are never chosen.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, Os};

use crate::failure::{Failure, Result};

/// The annotation that marks a manifest as a statement about another one (BuildKit,
/// "Image attestation storage").
const ATTESTATION: &str = "vnd.docker.reference.type";

/// What an image must be built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: Os,
    architecture: Arch,
    variant: Option<String>,
}

impl Platform {
    /// This host.
    pub fn host() -> Self {
        Self {
            os: Os::Linux,
            architecture: Arch::default(),
            variant: None,
        }
    }

    /// Whether an image with this configuration is for it; one that does not say may be.
    pub fn fits(&self, config: &ImageConfiguration) -> bool {
        let (os, architecture) = (config.os(), config.architecture());
        let silent = architecture.to_string().is_empty();
        silent || (*os == self.os && *architecture == self.architecture)
    }

    /// The manifest (or nested index) of `index` to use: one for exactly this platform, else the
    /// first that names no platform. Of several variants the lowest is taken, since it runs on
    /// every processor of the architecture.
    pub fn choose<'a>(&self, index: &'a ImageIndex) -> Option<&'a Descriptor> {
        let candidates = || index.manifests().iter().filter(|d| !is_attestation(d));
        candidates()
            .filter(|d| self.matches(d))
            .min_by_key(|d| d.platform().as_ref().and_then(|p| p.variant().clone()))
            .or_else(|| candidates().find(|d| d.platform().is_none()))
    }

    fn matches(&self, descriptor: &Descriptor) -> bool {
        descriptor.platform().as_ref().is_some_and(|platform| {
            *platform.os() == self.os
                && *platform.architecture() == self.architecture
                && self.is_variant(platform.variant().as_deref())
        })
    }
}

impl Platform {
    /// Any will do where none is asked for. Of arm64 there is one, which few call by its name.
    fn is_variant(&self, variant: Option<&str>) -> bool {
        let default = (self.architecture == Arch::ARM64).then_some("v8");
        match &self.variant {
            Some(wanted) => variant.or(default) == Some(wanted),
            None => true,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// docker's form: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT.
impl FromStr for Platform {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => return Err(no_platform(text)),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(no_platform(text));
        }
        // As other tools call them (containerd, `platforms.normalizeArch`).
        let architecture = match *architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self {
            os: Os::from(*os),
            architecture: Arch::from(architecture),
            variant,
        })
    }
}

fn no_platform(text: &str) -> Failure {
    Failure::usage(format!("{text:?} is no platform"))
        .hint("OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7")
}

/// The platforms an index offers, for an error message: `linux/arm64, linux/s390x`.
pub fn offered(index: &ImageIndex) -> String {
    let names: Vec<String> = index
        .manifests()
        .iter()
        .filter(|d| !is_attestation(d))
        .filter_map(|d| d.platform().as_ref())
        .map(|p| format!("{}/{}", p.os(), p.architecture()))
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// A statement about an image rather than an image.
pub fn is_attestation(descriptor: &Descriptor) -> bool {
    let annotated = descriptor
        .annotations()
        .as_ref()
        .is_some_and(|a| a.contains_key(ATTESTATION));
    let unknown = descriptor.platform().as_ref().is_some_and(|p| {
        p.os().to_string() == "unknown" && p.architecture().to_string() == "unknown"
    });
    annotated || unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(&str, &str)]) -> ImageIndex {
        let manifests: Vec<serde_json::Value> = entries
            .iter()
            .enumerate()
            .map(|(n, (platform, variant))| {
                let mut entry = serde_json::json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": format!("sha256:{n:064x}"),
                    "size": 1,
                });
                if let Some((os, arch)) = platform.split_once('/') {
                    entry["platform"] = serde_json::json!({"os": os, "architecture": arch});
                    if !variant.is_empty() {
                        entry["platform"]["variant"] = (*variant).into();
                    }
                }
                entry
            })
            .collect();
        serde_json::from_value(serde_json::json!({"schemaVersion": 2, "manifests": manifests}))
            .unwrap()
    }

    fn chosen(arch: Arch, entries: &[(&str, &str)]) -> Option<usize> {
        let platform = Platform {
            os: Os::Linux,
            architecture: arch,
            variant: None,
        };
        let index = index(entries);
        let chosen = platform.choose(&index)?.digest().clone();
        index.manifests().iter().position(|d| *d.digest() == chosen)
    }

    #[test]
    fn the_hosts_platform_is_chosen_and_attestations_are_not() {
        let entries = [
            ("unknown/unknown", ""),
            ("linux/arm64", "v8"),
            ("windows/amd64", ""),
            ("linux/amd64", ""),
        ];
        assert_eq!(chosen(Arch::Amd64, &entries), Some(3));
        assert_eq!(chosen(Arch::ARM64, &entries), Some(1));
        assert_eq!(chosen(Arch::s390x, &entries), None);
        assert_eq!(offered(&index(&entries[..2])), "linux/arm64");
    }

    #[test]
    fn of_several_variants_the_one_that_runs_everywhere_is_chosen() {
        let entries = [
            ("linux/amd64", "v3"),
            ("linux/amd64", ""),
            ("linux/amd64", "v2"),
        ];
        assert_eq!(chosen(Arch::Amd64, &entries), Some(1));
        assert_eq!(
            chosen(Arch::ARM, &[("linux/arm", "v7"), ("linux/arm", "v6")]),
            Some(1)
        );
    }

    #[test]
    fn a_platform_of_another_host_s_is_named_as_docker_names_it() {
        let index = index(&[
            ("linux/arm", "v6"),
            ("linux/arm", "v7"),
            ("linux/arm64", ""),
        ]);
        let chosen = |text: &str| {
            let chosen = text
                .parse::<Platform>()
                .unwrap()
                .choose(&index)?
                .digest()
                .clone();
            index.manifests().iter().position(|d| *d.digest() == chosen)
        };
        assert_eq!(chosen("linux/arm"), Some(0));
        assert_eq!(chosen("linux/arm/v7"), Some(1));
        assert_eq!(chosen("linux/aarch64/v8"), Some(2));
        assert_eq!(chosen("linux/arm/v5"), None);
        for bad in ["", "linux", "linux/", "a/b/c/d"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_manifest_without_a_platform_is_the_last_resort() {
        let entries = [("", ""), ("linux/amd64", "")];
        assert_eq!(chosen(Arch::Amd64, &entries), Some(1));
        assert_eq!(chosen(Arch::ARM64, &entries), Some(0));
    }

    #[test]
    fn an_entry_annotated_as_an_attestation_is_skipped_whatever_its_platform() {
        let index: ImageIndex = serde_json::from_value(serde_json::json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": format!("sha256:{:064x}", 1),
                "size": 1,
                "annotations": {ATTESTATION: "attestation-manifest"},
            }],
        }))
        .unwrap();
        assert_eq!(Platform::host().choose(&index), None);
    }
}
