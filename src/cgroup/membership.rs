//! In which cgroups a process is: `/proc/<pid>/cgroup` (cgroups(7)). Text in, entries out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Kind, Result};

/// One line of it: a process's place in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The v1 controllers of the hierarchy, or `name=…`; none for v2.
    pub controllers: Vec<String>,
    /// The group, below the hierarchy's root.
    pub path: PathBuf,
}

/// Where we are ourselves; `proc` is where /proc is.
pub fn own_membership(proc: &Path) -> Result<Vec<Membership>> {
    let file = proc.join("self/cgroup");
    let text = fs::read_to_string(&file)
        .or_fail(Kind::Host, || format!("cannot read {}", file.display()))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// `hierarchy-id:controllers:path`; the path may contain colons. A line of another form is none.
fn parse(line: &str) -> Option<Membership> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    // The kernel appends this when the group is gone.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let named = |name: &&str| !name.is_empty();
    Some(Membership {
        controllers: controllers
            .split(',')
            .filter(named)
            .map(str::to_owned)
            .collect(),
        path: path.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_v1_line_names_its_controllers_and_a_path_with_colons() {
        let entry = parse("4:cpu,cpuacct:/system.slice/a:b:c").unwrap();
        assert_eq!(entry.controllers, ["cpu", "cpuacct"]);
        assert_eq!(entry.path, Path::new("/system.slice/a:b:c"));
    }

    #[test]
    fn the_v2_line_has_no_controllers() {
        let entry = parse("0::/user.slice (deleted)").unwrap();
        assert!(entry.controllers.is_empty());
        assert_eq!(entry.path, Path::new("/user.slice"));
    }

    #[test]
    fn every_process_is_somewhere() {
        assert!(!own_membership(Path::new("/proc")).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_left_out(line in ".*") {
            let _ = parse(&line);
        }
    }
}
