//! Kernel parameters of the container's own namespaces.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::config::values::{IpcMode, NetworkMode};
use crate::failure::{Failure, Result};

/// docker sets these two for a new network namespace: low ports and ping need no capability.
const OF_A_NEW_NETWORK: [(&str, &str); 2] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
];

pub(super) fn plan(settings: &Settings) -> Result<BTreeMap<String, String>> {
    let mut sysctls = BTreeMap::new();
    if settings.network_mode != NetworkMode::Host {
        sysctls.extend(OF_A_NEW_NETWORK.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    for (name, value) in &settings.sysctls {
        check(name, settings)?;
        sysctls.insert(name.clone(), value.clone());
    }
    Ok(sysctls)
}

/// What is not in a namespace of the container's own would change for the whole host.
fn check(name: &str, settings: &Settings) -> Result<()> {
    let hosts = || "it would change the host's own parameter";
    let shared = (name.starts_with("net.") && settings.network_mode == NetworkMode::Host)
        .then_some("--network host")
        .or((is_ipc(name) && settings.ipc_mode == IpcMode::Host).then_some("--ipc host"));
    if let Some(mode) = shared {
        return Err(
            Failure::usage(format!("--sysctl {name} cannot be combined with {mode}"))
                .because(hosts()),
        );
    }
    if !name.starts_with("net.") && !is_ipc(name) {
        return Err(
            Failure::usage(format!("--sysctl {name} is not a parameter of a namespace"))
                .because(hosts())
                .hint("net.*, fs.mqueue.*, kernel.msg*, kernel.sem and kernel.shm* belong to a namespace"),
        );
    }
    Ok(())
}

/// Parameters of the IPC namespace (ipc_namespaces(7)).
fn is_ipc(name: &str) -> bool {
    ["fs.mqueue.", "kernel.msg", "kernel.shm"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name == "kernel.sem"
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{plan, refusal};

    #[test]
    fn a_network_of_its_own_has_two_parameters_set_and_the_host_s_none() {
        let sysctls = plan(&[]).sysctls;
        assert_eq!(sysctls.len(), 2);
        assert_eq!(sysctls["net.ipv4.ping_group_range"], "0 2147483647");
        assert!(plan(&[("network_mode", "host")]).sysctls.is_empty());
    }

    #[test]
    fn what_the_user_sets_wins() {
        let name = "net.ipv4.ip_unprivileged_port_start";
        let sysctls = plan(&[("sysctls", "net.ipv4.ip_unprivileged_port_start=80")]).sysctls;
        assert_eq!(sysctls[name], "80");
    }

    #[test]
    fn parameters_without_a_namespace_of_their_own_are_refused() {
        for name in [
            "vm.swappiness",
            "kernel.hostname",
            "kernel.semx",
            "network.x",
        ] {
            assert!(refusal(&[("sysctls", &format!("{name}=1"))]).contains(name));
        }
        let ipc = [("ipc_mode", "host"), ("sysctls", "kernel.sem=1")];
        assert!(refusal(&ipc).contains("--ipc host"));
        let network = [("network_mode", "host"), ("sysctls", "net.x=1")];
        assert!(refusal(&network).contains("--network host"));
    }
}
