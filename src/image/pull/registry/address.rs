//! Addresses: what a redirect leads to, which hosts are this one, and how an address is shown.

use std::net::IpAddr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// Whether a host name is this host's own, as docker has it for registries without TLS.
pub(super) fn is_this_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The address as it may be shown: what is behind the path may be a signature that opens a store.
pub(super) fn shown(address: &Uri) -> String {
    let host = host_and_port(address);
    let scheme = address.scheme_str().unwrap_or("https");
    format!("{scheme}://{host}{}", address.path())
}

/// Whether a secret meant for one may go to the other.
pub(super) fn same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && host_and_port(one).eq_ignore_ascii_case(&host_and_port(other))
}

/// Without a user and a password, should there be any.
fn host_and_port(address: &Uri) -> String {
    let host = address.host().unwrap_or_default();
    let default = match address.scheme() == Some(&Scheme::HTTP) {
        true => 80,
        false => 443,
    };
    match address.port_u16() {
        Some(port) if port != default => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

/// Where `location` leads, seen from `base` (RFC 3986, 5.2, as far as servers use it); nothing where
/// it leads to something that is not fetched.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let origin = || Some(format!("{}://{}", base.scheme_str()?, base.authority()?));
    let text = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}:{location}", base.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{}{location}", origin()?)
    } else if location.starts_with('?') {
        format!("{}{}{location}", origin()?, base.path())
    } else {
        let (directory, _) = base.path().rsplit_once('/')?;
        format!("{}{directory}/{location}", origin()?)
    };
    let address: Uri = text.parse().ok()?;
    let known = [Some("http"), Some("https")].contains(&address.scheme_str());
    let user = address
        .authority()
        .is_some_and(|to| to.as_str().contains('@'));
    (known && !user && address.host().is_some_and(|host| !host.is_empty())).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirect_leads_where_a_browser_would_go() {
        let base = uri("https://r.example:5000/v2/a/blobs/x?y=1");
        for (location, to) in [
            ("https://cdn.example/b?sig=1", "https://cdn.example/b?sig=1"),
            ("//cdn.example/b", "https://cdn.example/b"),
            ("/b#f", "https://r.example:5000/b"),
            ("z", "https://r.example:5000/v2/a/blobs/z"),
            ("?z=1", "https://r.example:5000/v2/a/blobs/x?z=1"),
        ] {
            assert_eq!(resolve(&base, location), Some(uri(to)), "{location}");
        }
    }

    #[test]
    fn a_redirect_to_anything_but_the_web_leads_nowhere() {
        let base = uri("https://r.example/v2/");
        for location in [
            "file:///etc/shadow",
            "ftp://x/y",
            "https://u:p@x/",
            "http://",
            "a b",
        ] {
            assert_eq!(resolve(&base, location), None, "{location}");
        }
    }

    #[test]
    fn a_secret_stays_with_its_origin() {
        let registry = uri("https://r.example/v2/");
        assert!(same_origin(&registry, &uri("https://R.example:443/x")));
        for other in [
            "http://r.example/",
            "https://r.example:444/",
            "https://s.example/",
        ] {
            assert!(!same_origin(&registry, &uri(other)), "{other}");
        }
    }

    #[test]
    fn signatures_are_not_shown() {
        let address = uri("https://cdn.example/a?X-Amz-Signature=secret");
        assert_eq!(shown(&address), "https://cdn.example/a");
    }

    #[test]
    fn this_host_has_several_names() {
        for host in ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"] {
            assert!(is_this_host(host), "{host}");
        }
        assert!(!is_this_host("localhost.example") && !is_this_host("10.0.0.1"));
    }
}
