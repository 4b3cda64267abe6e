//! airtight runs one task in one sealed container by talking to containerd directly.
//!
//! The modules below are the rooms of `docs/design.md`, in the direction data flows:
//! settings are merged ([`config`]), decided ([`plan`]), written as an OCI spec ([`spec`]),
//! launched, supervised and cleaned up ([`run`]), and what a dead owner left is undone ([`reap`]).

pub mod airflow;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod containerd;
pub mod control;
pub mod failure;
pub mod fence;
pub mod host;
mod human;
pub mod id;
pub mod image;
pub mod kernel;
#[allow(
    unsafe_code,
    reason = "sockets that carry descriptors, and handles on processes"
)]
pub mod leash;
pub mod living;
pub mod log;
pub mod moment;
pub mod owner;
pub mod packet;
pub mod parse;
pub mod plan;
pub mod reap;
mod regular_file;
pub mod run;
pub mod secret;
pub mod signals;
pub mod spec;
pub mod survey;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Files of `room` that name `other`.
    fn that_use(room: &Path, other: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(room).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                that_use(&path, other, found);
            } else if fs::read_to_string(&path).unwrap().contains(other) {
                found.push(path.display().to_string());
            }
        }
    }

    #[test]
    fn rooms_below_know_neither_the_command_line_nor_airflow_s_affairs() {
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let above = ["cli", "airflow", "parse", "init"];
        for entry in fs::read_dir(&all).unwrap() {
            let room = entry.unwrap().path();
            let name = room.file_name().unwrap().to_str().unwrap();
            let mut found = Vec::new();
            if room.is_dir() && name != "cli" {
                that_use(&room, "crate::cli", &mut found);
            }
            if room.is_dir() && !above.contains(&name) {
                that_use(&room, "crate::airflow", &mut found);
            }
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
