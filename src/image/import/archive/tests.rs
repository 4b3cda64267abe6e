//! Tests of the index, on archives written by the tar crate or by hand.

use std::io::{Read as _, Write};

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::index::MAX_EXTENSION;
use super::*;

fn opened(bytes: &[u8]) -> Result<Archive> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Archive::open(&Source::from(file.path().as_os_str()))
}

fn why(bytes: &[u8]) -> String {
    opened(bytes).unwrap_err().to_string()
}

fn header(kind: EntryType, name: &str, link: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    header
}

/// An archive of files, and of links where the content begins with `->`.
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in entries {
        match content.strip_prefix("->") {
            Some(link) => builder
                .append(&header(EntryType::Symlink, name, link, 0), &[][..])
                .unwrap(),
            None => {
                let header = header(EntryType::Regular, name, "", content.len() as u64);
                builder.append(&header, content.as_bytes()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn content(archive: &Archive, entry: &str) -> String {
    String::from_utf8(archive.read(entry, 1000).unwrap()).unwrap()
}

#[test]
fn files_are_found_whatever_their_names_begin_with() {
    let archive = opened(&archive(&[("./index.json", "{}"), ("a//b", "deep")])).unwrap();
    assert_eq!(content(&archive, "index.json"), "{}");
    assert_eq!(content(&archive, "a/b"), "deep");
    assert!(
        archive
            .read("c", 1)
            .unwrap_err()
            .to_string()
            .contains("entry c: it is missing")
    );
    assert!(
        archive
            .read("a/b", 3)
            .unwrap_err()
            .to_string()
            .contains("limit")
    );
}

#[test]
fn long_names_of_gnu_and_pax_archives_are_whole() {
    let long = format!("{}/layer.tar", "x".repeat(200));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(3);
    builder
        .append_data(&mut header, &long, &b"gnu"[..])
        .unwrap();
    let other = long.replace('x', "y");
    builder
        .append_pax_extensions([("path", other.as_bytes()), ("size", b"3")])
        .unwrap();
    // The size in the header itself is wrong, as in archives of files above 8 GiB.
    let short = super::tests::header(EntryType::Regular, "short", "", 0);
    builder.append(&short, &b"pax"[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let archive = opened(&bytes).unwrap();
    assert_eq!(content(&archive, &long), "gnu");
    assert_eq!(content(&archive, &other), "pax");
    assert!(!archive.has("short"));
}

#[test]
fn links_lead_to_other_entries() {
    let mut builder = Builder::new(archive(&[
        ("a/layer.tar", "x"),
        ("b/layer.tar", "->../a/layer.tar"),
    ]));
    builder.get_mut().truncate(3 * 512);
    builder
        .append(
            &header(EntryType::Link, "c/layer.tar", "b/layer.tar", 99),
            &[][..],
        )
        .unwrap();
    let archive = opened(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(content(&archive, "b/layer.tar"), "x");
    assert_eq!(content(&archive, "c/layer.tar"), "x");
}

#[test]
fn links_in_a_loop_or_to_nowhere_are_refused() {
    let archive = opened(&archive(&[("a", "->b"), ("b", "->a"), ("c", "->d")])).unwrap();
    assert!(
        archive
            .locate("a")
            .unwrap_err()
            .to_string()
            .contains("loop")
    );
    assert!(
        archive
            .locate("c")
            .unwrap_err()
            .to_string()
            .contains("links to d")
    );
}

#[test]
fn names_and_links_that_leave_the_archive_are_refused() {
    for entries in [
        [("../x", "")],
        [("/etc/passwd", "")],
        [("a/../b", "")],
        [("a", "->/etc/passwd")],
        [("a/b", "->../../c")],
    ] {
        assert!(
            why(&archive(&entries)).contains("out of the archive"),
            "{entries:?}"
        );
    }
}

#[test]
fn what_is_cut_short_or_no_archive_is_refused() {
    let whole = archive(&[("a", "x"), ("b", &"y".repeat(600))]);
    assert!(
        why(&whole[..2100]).contains("truncated"),
        "{}",
        why(&whole[..2100])
    );
    assert!(why(&whole[..1100]).contains("truncated"));
    assert!(why(b"").contains("not a tar archive"));
    assert!(why(&[b'x'; 2000]).contains("not a tar archive"));
    let mut damaged = whole.clone();
    damaged[1024] ^= 1;
    assert!(why(&damaged).contains("damaged at byte 1024"));
}

#[test]
fn sizes_and_extensions_beyond_all_measure_are_refused() {
    let huge = header(EntryType::Regular, "a", "", u64::MAX);
    assert!(why(huge.as_bytes()).contains("truncated"));
    let mut builder = Builder::new(Vec::new());
    let size = MAX_EXTENSION + 1;
    let name = header(EntryType::GNULongName, "././@LongLink", "", size);
    builder
        .append(&name, std::io::repeat(b'x').take(size))
        .unwrap();
    assert!(why(&builder.into_inner().unwrap()).contains("damaged"));
}

#[test]
fn sparse_entries_are_refused() {
    assert!(why(header(EntryType::GNUSparse, "a", "", 0).as_bytes()).contains("sparse"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn indexing_survives_random_bytes(
        position in 0usize..2560, bytes in proptest::collection::vec(any::<u8>(), 1..600)
    ) {
        let mut whole = archive(&[("a", "x"), ("b", "->a")]);
        for (at, byte) in bytes.into_iter().enumerate() {
            if let Some(target) = whole.get_mut(position + at) {
                *target = byte;
            }
        }
        if let Ok(archive) = opened(&whole) {
            let _ = archive.read("b", 100);
        }
    }
}
