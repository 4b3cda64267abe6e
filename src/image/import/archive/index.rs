//! Reading the headers of a tar archive (POSIX, pax, and GNU's extensions).

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use tar::{EntryType, Header, PaxExtensions};

use super::{Entry, Extent};

/// The unit of a tar archive (POSIX, pax, "ustar Interchange Format").
const BLOCK: u64 = 512;
/// More entries than any image has.
const MAX_ENTRIES: usize = 1 << 16;
/// The longest extension header: a name, a link and a few numbers.
pub(super) const MAX_EXTENSION: u64 = 1 << 20;
/// The longest name (Linux, PATH_MAX).
const MAX_NAME: usize = 4096;
/// Why a file is no archive we can use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Flaw {
    #[error("it is not a tar archive")]
    NotTar,
    #[error("it is damaged at byte {0}")]
    Damaged(u64),
    #[error("it is truncated: the entry at byte {0} ends beyond it")]
    Truncated(u64),
    #[error("its entry {0:?} leads out of the archive")]
    Outside(String),
    #[error("its entry at byte {0} has a name that is too long or not UTF-8")]
    Name(u64),
    #[error("its entry at byte {0} is sparse, which no image archive needs")]
    Sparse(u64),
    #[error("it has more than {MAX_ENTRIES} entries")]
    TooMany,
    #[error(transparent)]
    Read(#[from] std::io::Error),
}

/// What extension headers say of the entry after them.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Reads all headers of the archive in `file`.
pub(super) fn index(file: &File) -> std::result::Result<BTreeMap<String, Entry>, Flaw> {
    let length = file.metadata()?.len();
    let mut entries = BTreeMap::new();
    let mut extensions = Extensions::default();
    let mut at = 0;
    while let Some(header) = header(file, at, length)? {
        let kind = header.entry_type();
        let content = Extent {
            offset: at + BLOCK,
            size: content_size(&header, &extensions).map_err(|_| Flaw::Damaged(at))?,
        };
        let end = content.offset.checked_add(content.size);
        let end = end
            .filter(|&end| end <= length)
            .ok_or(Flaw::Truncated(at))?;
        match kind {
            EntryType::GNULongName => extensions.name = Some(extension(file, at, content)?),
            EntryType::GNULongLink => extensions.link = Some(extension(file, at, content)?),
            EntryType::XHeader => pax(&extension(file, at, content)?, at, &mut extensions)?,
            EntryType::XGlobalHeader => {}
            EntryType::GNUSparse => return Err(Flaw::Sparse(at)),
            _ => {
                let (name, entry) = entry(&header, std::mem::take(&mut extensions), at, content)?;
                if entries.len() >= MAX_ENTRIES {
                    return Err(Flaw::TooMany);
                }
                entries.insert(name, entry);
            }
        }
        at = end.next_multiple_of(BLOCK);
    }
    Ok(entries)
}

/// The header at `at`; none at the archive's end, which is a block of zeros or the file's end.
fn header(file: &File, at: u64, length: u64) -> std::result::Result<Option<Header>, Flaw> {
    if at >= length && at > 0 {
        return Ok(None);
    }
    let mut header = Header::new_old();
    let bytes = header.as_mut_bytes();
    file.read_exact_at(bytes, at)
        .map_err(|error| match (error.kind(), at) {
            (std::io::ErrorKind::UnexpectedEof, 0) => Flaw::NotTar,
            (std::io::ErrorKind::UnexpectedEof, _) => Flaw::Truncated(at),
            _ => Flaw::Read(error),
        })?;
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let sum = checksum(bytes);
    match header.cksum() {
        Ok(stated) if stated == sum => Ok(Some(header)),
        _ if at == 0 => Err(Flaw::NotTar),
        _ => Err(Flaw::Damaged(at)),
    }
}

/// The sum of a header's bytes, with its own field (offset 148, 8 bytes) counted as spaces.
fn checksum(header: &[u8; BLOCK as usize]) -> u32 {
    let bytes = header.iter().enumerate();
    bytes
        .map(|(n, &byte)| u32::from(if (148..156).contains(&n) { b' ' } else { byte }))
        .sum()
}

/// How many bytes follow a header. Links, directories and devices have none, whatever they say.
fn content_size(header: &Header, extensions: &Extensions) -> std::io::Result<u64> {
    match header.entry_type() {
        EntryType::Link
        | EntryType::Symlink
        | EntryType::Char
        | EntryType::Block
        | EntryType::Directory
        | EntryType::Fifo => Ok(0),
        EntryType::XHeader
        | EntryType::XGlobalHeader
        | EntryType::GNULongName
        | EntryType::GNULongLink => header.entry_size(),
        _ => extensions.size.map_or_else(|| header.entry_size(), Ok),
    }
}

/// The content of an extension header.
fn extension(file: &File, at: u64, content: Extent) -> std::result::Result<Vec<u8>, Flaw> {
    if content.size > MAX_EXTENSION {
        return Err(Flaw::Damaged(at));
    }
    let mut bytes = vec![0; content.size as usize];
    file.read_exact_at(&mut bytes, content.offset)?;
    Ok(bytes)
}

/// Reads a pax extended header (POSIX, pax, "pax Extended Header").
fn pax(bytes: &[u8], at: u64, extensions: &mut Extensions) -> std::result::Result<(), Flaw> {
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(|_| Flaw::Damaged(at))?;
        let value = record.value_bytes();
        match record.key_bytes() {
            b"path" => extensions.name = Some(value.to_owned()),
            b"linkpath" => extensions.link = Some(value.to_owned()),
            b"size" => {
                let text = std::str::from_utf8(value).ok();
                let size = text.and_then(|text| text.parse().ok());
                extensions.size = Some(size.ok_or(Flaw::Damaged(at))?);
            }
            key if key.starts_with(b"GNU.sparse.") => return Err(Flaw::Sparse(at)),
            _ => {}
        }
    }
    Ok(())
}

fn entry(
    header: &Header,
    extensions: Extensions,
    at: u64,
    content: Extent,
) -> std::result::Result<(String, Entry), Flaw> {
    let name = extensions
        .name
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let name = text(name, at)?;
    let outside = || Flaw::Outside(name.clone());
    if name.split('/').any(|part| part == "..") {
        return Err(outside());
    }
    let path = normalize("", &name).ok_or_else(outside)?;
    let target = || {
        let link = extensions.link.clone();
        let link = link.or_else(|| Some(header.link_name_bytes()?.into_owned()));
        text(link.unwrap_or_default(), at)
    };
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let entry = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Entry::File(content),
        EntryType::Symlink => Entry::Link(normalize(parent, &target()?).ok_or_else(outside)?),
        EntryType::Link => Entry::Link(normalize("", &target()?).ok_or_else(outside)?),
        _ => Entry::Other,
    };
    Ok((path, entry))
}

/// A name as text, without the zeros that GNU's long names end with.
fn text(mut bytes: Vec<u8>, at: u64) -> std::result::Result<String, Flaw> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.len() > MAX_NAME {
        return Err(Flaw::Name(at));
    }
    String::from_utf8(bytes).map_err(|_| Flaw::Name(at))
}

/// `path`, seen from the directory `base`, without `.`, `..` and empty parts; nothing if it is
/// absolute or climbs above the archive's root.
pub(super) fn normalize(base: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
