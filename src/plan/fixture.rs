//! Plans for tests: an ordinary host, an ordinary image, and settings as flags say them.

use std::collections::BTreeMap;

use oci_spec::image::Arch;
use serde_json::{Value, json};

use super::Plan;
use crate::cgroup::Layout;
use crate::config::settings::Surroundings;
use crate::config::{Layer, Origin, Settings, keys, merge};
use crate::failure::Result;
use crate::host::Facts;
use crate::image::Image;
use crate::image::descriptor::Descriptor;
use crate::image::digest::Digest;
use crate::kernel::KernelVersion;
use crate::spec::capabilities;
use crate::spec::seccomp::Profile;
use crate::survey::{Descriptor as FileDescriptor, NumberList, Survey};

/// A host with four CPUs, one memory node, cgroup v2 and every capability.
pub fn survey() -> Survey {
    Survey {
        facts: Facts {
            kernel: KernelVersion::new(6, 1, 0),
            architecture: Arch::Amd64,
            last_capability: 40,
            cgroup_layout: Layout::Unified,
            swap_accounting: true,
            app_armor: false,
            selinux: false,
            seccomp: true,
            hostname: "worker.example.org".to_owned(),
        },
        cpus: NumberList::parse("0-3").unwrap(),
        memory_nodes: NumberList::parse("0").unwrap(),
        weighs_block_io: true,
        sources: BTreeMap::new(),
        devices: Vec::new(),
        hosts: "127.0.0.1 localhost worker\n".to_owned(),
        resolv_conf: "nameserver 10.0.0.2\n".to_owned(),
        thermal_throttle: Vec::new(),
        capabilities: capabilities::of_mask(u64::MAX),
        highest_rlimits: Vec::new(),
        seccomp: Profile::builtin(),
        descriptors: (0..3).map(|fd| (fd, FileDescriptor::Passable)).collect(),
    }
}

/// An image with one layer and `config` as its settings.
pub fn image(config: Value) -> Image {
    let layer = Digest::of(b"layer").to_string();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "x", "digest": Digest::of(config.as_bytes()).to_string(), "size": 1},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 1}],
    });
    let manifest = serde_json::from_value(manifest).unwrap();
    let descriptor = Descriptor::new("x", Digest::of(b"manifest"), 1);
    Image::assemble(
        "docker.io/library/task:1",
        descriptor.clone(),
        descriptor,
        &manifest,
        config.as_bytes(),
    )
    .unwrap()
}

/// What `airtight run FLAGS task:1 work` means; each flag is a runtime key and its value.
pub fn settings(flags: &[(&str, &str)]) -> Settings {
    let mut layer = Layer::default();
    for (name, text) in [("image", "task:1")].iter().chain(flags) {
        layer.say(keys::find(name).unwrap(), *text, Origin::Flag);
    }
    let merged = merge([&Layer::defaults(), &layer]);
    Settings::parse(&merged, vec!["work".to_owned()], &Surroundings::default()).unwrap()
}

/// The plan for `flags` on this host, with an image that says nothing.
pub fn plan_on(survey: &Survey, flags: &[(&str, &str)]) -> Result<Plan> {
    let id = "0123456789abcdef".parse().unwrap();
    Plan::make(&settings(flags), survey, &image(json!({})), id)
}

/// The plan for `flags` with this image.
pub fn plan_of(image: &Image, flags: &[(&str, &str)]) -> Result<Plan> {
    let id = "0123456789abcdef".parse().unwrap();
    Plan::make(&settings(flags), &survey(), image, id)
}

/// The plan for `flags` on an ordinary host with an image that says nothing.
pub fn plan(flags: &[(&str, &str)]) -> Plan {
    plan_on(&survey(), flags).unwrap()
}

/// Why there is no plan for `flags`.
pub fn refusal(flags: &[(&str, &str)]) -> String {
    plan_on(&survey(), flags).unwrap_err().to_string()
}
