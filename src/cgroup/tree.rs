//! One hierarchy's directory of a group with the groups nested in it: who lives there, and removing.
//!
//! A group may vanish at any moment (the runtime removes it too): that is never an error here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::errno::Errno;

use super::wait;

/// `top` and all directories below it, each before those in it; nothing when it does not exist.
/// Without recursion, since a payload may nest as deep as it likes.
pub fn directories(top: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(why) if is_gone(&why) => continue,
            other => other?,
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_type()?.is_dir(), entry.path()))) {
                Ok((true, path)) => todo.push(path),
                Ok((false, _)) => {}
                Err(why) if is_gone(&why) => break,
                Err(why) => return Err(why),
            }
        }
        found.push(directory);
    }
    Ok(found)
}

/// Who lives in a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inhabitants {
    /// Those that have a pid here.
    pub pids: BTreeSet<i32>,
    /// There are some from outside our pid namespace; the kernel shows them as 0.
    pub hidden: bool,
}

impl Inhabitants {
    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty() && !self.hidden
    }

    fn add(&mut self, procs: &str) {
        for line in procs.lines() {
            match line.trim().parse::<i32>() {
                Ok(pid @ 1..) => {
                    self.pids.insert(pid);
                }
                // Never to be signalled: kill(2) means other processes with 0 and below.
                _ => self.hidden = true,
            }
        }
    }
}

/// The processes of `top` and all groups nested in it, added to `found`.
pub fn inhabitants(top: &Path, found: &mut Inhabitants) -> io::Result<()> {
    for directory in directories(top)? {
        match fs::read_to_string(directory.join("cgroup.procs")) {
            Ok(procs) => found.add(&procs),
            Err(why) if is_gone(&why) => {}
            // A threaded group: its processes are listed by its parent (cgroups(7)).
            Err(why) if why.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

/// Removes `top` and what is nested in it, waiting for its last processes until `deadline`. `events`
/// is the file that tells when they are gone, where there is one.
pub fn remove(top: &Path, events: Option<&Path>, deadline: Instant) -> io::Result<()> {
    let mut outcome = try_remove(top);
    if outcome.is_ok() {
        return Ok(());
    }
    wait::until(events, deadline, || {
        outcome = try_remove(top);
        !outcome.as_ref().is_err_and(is_busy)
    });
    outcome
}

fn try_remove(top: &Path) -> io::Result<()> {
    match remove_directory(top) {
        Err(why) if is_busy(&why) => {}
        other => return other,
    }
    for directory in directories(top)?.iter().rev() {
        remove_directory(directory)?;
    }
    Ok(())
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(why) if is_gone(&why) => Ok(()),
        other => other,
    }
}

/// Something lives or is nested in it.
pub fn is_busy(why: &io::Error) -> bool {
    let errno = why.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EBUSY | Errno::ENOTEMPTY))
}

/// The group was removed, before or after its file was opened.
pub fn is_gone(why: &io::Error) -> bool {
    let errno = why.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOENT | Errno::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn listed(procs: &str) -> Inhabitants {
        let mut found = Inhabitants::default();
        found.add(procs);
        found
    }

    #[test]
    fn processes_of_nested_groups_count_once() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b")).unwrap();
        fs::write(top.path().join("cgroup.procs"), "1\n22\n").unwrap();
        fs::write(top.path().join("a/b/cgroup.procs"), "22\n333\n").unwrap();
        let mut found = Inhabitants::default();
        inhabitants(top.path(), &mut found).unwrap();
        assert_eq!(found.pids, [1, 22, 333].into());
        assert!(!found.hidden);
    }

    #[test]
    fn a_process_of_another_pid_namespace_is_seen_but_has_no_pid() {
        let found = listed("0\n");
        assert!(found.pids.is_empty() && !found.is_empty());
    }

    #[test]
    fn a_group_that_does_not_exist_is_empty_and_removed() {
        let gone = Path::new("/nowhere/at/all");
        let mut found = Inhabitants::default();
        inhabitants(gone, &mut found).unwrap();
        assert!(found.is_empty());
        remove(gone, None, Instant::now()).unwrap();
    }

    #[test]
    fn groups_made_by_the_payload_are_removed_depth_first() {
        let parent = tempfile::tempdir().unwrap();
        let top = parent.path().join("top");
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::create_dir_all(top.join("d")).unwrap();
        remove(&top, None, Instant::now()).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn what_stays_busy_is_an_error_at_the_deadline() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        let deadline = Instant::now() + Duration::from_millis(3);
        let why = remove(top.path(), None, deadline).unwrap_err();
        assert!(is_busy(&why), "{why}");
    }

    proptest! {
        #[test]
        fn no_text_yields_a_pid_that_means_others(text in "[-0-9\n ]{0,40}|.*") {
            prop_assert!(listed(&text).pids.iter().all(|pid| *pid > 0));
        }
    }
}
