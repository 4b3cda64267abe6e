//! Which certificate authorities are trusted: the host's, and a registry's own.
//!
//! A registry's own are those of `*.crt` in the directories where docker and containerd look for them:
//! they hold for that registry's connections, its token server's and its stores' among them, and for no
//! other. Those of a file that the user names take their place, for every registry of the command.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::failure::{Context, Failure, Kind, Result};
use crate::regular_file;

/// containerd's directory (its `docs/hosts.md`) and docker's; below them one for each HOST[:PORT].
const PLACES: [&str; 2] = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];

/// The file of containerd's that this version does not read.
const HOSTS: &str = "hosts.toml";

/// More than the file of all authorities of a system has.
const MAX_FILE: u64 = 4 << 20;

/// The roots for the registry `host`, and what the user should know.
pub(super) fn roots(host: &str, ca_file: Option<&Path>) -> Result<(RootCertStore, Vec<String>)> {
    let mut roots = RootCertStore::empty();
    let own = rustls_native_certs::load_native_certs();
    // A system's bundle may have some that this library does not take.
    roots.add_parsable_certificates(own.certs);
    let (files, warnings) = match ca_file {
        Some(file) => (vec![file.to_owned()], Vec::new()),
        None => own_files(&PLACES, host),
    };
    for file in files {
        add(&mut roots, &file)?;
    }
    Ok((roots, warnings))
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<()> {
    let unusable = || format!("cannot use the certificate authority {}", file.display());
    let bytes = regular_file::read(file, MAX_FILE).or_fail(Kind::Usage, unusable)?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.or_fail(Kind::Usage, unusable)?;
        roots.add(certificate).or_fail(Kind::Usage, unusable)?;
        found += 1;
    }
    match found {
        0 => Err(Failure::usage(unusable()).because("it holds no certificate in PEM")),
        _ => Ok(()),
    }
}

/// The files for `host` in `places`, in order.
fn own_files(places: &[&str], host: &str) -> (Vec<PathBuf>, Vec<String>) {
    let mut files = Vec::new();
    let mut warnings = Vec::new();
    for place in places {
        let directory = Path::new(place).join(host);
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        let paths = entries.flatten().map(|entry| entry.path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "crt")));
        let hosts = directory.join(HOSTS);
        if hosts.exists() {
            warnings.push(format!(
                "{} is not read by this version; authorities are read from *.crt beside it",
                hosts.display()
            ));
        }
    }
    files.sort();
    (files, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_s_own_authorities_are_found_by_its_host_and_port() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("r.example:5000");
        std::fs::create_dir(&directory).unwrap();
        for name in ["b.crt", "a.crt", "client.cert", "hosts.toml"] {
            std::fs::write(directory.join(name), "").unwrap();
        }
        let places = [place.path().to_str().unwrap()];
        let (files, warnings) = own_files(&places, "r.example:5000");
        assert_eq!(files, [directory.join("a.crt"), directory.join("b.crt")]);
        assert!(warnings[0].contains("hosts.toml"), "{warnings:?}");
        assert_eq!(own_files(&places, "r.example"), (vec![], vec![]));
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = roots("h", Some(file.path())).unwrap_err().to_string();
        assert!(failure.contains("no certificate"), "{failure}");
    }
}
