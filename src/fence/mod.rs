//! Where a host path that a DAG's author named may lead: below the operator's prefixes, and not to what
//! gives power over the host.
//!
//! In: a path and a [`Fence`]. Out: what the path leads to, held open, or why it may not. Who can write
//! below a prefix can put a symbolic link there at any moment, so a checked path says nothing a moment
//! later: whoever uses the answer uses what is held, never the path.

mod path;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Serialize;

pub use path::{Held, Trouble};
use path::{Way, follow};

/// What gives power over the host, whoever may write around it: who talks to containerd or docker, or
/// changes their files or ours, is root. (`/var/run` and the like are followed.)
const GUARDED: [&str; 7] = [
    "/run/airtight",
    "/var/lib/airtight",
    "/run/containerd",
    "/var/lib/containerd",
    "/run/docker",
    "/run/docker.sock",
    "/var/lib/docker",
];

/// The operator's prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fence {
    below: Vec<PathBuf>,
}

/// What to do where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make a directory, as docker does for `--volume`.
    Make,
    /// Refuse.
    Refuse,
}

/// Why a path is not let through.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It leads elsewhere.
    #[error("{} is not below a path that the operator allows", .0.display())]
    Outside(PathBuf),
    /// It leads to what gives power over the host, or to what that is in.
    #[error("{} would give power over the host: {} is there", .real.display(), .guarded.display())]
    Guarded {
        /// Where it leads.
        real: PathBuf,
        /// What is guarded.
        guarded: PathBuf,
    },
    /// It leads nowhere.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Fence {
    /// What is below one of `prefixes` is allowed. One that lies below another adds nothing; left there,
    /// somebody who can write below the other could make it a link to anywhere.
    pub fn below(mut prefixes: Vec<PathBuf>) -> Self {
        prefixes.sort();
        prefixes.dedup_by(|inner, outer| inner.starts_with(outer));
        Self { below: prefixes }
    }

    /// What it keeps to.
    pub fn prefixes(&self) -> &[PathBuf] {
        &self.below
    }

    /// Says whether `path` may be mounted as things are now; makes nothing. Where neither it nor a prefix
    /// exists, as on the machine of an author's CI, their names are compared; [`hold`](Self::hold) will
    /// not do with that.
    pub fn look(&self, path: &Path) -> Result<(), Refusal> {
        // Once for a thousand files of a check.
        static GUARDED_NOW: OnceLock<Guarded> = OnceLock::new();
        let guarded = GUARDED_NOW.get_or_init(|| Guarded::places(&[]));
        let way = follow(path)?;
        if let Way::Missing(..) = &way {
            let real = way.real();
            let is_below = |prefix: &PathBuf| {
                follow(prefix).is_ok_and(|prefix| real.starts_with(prefix.real()))
            };
            if self.below.iter().any(is_below) {
                return guarded.check_path(&real);
            }
        }
        self.judge(&way, guarded)
    }

    /// Holds what `path` leads to; `spared` is guarded beside what always is.
    pub fn hold(&self, path: &Path, missing: Missing, spared: &[PathBuf]) -> Result<Held, Refusal> {
        let guarded = Guarded::places(spared);
        let way = follow(path)?;
        self.judge(&way, &guarded)?;
        match (way, missing) {
            (Way::There(held), _) => Ok(held),
            (Way::Missing(..), Missing::Refuse) => Err(Trouble::Missing.into()),
            (Way::Missing(above, names), Missing::Make) => {
                let held = above.make(&names)?;
                self.check(&held, &guarded)?;
                Ok(held)
            }
        }
    }

    fn judge(&self, way: &Way, guarded: &Guarded) -> Result<(), Refusal> {
        match way {
            Way::There(held) => self.check(held, guarded),
            Way::Missing(above, _) => {
                self.check_below(above.real())
                    .map_err(|_| Refusal::Outside(way.real()))?;
                guarded.check_path(&way.real())
            }
        }
    }

    fn check(&self, held: &Held, guarded: &Guarded) -> Result<(), Refusal> {
        self.check_below(held.real())?;
        guarded.check_path(held.real())?;
        guarded.check_file(held)
    }

    /// A prefix that does not exist allows nothing.
    fn check_below(&self, real: &Path) -> Result<(), Refusal> {
        let is_below = |prefix: &PathBuf| {
            Held::open(prefix).is_ok_and(|prefix| real.starts_with(prefix.real()))
        };
        if self.below.iter().any(is_below) {
            Ok(())
        } else {
            Err(Refusal::Outside(real.to_owned()))
        }
    }
}

/// What is guarded: where it is, and which file it is when it exists.
struct Guarded(Vec<(PathBuf, Option<(u64, u64)>)>);

impl Guarded {
    fn places(spared: &[PathBuf]) -> Self {
        let always = GUARDED.iter().map(Path::new);
        let place = |path: &Path| match follow(path) {
            Ok(Way::There(held)) => (held.real().to_owned(), held.identity().ok()),
            Ok(way) => (way.real(), None),
            Err(_) => (path.to_owned(), None),
        };
        Self(
            always
                .chain(spared.iter().map(PathBuf::as_path))
                .map(place)
                .collect(),
        )
    }

    /// Neither it, nor what is below it, nor what it is in.
    fn check_path(&self, real: &Path) -> Result<(), Refusal> {
        let touched = |(path, _): &&(PathBuf, _)| real.starts_with(path) || path.starts_with(real);
        self.0
            .iter()
            .find(touched)
            .map_or(Ok(()), |place| Err(refuse(real, place)))
    }

    /// The same file under another name, such as a hard link or a bind mount.
    fn check_file(&self, held: &Held) -> Result<(), Refusal> {
        let identity = Some(held.identity()?);
        let same = self.0.iter().find(|(_, known)| *known == identity);
        same.map_or(Ok(()), |place| Err(refuse(held.real(), place)))
    }
}

fn refuse(real: &Path, (guarded, _): &(PathBuf, Option<(u64, u64)>)) -> Refusal {
    Refusal::Guarded {
        real: real.to_owned(),
        guarded: guarded.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// `in` is allowed, `out` is not.
    fn fenced() -> (tempfile::TempDir, PathBuf, Fence) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        for name in ["in", "out", "in-not"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        let fence = Fence::below(vec![path.join("in")]);
        (dir, path, fence)
    }

    #[test]
    fn only_what_is_really_below_a_prefix_is_allowed() {
        let (_dir, path, fence) = fenced();
        fs::create_dir(path.join("in/a")).unwrap();
        symlink(path.join("in/a"), path.join("in/stays")).unwrap();
        symlink("../out", path.join("in/leaves")).unwrap();
        for good in ["in", "in/", "in/a", "in/stays", "in/new/b", "out/../in/a"] {
            fence.look(&path.join(good)).expect(good);
        }
        for bad in [
            "in/leaves",
            "in/leaves/new",
            "in/../out",
            "in-not",
            "out",
            "",
            "new",
        ] {
            fence.look(&path.join(bad)).expect_err(bad);
        }
        fence.look(Path::new("/etc")).unwrap_err();
    }

    #[test]
    fn a_prefix_may_be_a_link_and_one_that_does_not_exist_lets_nothing_be_mounted() {
        let (_dir, path, _) = fenced();
        symlink("in", path.join("link")).unwrap();
        let linked = Fence::below(vec![path.join("link")]);
        linked.look(&path.join("in/a")).unwrap();
        linked.look(&path.join("link/a")).unwrap();
        let absent = Fence::below(vec![path.join("absent")]);
        absent.look(&path.join("absent/a")).unwrap();
        absent.look(&path.join("absent-not/a")).unwrap_err();
        absent
            .hold(&path.join("absent/a"), Missing::Make, &[])
            .unwrap_err();
        assert!(!path.join("absent").exists());
    }

    #[test]
    fn a_prefix_below_another_cannot_be_made_a_way_out() {
        let (_dir, path, _) = fenced();
        let nested = Fence::below(vec![
            path.join("in/deep/er"),
            path.join("in"),
            path.join("in-not"),
        ]);
        fs::create_dir(path.join("in/deep")).unwrap();
        symlink(path.join("out"), path.join("in/deep/er")).unwrap();
        nested.look(&path.join("out")).unwrap_err();
        nested.look(&path.join("in-not")).unwrap();
    }

    #[test]
    fn what_is_missing_is_made_only_where_that_is_asked_for() {
        let (_dir, path, fence) = fenced();
        let wanted = path.join("in/new/er");
        let refused = fence.hold(&wanted, Missing::Refuse, &[]).unwrap_err();
        assert_eq!(refused.to_string(), "it does not exist");
        assert!(!path.join("in/new").exists());
        let held = fence.hold(&wanted, Missing::Make, &[]).unwrap();
        assert!(held.is_directory().unwrap() && held.real() == wanted);
        let refused = fence
            .hold(&path.join("out/new"), Missing::Make, &[])
            .unwrap_err();
        assert!(refused.to_string().contains("not below"), "{refused}");
        assert!(!path.join("out/new").exists());
    }

    #[test]
    fn what_is_spared_is_refused_with_what_it_is_in_and_under_other_names() {
        let (_dir, path, fence) = fenced();
        let socket = path.join("in/run/c.sock");
        fs::create_dir(path.join("in/run")).unwrap();
        let _listening = UnixListener::bind(&socket).unwrap();
        fs::hard_link(&socket, path.join("in/other.sock")).unwrap();
        let state = path.join("in/state");
        let spared = [socket, state];
        let refused = |name: &str| {
            let held = fence.hold(&path.join(name), Missing::Make, &spared);
            held.expect_err(name).to_string()
        };
        for name in [
            "in",
            "in/run",
            "in/run/c.sock",
            "in/other.sock",
            "in/state",
            "in/state/x",
        ] {
            let refused = refused(name);
            assert!(refused.contains("power over the host"), "{refused}");
        }
        assert!(!path.join("in/state").exists());
        fence
            .hold(&path.join("in/run/b.sock"), Missing::Make, &spared)
            .unwrap();
    }

    #[test]
    fn containerd_and_docker_are_guarded_below_any_prefix() {
        let everything = Fence::below(vec!["/".into()]);
        for path in [
            "/",
            "/run",
            "/var",
            "/var/lib",
            "/run/containerd/containerd.sock",
            "/run/docker.sock",
            "/var/lib/docker/volumes/x",
            "/run/airtight",
        ] {
            let refused = everything.look(Path::new(path)).expect_err(path);
            assert!(matches!(refused, Refusal::Guarded { .. }), "{refused}");
        }
        everything.look(Path::new("/etc")).unwrap();
    }
}
