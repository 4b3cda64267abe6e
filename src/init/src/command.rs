//! The payload's command: found along PATH as execvp(3) finds it, and executed.
//!
//! In: arguments and environment exactly as we got them. Out: only the reason why it could not be
//! executed. Unlike execvp it never hands a file the kernel does not understand to a shell.

use std::ffi::{CStr, c_char};

use crate::protocol::{Stage, StartFailure};
use crate::sys::Errno;

/// The PATH of an environment without one, as confstr(3) gives it.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The longest path the kernel takes, with its null (limits.h, PATH_MAX).
const PATH_MAX: usize = libc::PATH_MAX as usize;

/// What to execute.
#[derive(Clone, Copy)]
pub struct Command {
    arguments: *const *const c_char,
    environment: *const *const c_char,
}

impl Command {
    /// # Safety
    /// Both arrays must end with a null pointer, and they and their C strings must never change.
    pub unsafe fn new(arguments: *const *const c_char, environment: *const *const c_char) -> Self {
        Self {
            arguments,
            environment,
        }
    }

    /// Replaces this program; returns only on failure.
    pub fn execute(&self) -> StartFailure {
        let nothing_there = Errno(libc::ENOENT).during(Stage::Search);
        let Some(name) = self.name().filter(|name| !name.is_empty()) else {
            return nothing_there;
        };
        if name.to_bytes().contains(&b'/') {
            return self.try_file(name);
        }
        let mut worth_telling = None;
        for directory in self.path().split(|&byte| byte == b':') {
            let mut buffer = [0; PATH_MAX];
            let Some(file) = join(&mut buffer, directory, name.to_bytes()) else {
                continue;
            };
            let failed = self.try_file(file);
            match (failed.stage, failed.errno) {
                (Stage::Search, _) => {}
                // Another directory may have one that can be executed. If none has, no permission
                // says more than no interpreter.
                (Stage::Exec, libc::EACCES) => worth_telling = Some(failed),
                (Stage::Exec, libc::ENOENT) => worth_telling = worth_telling.or(Some(failed)),
                _ => return failed,
            }
        }
        worth_telling.unwrap_or(nothing_there)
    }

    fn try_file(&self, path: &CStr) -> StartFailure {
        // SAFETY: a C string and two arrays that end with a null pointer.
        unsafe {
            libc::execve(
                path.as_ptr(),
                self.arguments.cast(),
                self.environment.cast(),
            )
        };
        let errno = Errno::last();
        // What execvp(3) takes for "not here"; the last three are those of network file systems.
        let absent = matches!(
            errno.0,
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT
        );
        // SAFETY: a C string.
        let exists = || unsafe { libc::access(path.as_ptr(), libc::F_OK) } == 0;
        if absent && !exists() {
            errno.during(Stage::Search)
        } else {
            errno.during(Stage::Exec)
        }
    }

    fn name(&self) -> Option<&'static CStr> {
        // SAFETY: the array has at least its end, and what precedes it are C strings.
        unsafe {
            match *self.arguments {
                name if name.is_null() => None,
                name => Some(CStr::from_ptr(name)),
            }
        }
    }

    fn path(&self) -> &'static [u8] {
        let mut variable = self.environment;
        // SAFETY: the walk ends at the null pointer; what precedes it are C strings.
        unsafe {
            while !(*variable).is_null() {
                let text = CStr::from_ptr(*variable).to_bytes();
                if let Some(path) = text.strip_prefix(b"PATH=") {
                    return path;
                }
                variable = variable.add(1);
            }
        }
        DEFAULT_PATH
    }
}

/// `directory/name`, or `name` for an empty directory, which means the working directory
/// (POSIX, PATH). `None` if it is longer than any file's path.
fn join<'b>(buffer: &'b mut [u8; PATH_MAX], directory: &[u8], name: &[u8]) -> Option<&'b CStr> {
    let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    let mut length = 0;
    for part in [directory, slash, name, b"\0"] {
        let room = buffer.get_mut(length..length + part.len())?;
        room.copy_from_slice(part);
        length += part.len();
    }
    CStr::from_bytes_until_nul(buffer).ok()
}
