//! Between fuser's types and ours.

use crate::fs::{Allocate, Attr, Caller, SetTime};
use crate::types::{Ino, Nanos};
use fuser::{FileAttr, FileType, INodeNo, Request, TimeOrNow};
use std::time::{SystemTime, UNIX_EPOCH};

const FALLOC_FL_KEEP_SIZE: i32 = 0x01;
const FALLOC_FL_PUNCH_HOLE: i32 = 0x02;
const FALLOC_FL_ZERO_RANGE: i32 = 0x10;

const BLOCK_SIZE: u32 = 4096;

pub(super) fn ino(number: INodeNo) -> Ino {
    Ino(number.0)
}

pub(super) fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

fn kind(mode: u32) -> FileType {
    match mode & 0o170000 {
        0o040000 => FileType::Directory,
        0o120000 => FileType::Symlink,
        0o020000 => FileType::CharDevice,
        0o060000 => FileType::BlockDevice,
        0o010000 => FileType::NamedPipe,
        0o140000 => FileType::Socket,
        _ => FileType::RegularFile,
    }
}

pub(super) fn attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: attr.atime.into(),
        mtime: attr.mtime.into(),
        ctime: attr.ctime.into(),
        crtime: UNIX_EPOCH,
        kind: kind(attr.mode),
        perm: (attr.mode & 0o7777) as u16,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

/// fuser 0.18 makes a time before 1970 from the kernel's (seconds, nanoseconds) with the fraction's sign
/// turned: -2 s + 0.5 s arrives as -2.5 s. Turned back here; whole seconds are right.
pub(super) fn time(arrived: SystemTime) -> Nanos {
    match arrived.duration_since(UNIX_EPOCH) {
        Ok(_) => arrived.into(),
        Err(before) => {
            let (secs, nanos) = (before.duration().as_secs(), before.duration().subsec_nanos());
            let secs = i64::try_from(secs).unwrap_or(i64::MAX);
            Nanos(secs.saturating_neg().saturating_mul(1_000_000_000).saturating_add(nanos.into()))
        }
    }
}

pub(super) fn set_time(time_or_now: TimeOrNow) -> SetTime {
    match time_or_now {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(t) => SetTime::At(time(t)),
    }
}

/// `None`: a mode that is not supported.
pub(super) fn allocate(mode: i32) -> Option<Allocate> {
    const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    const ZERO_KEEP: i32 = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
    match mode {
        0 => Some(Allocate::Extend),
        FALLOC_FL_KEEP_SIZE => Some(Allocate::KeepSize),
        PUNCH => Some(Allocate::Punch),
        FALLOC_FL_ZERO_RANGE => Some(Allocate::Zero { keep_size: false }),
        ZERO_KEEP => Some(Allocate::Zero { keep_size: true }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_before_1970_keep_their_fraction() {
        // The kernel's (-2, 500_000_000), -1.5 s, as fuser hands it on.
        assert_eq!(time(UNIX_EPOCH - Duration::new(2, 500_000_000)), Nanos(-1_500_000_000));
        assert_eq!(time(UNIX_EPOCH - Duration::new(2, 0)), Nanos(-2_000_000_000));
        assert_eq!(time(UNIX_EPOCH + Duration::new(2, 5)), Nanos(2_000_000_005));
    }

    #[test]
    fn only_known_modes_of_fallocate_are_taken() {
        assert_eq!(allocate(3), Some(Allocate::Punch));
        assert_eq!(allocate(0x11), Some(Allocate::Zero { keep_size: true }));
        for unsupported in [0x02, 0x08, 0x20, 0x40, 0x41] {
            assert_eq!(allocate(unsupported), None);
        }
    }
}
