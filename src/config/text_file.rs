//! The text of a configuration file, read safely, or a failure that names the place.
//!
//! In: the path of a file of the operator's, or of one that the author of a DAG put beside it. Out:
//! UTF-8 text. airtight runs as root, so that an author's file must never be one that a link of his
//! makes of somebody else's.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::sys::stat::{Mode, fstatat};

use crate::failure::{Failure, Place, Result};
use crate::regular_file::{self, READ, Refusal, open_below};

/// The text of a file of the operator's, wherever links lead; nothing if there is none. More than
/// `limit` bytes are refused.
pub fn read(path: &Path, limit: u64) -> Result<Option<String>> {
    match regular_file::read(path, limit) {
        Ok(bytes) => text(path, bytes).map(Some),
        Err(why) if why.errno() == Some(Errno::ENOENT) => Ok(None),
        Err(why) => Err(refused(path, why)),
    }
}

/// The text of a file of the author's; nothing if there is none. Links lead no further than the
/// directory that `path` names: so a ConfigMap of Kubernetes (`x.yaml` → `..data/x.yaml`) is read.
pub fn read_within_directory(path: &Path, limit: u64) -> Result<Option<String>> {
    let fail = |why: Refusal| refused(path, why);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().map(Path::new)) else {
        return Err(fail(Refusal::NotRegular));
    };
    let here = directory.as_os_str().is_empty();
    let directory = nix::fcntl::open(
        if here { Path::new(".") } else { directory },
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    );
    let directory = directory.map_err(|why| fail(why.into()))?;
    let file = match open_below(&directory, name, READ, ResolveFlag::RESOLVE_BENEATH) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => {
            // The name is there and leads to nothing, or it is not there.
            return match fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(_) => Err(cannot_read("it is a symbolic link to nothing").at(place(path))),
                Err(_) => Ok(None),
            };
        }
        Err(Errno::EXDEV) => {
            let failure = cannot_read("it is a symbolic link out of its own directory").hint(
                "put the file itself there: an author's link must not make root read another",
            );
            return Err(failure.at(place(path)));
        }
        // A socket.
        Err(Errno::ENXIO) => return Err(fail(Refusal::NotRegular)),
        Err(why @ Errno::ENOSYS) => {
            return Err(fail(why.into()).hint("openat2 needs Linux 5.6 or newer"));
        }
        Err(why) => return Err(fail(why.into())),
    };
    let bytes = regular_file::read_open(file, limit).map_err(fail)?;
    text(path, bytes).map(Some)
}

fn cannot_read(why: &str) -> Failure {
    Failure::usage("cannot read the file").because(why)
}

fn refused(path: &Path, why: Refusal) -> Failure {
    cannot_read(&why.to_string()).at(place(path))
}

fn place(path: &Path) -> Place {
    Place {
        path: Arc::new(path.to_owned()),
        line: None,
        column: None,
    }
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|why| {
        let valid = why.utf8_error().valid_up_to();
        let before = why.as_bytes().get(..valid).unwrap_or_default();
        let (line, column) = behind(&String::from_utf8_lossy(before));
        Failure::usage("cannot read this line")
            .because("it is not UTF-8")
            .at(Place {
                line: u64::try_from(line).ok(),
                column: u64::try_from(column).ok(),
                ..place(path)
            })
    })
}

/// Line and column of what stands behind `text`. Lines end as YAML and Python have it.
fn behind(text: &str) -> (usize, usize) {
    let begun = text.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let (lines, rest) = text.split_at(begun);
    let ends = lines.replace("\r\n", "\n").matches(['\n', '\r']).count();
    (ends + 1, rest.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const LIMIT: u64 = 64;

    /// What is read of `d.yaml`, in a directory that `prepare` fills; the directory's name is cut away.
    fn within(prepare: impl FnOnce(&Path)) -> Result<Option<String>, String> {
        let dir = TempDir::new().unwrap();
        prepare(dir.path());
        read_within_directory(&dir.path().join("d.yaml"), LIMIT)
            .map_err(|why| why.to_string().replace(&*dir.path().to_string_lossy(), ""))
    }

    fn linked(target: &str) -> Result<Option<String>, String> {
        within(|dir| symlink(target, dir.join("d.yaml")).unwrap())
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        assert_eq!(within(|_| ()), Ok(None));
    }

    #[test]
    fn links_inside_the_directory_are_followed_as_kubernetes_makes_them() {
        let found = within(|dir| {
            fs::create_dir(dir.join("..2026_01")).unwrap();
            fs::write(dir.join("..2026_01/d.yaml"), "mine").unwrap();
            symlink("..2026_01", dir.join("..data")).unwrap();
            symlink("..data/d.yaml", dir.join("d.yaml")).unwrap();
        });
        assert_eq!(found, Ok(Some("mine".into())));
    }

    #[test]
    fn a_link_out_of_the_directory_is_refused() {
        for target in ["/etc/passwd", "../../../etc/passwd", "/proc/self/environ"] {
            assert_eq!(
                linked(target).unwrap_err(),
                "/d.yaml: cannot read the file: it is a symbolic link out of its own directory",
                "{target}"
            );
        }
        let by_directory = within(|dir| {
            symlink("/etc", dir.join("data")).unwrap();
            symlink("data/passwd", dir.join("d.yaml")).unwrap();
        });
        assert!(by_directory.unwrap_err().contains("out of its own"));
    }

    #[test]
    fn a_link_to_nothing_and_a_circle_are_errors() {
        assert!(linked("nothing").unwrap_err().ends_with("to nothing"));
        assert!(linked("d.yaml").unwrap_err().contains("symbolic links"));
    }

    #[test]
    fn what_is_no_small_regular_file_is_refused_without_waiting() {
        let mode = Mode::S_IRWXU;
        let fifo = within(|dir| nix::unistd::mkfifo(&dir.join("d.yaml"), mode).unwrap());
        let directory = within(|dir| fs::create_dir(dir.join("d.yaml")).unwrap());
        let socket = within(|dir| {
            std::os::unix::net::UnixListener::bind(dir.join("d.yaml")).unwrap();
        });
        for refused in [fifo, directory, socket] {
            let expected = "/d.yaml: cannot read the file: it is not a regular file";
            assert_eq!(refused.unwrap_err(), expected);
        }
        let large = within(|dir| fs::write(dir.join("d.yaml"), [b'#'; 65]).unwrap());
        assert!(large.unwrap_err().ends_with("larger than 64 bytes"));
    }

    #[test]
    fn the_operator_may_link_anywhere() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("real"), "text").unwrap();
        let elsewhere = TempDir::new().unwrap();
        let link = elsewhere.path().join("a.cfg");
        symlink(dir.path().join("real"), &link).unwrap();
        assert_eq!(read(&link, LIMIT).unwrap().as_deref(), Some("text"));
        assert_eq!(read(&elsewhere.path().join("none"), LIMIT).unwrap(), None);
    }

    #[test]
    fn an_unreadable_file_is_refused_with_the_kernel_s_words() {
        let why = read(Path::new("/etc/passwd/x"), LIMIT).unwrap_err();
        let expected = "/etc/passwd/x: cannot read the file: Not a directory (os error 20)";
        assert_eq!(why.to_string(), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_found_on_their_line() {
        for (bytes, place) in [
            (&b"\xff"[..], "1:1"),
            (b"a\n\xff", "2:1"),
            (b"a\r\n\r\n\xc3\xa9b\xff\n", "3:3"),
            (b"a\rb\n\xe2\x82", "3:1"),
        ] {
            let found = within(|dir| fs::write(dir.join("d.yaml"), bytes).unwrap());
            let expected = format!("/d.yaml:{place}: cannot read this line: it is not UTF-8");
            assert_eq!(found.unwrap_err(), expected);
        }
    }
}
