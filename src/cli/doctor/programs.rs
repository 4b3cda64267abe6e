//! Programs: OCI runtimes with their versions, containerd's shim, CNI plugins.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::cgroups::Cgroups;
use super::finding::Finding;

/// Where CNI plugins are: containerd's default, and Debian's.
pub const CNI_DIRECTORIES: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];
/// What a bridge network with published ports needs.
const CNI_NEEDED: [&str; 5] = ["bridge", "loopback", "host-local", "portmap", "firewall"];
const RUNTIMES: [&str; 3] = ["runc", "crun", "youki"];
const SHIM: &str = "containerd-shim-runc-v2";
/// Printing a version takes milliseconds.
const LIMIT: Duration = Duration::from_secs(2);
/// Searched after PATH, which is shorter than containerd's for many users and units.
const USUAL: [&str; 4] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];

/// `major.minor.patch` of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32, u32);

impl Release {
    /// That release.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self(major, minor, patch)
    }

    /// The first one in a text such as `runc version 1.1.5+ds1`.
    pub fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let number = |part: &str| -> Option<u32> {
            let end = part.find(|c: char| !c.is_ascii_digit());
            part.get(..end.unwrap_or(part.len()))?.parse().ok()
        };
        let mut parts = word.splitn(3, '.');
        let (major, minor) = (parts.next()?.parse().ok()?, number(parts.next()?)?);
        Some(Self(
            major,
            minor,
            parts.next().and_then(number).unwrap_or(0),
        ))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The OCI runtimes that are installed, or that none is.
pub async fn runtimes(cgroups: &Cgroups) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in RUNTIMES {
        if let Some(program) = on_path(name) {
            let version = ask_version(&program, LIMIT).await;
            findings.push(runtime(name, &program, version.as_deref(), cgroups));
        }
    }
    if findings.is_empty() {
        findings.push(
            Finding::missing("runtime", "neither runc nor crun nor youki is on PATH")
                .required()
                .advice("nothing can run: install runc"),
        );
    }
    findings
}

fn runtime(
    name: &'static str,
    program: &Path,
    version: Result<&str, &String>,
    cgroups: &Cgroups,
) -> Finding {
    let at = program.display();
    let text = match version {
        Ok(text) => text,
        Err(why) => {
            return Finding::warn(name, format!("{at}, version unknown: {why}"))
                .advice("it may not work: try it with --version");
        }
    };
    let line = text.lines().next().unwrap_or("").trim();
    let found = format!("{line} at {at}");
    let release = Release::find(line);
    match name {
        "crun" if cgroups.crun_refuses() => Finding::warn(name, found).advice(
            "crun refuses a hybrid host that has controllers in its v2 hierarchy: use runc here",
        ),
        "runc" => match release.map(runc_problems).filter(|all| !all.is_empty()) {
            Some(problems) => Finding::warn(name, found).advice(format!(
                "upstream has {} in this version: check your distribution's patch level",
                problems.join(", ")
            )),
            None => Finding::ok(name, found),
        },
        _ => Finding::ok(name, found),
    }
}

/// Ways out of a container that upstream fixed later (the project's security advisories). A
/// distribution may have fixed them under the same version.
fn runc_problems(release: Release) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if release < Release::new(1, 1, 12) {
        problems.push("CVE-2024-21626");
    }
    let fixed = match release {
        Release(0..=1, 0..=2, _) => Release::new(1, 2, 8),
        Release(1, 3, _) => Release::new(1, 3, 3),
        _ => Release::new(1, 4, 0),
    };
    if release < fixed {
        problems.extend(["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"]);
    }
    problems
}

/// What `program --version` says, or why it says nothing; killed if it takes long.
async fn ask_version(program: &Path, limit: Duration) -> Result<String, String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(limit, output).await {
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(Ok(output)) => Err(format!(
            "{} --version: {}",
            program.display(),
            output.status
        )),
        Ok(Err(why)) => Err(why.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

/// containerd's shim for OCI runtimes.
pub async fn shim() -> Finding {
    match on_path(SHIM) {
        Some(program) => Finding::ok("shim", program.display().to_string()),
        None => Finding::missing("shim", format!("{SHIM} is not on PATH"))
            .required()
            .advice("it comes with containerd, which looks for it on its own PATH: reinstall containerd, or name the shim's path with --runtime"),
    }
}

/// Which plugins there are in `directories`.
pub fn cni(directories: &[&Path]) -> Finding {
    const MEANING: &str = "needed for bridge networks; none and host need no plugin";
    let there = |plugin: &&str| directories.iter().any(|d| is_program(&d.join(plugin)));
    let (found, lacking): (Vec<_>, Vec<_>) = CNI_NEEDED.into_iter().partition(there);
    let places: Vec<_> = directories
        .iter()
        .filter(|d| d.is_dir())
        .map(|d| d.display().to_string())
        .collect();
    if found.is_empty() {
        return Finding::missing("cni plugins", "none").advice(MEANING);
    }
    let found = format!("{} in {}", found.join(", "), places.join(", "));
    if lacking.is_empty() {
        return Finding::ok("cni plugins", found).advice(MEANING);
    }
    Finding::warn(
        "cni plugins",
        format!("{found}; not {}", lacking.join(", ")),
    )
    .advice(MEANING)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(USUAL.map(PathBuf::from));
    search(name, directories)
}

fn search(name: &str, directories: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    directories
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn program(directory: &Path, name: &str, script: &str) -> PathBuf {
        let path = directory.join(name);
        // Written by another process: a file that we had open for writing when another test's thread
        // forks cannot be executed (execve(2), ETXTBSY).
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let mut shell = std::process::Command::new("sh");
        let status = shell.arg("-c").arg(write).arg(&path).arg(script).status();
        assert!(status.unwrap().success());
        path
    }

    #[test]
    fn the_release_is_found_in_what_runtimes_print() {
        let cases = [
            ("runc version 1.1.5+ds1", Some(Release(1, 1, 5))),
            ("crun version 1.8", Some(Release(1, 8, 0))),
            ("v2.1.9", Some(Release(2, 1, 9))),
            ("1.6.20~ds1", Some(Release(1, 6, 20))),
            ("no number", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Release::find(text), expected, "{text}");
        }
    }

    #[test]
    fn runc_is_warned_of_up_to_the_release_that_fixed_it() {
        let problems = |a, b, c| runc_problems(Release::new(a, b, c)).len();
        assert_eq!(problems(1, 1, 5), 4);
        assert_eq!(problems(1, 1, 12), 3);
        assert_eq!(problems(1, 2, 7), 3);
        assert_eq!(problems(1, 3, 2), 3);
        for fixed in [(1, 2, 8), (1, 3, 3), (1, 4, 0), (2, 0, 0)] {
            assert_eq!(problems(fixed.0, fixed.1, fixed.2), 0, "{fixed:?}");
        }
    }

    #[test]
    fn a_program_is_searched_in_order_and_must_be_executable() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(one.path().join("runc"), "not executable").unwrap();
        let expected = program(two.path(), "runc", "");
        let directories = [Path::new("."), one.path(), two.path()].map(PathBuf::from);
        assert_eq!(search("runc", directories.into_iter()), Some(expected));
    }

    #[tokio::test]
    async fn a_program_says_its_version() {
        let directory = tempfile::tempdir().unwrap();
        let good = program(directory.path(), "good", "echo good version 1.2.3");
        let said = ask_version(&good, LIMIT).await.unwrap();
        assert_eq!(Release::find(&said), Some(Release(1, 2, 3)));
    }

    #[tokio::test]
    async fn a_program_that_fails_has_no_version() {
        let directory = tempfile::tempdir().unwrap();
        let bad = program(directory.path(), "bad", "exit 3");
        assert!(ask_version(&bad, LIMIT).await.unwrap_err().contains("3"));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let slow = program(directory.path(), "slow", "exec sleep 1000");
        let why = ask_version(&slow, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert!(why.contains("no answer"), "{why}");
    }

    #[test]
    fn cni_plugins_that_lack_are_named() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(cni(&[directory.path()]).state(), State::Missing);
        for plugin in ["bridge", "loopback", "host-local", "portmap"] {
            program(directory.path(), plugin, "");
        }
        let finding = cni(&[directory.path()]);
        assert_eq!(finding.state(), State::Warn);
        assert!(finding.cells()[2].ends_with("not firewall"));
        program(directory.path(), "firewall", "");
        assert_eq!(cni(&[directory.path()]).state(), State::Ok);
    }

    proptest! {
        #[test]
        fn any_text_has_a_release_or_none(text in ".*") {
            let _ = Release::find(&text);
        }
    }
}
