//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`: each container gets its own copies.

use serde::Serialize;

use crate::config::values::NetworkMode;
use crate::survey::Survey;

/// The texts of the three files.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the names of the files")]
pub struct EtcFiles {
    pub hosts: String,
    pub hostname: String,
    pub resolv_conf: String,
}

/// What docker writes where a container has no address (libnetwork, etchosts).
const LOCAL_HOSTS: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

pub(super) fn plan(survey: &Survey, network: NetworkMode, hostname: Option<&str>) -> EtcFiles {
    let shares_network = network == NetworkMode::Host;
    EtcFiles {
        hosts: if shares_network {
            survey.hosts.clone()
        } else {
            LOCAL_HOSTS.to_owned()
        },
        hostname: format!("{}\n", hostname.unwrap_or(&survey.facts.hostname)),
        resolv_conf: if shares_network {
            survey.resolv_conf.clone()
        } else {
            without_loopback(&survey.resolv_conf)
        },
    }
}

/// A resolver on the host's loopback device cannot be reached from another network namespace.
fn without_loopback(resolv_conf: &str) -> String {
    let reachable = |line: &&str| {
        let mut words = line.split_whitespace();
        let server = (words.next() == Some("nameserver"))
            .then(|| words.next())
            .flatten();
        !server.is_some_and(|server| server.starts_with("127.") || server == "::1")
    };
    resolv_conf
        .lines()
        .filter(reachable)
        .fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::without_loopback;

    #[test]
    fn resolvers_on_the_loopback_device_are_left_out() {
        let text = "search a.b\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.2\noptions ndots:1";
        assert_eq!(
            without_loopback(text),
            "search a.b\nnameserver 10.0.0.2\noptions ndots:1\n"
        );
    }
}
