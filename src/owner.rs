//! Who owns something, said so that others can tell later whether the owner lives.
//!
//! In: this process, or what an earlier one wrote down about itself. Out: [`Life`]. A pid alone says
//! nothing, for it is given out again; with the moment its process began and the boot, it is one process's
//! only. Nothing is ever signalled here.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Kind, Result};

/// A process, for as long as this machine remembers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The kernel's boot id: with another one, no process of then is alive.
    pub boot_id: String,
    /// The PID namespace (its inode) in which the pid has a meaning.
    pub pid_namespace: u64,
    /// Its number there.
    pub pid: u32,
    /// When it began, in clock ticks since the boot.
    pub started: u64,
}

/// What can be said about an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Alive,
    /// It does not, for certain.
    Dead,
    /// Nobody can tell from here: its pid is another PID namespace's.
    Unknown,
}

impl Owner {
    /// This process.
    pub fn this_process() -> Result<Self> {
        // Our own number may be another one there than here, where /proc is an outer PID namespace's.
        Self::of(Path::new("/proc"), "self")
            .or_fail(Kind::Host, || "cannot read from /proc who we are")
    }

    fn of(proc: &Path, process: &str) -> std::io::Result<Self> {
        let stat = fs::read_to_string(proc.join(process).join("stat"))?;
        let stat = Stat::parse(&stat).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Self {
            boot_id: boot_id(proc)?,
            pid_namespace: fs::metadata(proc.join("self/ns/pid"))?.ino(),
            pid: stat.pid,
            started: stat.started,
        })
    }

    /// Whether it lives.
    pub fn life(&self) -> Life {
        self.life_in(Path::new("/proc"))
    }

    /// Whether it belongs to an earlier boot of this machine, or to another machine.
    pub fn is_of_another_boot(&self) -> bool {
        boot_id(Path::new("/proc")).is_ok_and(|now| now != self.boot_id)
    }

    fn life_in(&self, proc: &Path) -> Life {
        let namespace = fs::metadata(proc.join("self/ns/pid")).map(|found| found.ino());
        match (boot_id(proc), namespace) {
            (Ok(boot), _) if boot != self.boot_id => return Life::Dead,
            (Ok(_), Ok(ours)) if ours == self.pid_namespace => {}
            _ => return Life::Unknown,
        }
        match fs::read_to_string(proc.join(self.pid.to_string()).join("stat")) {
            Ok(stat) => match Stat::parse(&stat) {
                Some(stat) if stat.started == self.started && !stat.ended => Life::Alive,
                Some(_) => Life::Dead,
                None => Life::Unknown,
            },
            // ESRCH when it ends between the opening and the reading.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Life::Dead,
            Err(why) if why.raw_os_error() == Some(nix::libc::ESRCH) => Life::Dead,
            Err(_) => Life::Unknown,
        }
    }
}

fn boot_id(proc: &Path) -> std::io::Result<String> {
    let text = fs::read_to_string(proc.join("sys/kernel/random/boot_id"))?;
    Ok(text.trim().to_owned())
}

/// Whether process `pid`, which began at that clock tick of this boot, may be alive.
pub fn may_live(pid: u32, started: u64) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => Stat::parse(&stat).is_none_or(|stat| stat.started == started && !stat.ended),
        Err(why) => why.kind() != std::io::ErrorKind::NotFound,
    }
}

/// The session of a process.
pub fn session(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Stat::parse(&stat)?.session)
}

/// What is read of proc_pid_stat(5).
struct Stat {
    /// Field 1.
    pid: u32,
    /// It is dead, and its parent has not looked yet.
    ended: bool,
    /// Field 6.
    session: i32,
    /// Field 22.
    started: u64,
}

impl Stat {
    /// The second field is the program's name in brackets, which may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (pid, _) = text.split_once(' ')?;
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        Some(Self {
            pid: pid.parse().ok()?,
            ended: matches!(state, "Z" | "X"),
            // The third field was the state.
            session: fields.nth(6 - 4)?.parse().ok()?,
            started: fields.nth(22 - 7)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
impl Owner {
    /// This machine's, of a process that has ended.
    pub fn dead() -> Self {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner = Self::of(Path::new("/proc"), &child.id().to_string()).unwrap();
        child.wait().unwrap();
        owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_session_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let expected = nix::unistd::getsid(None).unwrap().as_raw();
        assert_eq!(session(own), Some(expected));
        assert_eq!(session(i32::MAX), None);
    }
    use std::process::{Command, Stdio};

    #[test]
    fn we_are_alive_and_one_that_has_ended_is_dead() {
        let we = Owner::this_process().unwrap();
        assert_eq!((we.pid, we.life()), (std::process::id(), Life::Alive));
        assert_eq!(Owner::dead().life(), Life::Dead);
    }

    #[test]
    fn one_that_nobody_has_waited_for_yet_is_dead() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let owner = Owner::of(Path::new("/proc"), &child.id().to_string()).unwrap();
        assert_eq!(owner.life(), Life::Alive);
        drop(child.stdin.take());
        // The end of its output comes just before its own.
        std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut Vec::new()).unwrap();
        while owner.life() == Life::Alive {
            std::thread::yield_now();
        }
        assert_eq!(owner.life(), Life::Dead);
        child.wait().unwrap();
    }

    #[test]
    fn another_process_of_the_same_number_is_not_it() {
        let mut owner = Owner::this_process().unwrap();
        owner.started += 1;
        assert_eq!(owner.life(), Life::Dead);
    }

    #[test]
    fn all_of_another_boot_are_dead_and_of_another_namespace_nobody_knows() {
        let mut owner = Owner::this_process().unwrap();
        owner.pid_namespace += 1;
        assert_eq!(owner.life(), Life::Unknown);
        owner.boot_id.push('x');
        assert_eq!(owner.life(), Life::Dead);
        assert!(owner.is_of_another_boot());
    }

    #[test]
    fn a_program_s_name_may_look_like_fields() {
        let text = "7 (a) S 1 2) R 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        assert_eq!(Stat::parse(text).unwrap().started, 12345);
        assert!(Stat::parse("").is_none() && Stat::parse("7 (a) S").is_none());
    }
}
