//! /proc/self/mountinfo: what is mounted where, without touching any mount (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// `major:minor`.
    pub device: String,
    /// Where.
    pub mount_point: PathBuf,
    /// The file system type, `fuse.pail` for ours.
    pub fs_type: String,
    /// What is mounted: for ours the storage URL.
    pub source: String,
}

/// Spaces and the like are written as three octal digits.
fn unescape(field: &str) -> Vec<u8> {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 4).and_then(|d| std::str::from_utf8(d).ok());
        match code.filter(|_| *byte == b'\\').and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

fn parse_line(line: &str) -> Option<MountEntry> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    Some(MountEntry {
        device: (*left.get(2)?).to_owned(),
        mount_point: PathBuf::from(OsString::from_vec(unescape(left.get(4)?))),
        fs_type: (*right.first()?).to_owned(),
        source: String::from_utf8_lossy(&unescape(right.get(1)?)).into_owned(),
    })
}

/// Parses the whole file.
pub fn parse(text: &str) -> Vec<MountEntry> {
    text.lines().filter_map(parse_line).collect()
}

/// The path with everything but its last part resolved: the mount itself may be dead or slow.
pub fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().and_then(|p| p.canonicalize().ok()), absolute.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => absolute,
    }
}

/// What is mounted on top at this path, if anything.
pub fn find(path: &Path) -> std::io::Result<Option<MountEntry>> {
    let at = resolve(path);
    let mounts = parse(&std::fs::read_to_string("/proc/self/mountinfo")?);
    Ok(mounts.into_iter().rev().find(|m| m.mount_point == at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_escapes() {
        let text = "36 35 98:0 / /mnt1 rw master:1 - ext3 /dev/root rw\n\
             40 35 0:53 / /mnt/my\\040photos\\134x rw,nosuid shared:2 master:3 - fuse.pail local:///a\\040b rw\n\
             garbage\n";
        let found = parse(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].device, "0:53");
        assert_eq!(found[1].mount_point, Path::new("/mnt/my photos\\x"));
        assert_eq!((found[1].fs_type.as_str(), found[1].source.as_str()), ("fuse.pail", "local:///a b"));
    }
}
