//! containerd: is it there, which version, which snapshotters.

use std::time::Duration;

use containerd_client::services::v1::{Plugin, PluginsRequest};

use super::finding::Finding;
use super::programs::Release;
use crate::containerd::Client;
use crate::image::unpack::DEFAULT_SNAPSHOTTER;

/// A containerd that answers at all does so in milliseconds.
pub const LIMIT: Duration = Duration::from_secs(3);
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1";
/// What airtight is tested with.
const KNOWN: &str = "1.6, 1.7 and 2.x are known to work";

/// Asks it; each answer may take as long as `limit`.
pub async fn findings(client: &Client, address: &str, limit: Duration) -> Vec<Finding> {
    let mut versions = client.version();
    let what = ("get the version of", address);
    let answer = client
        .call_within(limit, what, (), |request| versions.version(request))
        .await;
    match answer {
        Ok(answer) => vec![version(&answer.version, address), snapshotters(client, limit).await],
        Err(why) => vec![
            Finding::missing("containerd", why.to_string())
                .required()
                .advice("nothing can run: install or start containerd, or name its socket with --address or CONTAINERD_ADDRESS"),
            Finding::missing("snapshotters", "unknown, containerd does not answer"),
        ],
    }
}

fn version(version: &str, address: &str) -> Finding {
    let found = format!("{version} at {address}");
    match Release::find(version) {
        Some(release) if release < Release::new(1, 6, 0) => Finding::warn("containerd", found)
            .advice(format!("older than what airtight is tested with; {KNOWN}")),
        Some(release) if release < Release::new(3, 0, 0) => Finding::ok("containerd", found),
        Some(_) => Finding::warn("containerd", found)
            .advice(format!("newer than what airtight is tested with; {KNOWN}")),
        None => Finding::warn("containerd", found).advice(format!("an unusual version; {KNOWN}")),
    }
}

async fn snapshotters(client: &Client, limit: Duration) -> Finding {
    let request = PluginsRequest {
        filters: vec![format!("type=={SNAPSHOTTER}")],
    };
    let mut introspection = client.introspection();
    let answer = client
        .call_within(
            limit,
            ("list plugins of", "containerd"),
            request,
            |request| introspection.plugins(request),
        )
        .await;
    match answer {
        Ok(answer) => usable(&answer.plugins),
        Err(why) => Finding::warn("snapshotters", why.to_string()),
    }
}

/// containerd lists those that cannot work here too, with the reason.
fn usable(plugins: &[Plugin]) -> Finding {
    let ids = |usable: bool| -> Vec<&str> {
        let mut ids: Vec<_> = plugins
            .iter()
            .filter(|plugin| plugin.r#type == SNAPSHOTTER && plugin.init_err.is_none() == usable)
            .map(|plugin| plugin.id.as_str())
            .collect();
        ids.sort_unstable();
        ids
    };
    let (good, bad) = (ids(true), ids(false));
    let mut found = if good.is_empty() {
        "none".to_owned()
    } else {
        good.join(", ")
    };
    if !bad.is_empty() {
        found += &format!(" (not usable here: {})", bad.join(", "));
    }
    if good.is_empty() {
        return Finding::missing("snapshotters", found)
            .required()
            .advice("no root file system can be made: see containerd's log");
    }
    if good.contains(&DEFAULT_SNAPSHOTTER) {
        return Finding::ok("snapshotters", found);
    }
    Finding::warn("snapshotters", found).advice(format!(
        "the default, {DEFAULT_SNAPSHOTTER}, is not among them: choose one with --snapshotter"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn plugin(id: &str, broken: bool) -> Plugin {
        Plugin {
            r#type: SNAPSHOTTER.to_owned(),
            id: id.to_owned(),
            init_err: broken.then(Default::default),
            ..Plugin::default()
        }
    }

    #[test]
    fn versions_that_airtight_is_tested_with_are_ok() {
        for good in ["1.6.20~ds1", "v1.7.24", "2.1.9"] {
            assert_eq!(version(good, "/a").state(), State::Ok, "{good}");
        }
        for odd in ["1.5.9", "3.0.0", "git"] {
            assert_eq!(version(odd, "/a").state(), State::Warn, "{odd}");
        }
    }

    #[test]
    fn snapshotters_that_cannot_work_are_told_apart() {
        let finding = usable(&[plugin("zfs", true), plugin("overlayfs", false)]);
        assert_eq!(finding.state(), State::Ok);
        assert_eq!(finding.cells()[2], "overlayfs (not usable here: zfs)");
    }

    #[test]
    fn a_host_without_the_default_snapshotter_is_warned() {
        assert_eq!(usable(&[plugin("native", false)]).state(), State::Warn);
        assert!(usable(&[plugin("zfs", true)]).is_fatal());
    }

    #[tokio::test]
    async fn a_containerd_that_is_not_there_is_a_finding() {
        let client = Client::new("/nowhere/containerd.sock", "test").unwrap();
        let found = findings(&client, "/nowhere/containerd.sock", LIMIT).await;
        assert!(found[0].is_fatal());
    }

    #[tokio::test]
    async fn a_containerd_that_does_not_answer_is_a_finding() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("mute.sock");
        let _mute = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let address = socket.to_str().unwrap();
        let client = Client::new(address, "test").unwrap();
        assert!(findings(&client, address, Duration::from_millis(20)).await[0].is_fatal());
    }
}
