//! Descriptors that airtight was started with, by number, and those that it starts others with.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that airtight was started with and no longer hands on by itself.
static KEPT: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

fn kept() -> MutexGuard<'static, BTreeSet<RawFd>> {
    // A set of numbers is whole at any time.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, no program that we start gets what we were started with, but for 0, 1 and 2.
pub fn keep_to_ourselves() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| *number > 2 && survives_exec(*number)) {
            set_close_on_exec(number)?;
            kept().insert(number);
        }
    }
    Ok(())
}

/// Whether descriptor `number` was open when airtight was started and has not been taken: what survives
/// an exec is not close-on-exec, and everything that airtight opens itself is.
pub fn is_inherited(number: RawFd) -> bool {
    survives_exec(number) || kept().contains(&number)
}

/// Closes what airtight was started with and keeps, but for `wanted`.
pub fn close_others(wanted: &[RawFd]) -> io::Result<()> {
    let others: Vec<_> = kept()
        .iter()
        .filter(|number| !wanted.contains(number))
        .copied()
        .collect();
    others
        .into_iter()
        .try_for_each(|number| take(number).map(drop))
}

fn survives_exec(number: RawFd) -> bool {
    // SAFETY: fcntl(2) takes any number and answers EBADF for one that is not open.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

fn set_close_on_exec(number: RawFd) -> io::Result<()> {
    // SAFETY: fcntl(2) takes any number; nothing but a flag of it changes.
    match unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A close-on-exec copy of our own open descriptor `number`.
fn copy_of(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) takes any number and answers EBADF for one that is not open.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: F_DUPFD_CLOEXEC made the descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Takes descriptor `number`, which airtight was started with, for ourselves: no program that we start
/// gets it, and it is closed when it is dropped. 0, 1 and 2 are the standard library's, and stay open.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    if !is_inherited(number) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    set_close_on_exec(number)?;
    if number <= 2 {
        return copy_of(number);
    }
    kept().remove(&number);
    // SAFETY: what we were started with nobody of ours owns until it is taken here, and from then on it
    // counts as inherited no more.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets the program that `command` starts have each descriptor under its number.
pub fn hand_over(command: &mut Command, descriptors: Vec<(OwnedFd, RawFd)>) -> io::Result<()> {
    let highest = descriptors.iter().map(|(_, number)| *number).max();
    let above = highest.unwrap_or_default().saturating_add(1);
    let mut pairs = Vec::new();
    for (descriptor, number) in descriptors {
        // Out of the way of every number that is still to be given.
        // SAFETY: fcntl(2) on a descriptor that is open.
        let copy = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, above) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: F_DUPFD_CLOEXEC made the descriptor, so nobody else owns it.
        pairs.push((unsafe { OwnedFd::from_raw_fd(copy) }, number));
    }
    let give = move || {
        for (descriptor, number) in &pairs {
            // SAFETY: dup2(2) takes any numbers; the copy is not close-on-exec.
            if unsafe { libc::dup2(descriptor.as_raw_fd(), *number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec, `give` makes one system call for each pair, and allocates nothing.
    unsafe { command.pre_exec(give) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::IntoRawFd;

    #[test]
    fn what_airtight_opened_itself_is_not_inherited() {
        let file = tempfile::tempfile().unwrap();
        assert!(!is_inherited(file.as_raw_fd()));
        assert!(!is_inherited(-1));
        assert!(is_inherited(2));
    }

    #[test]
    fn an_open_descriptor_is_copied_and_a_closed_one_is_not() {
        let file = tempfile::tempfile().unwrap();
        let copy = copy_of(file.as_raw_fd()).unwrap();
        assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
        assert_eq!(copy_of(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    /// One of the kind that a process is started with.
    fn inherited() -> (std::io::PipeReader, RawFd) {
        let (reader, writer) = io::pipe().unwrap();
        let writer = OwnedFd::from(writer).into_raw_fd();
        // SAFETY: the descriptor is open, and nothing but a flag of it changes.
        assert_eq!(unsafe { libc::fcntl(writer, libc::F_SETFD, 0) }, 0);
        (reader, writer)
    }

    #[test]
    fn what_is_kept_reaches_no_program_and_what_is_taken_is_closed_when_it_is_dropped() {
        let (mut reader, writer) = inherited();
        keep_to_ourselves().unwrap();
        assert!(is_inherited(writer) && !survives_exec(writer));
        let taken = take(writer).unwrap();
        assert!(!is_inherited(writer));
        assert!(take(writer).is_err());
        drop(taken);
        let mut end = [0; 1];
        assert_eq!(reader.read(&mut end).unwrap(), 0, "nobody holds it");
    }

    #[test]
    fn a_program_gets_descriptors_under_the_numbers_they_are_to_have() {
        let files = ["a", "b"].map(|text| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("f"), text).unwrap();
            std::fs::File::open(dir.path().join("f")).unwrap()
        });
        let mut command = Command::new("sh");
        command.args(["-c", "cat <&7 && cat <&3 && ! true <&8"]);
        let [a, b] = files.map(OwnedFd::from);
        hand_over(&mut command, vec![(a, 7), (b, 3)]).unwrap();
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "ab");
        assert!(output.status.success());
    }
}
