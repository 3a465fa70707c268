//! The journal's bytes (docs/format.md "Journal"): a header and records of one fixed size, so that a torn
//! tail is found by arithmetic. Each checksum covers the segment's random salt: a record left over from
//! another use of the same blocks is never taken for one of ours.

use super::BootId;
use crate::types::{FieldReader, Ino};

pub(super) const MAGIC: &[u8; 8] = b"PAILJRNL";
pub(super) const VERSION: u32 = 1;
/// Magic, version, flags, boot id, salt, checksum, and what is reserved.
pub(super) const HEADER: usize = 64;
/// The last stop was clean and everything was synced before this segment was.
pub(super) const FLAG_CLEAN: u32 = 1;
pub(super) const RECORD: usize = 56;
const CHECKSUM: usize = 4;

/// What a record says. `a`, `b`, `t1`, `t2` as the comments tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// An overlay begins over stored content: a = size, t1 = mtime, t2 = ctime.
    Begin = 1,
    /// a..b is new data, in the cache file: t1 = mtime and ctime.
    Data = 2,
    /// The size is a: t1 = mtime and ctime.
    Truncate = 3,
    /// a..b is zeros: t1 = mtime and ctime.
    Zero = 4,
    /// t1 = mtime, t2 = ctime.
    Times = 5,
    /// Everything of this inode is dropped.
    Forget = 6,
    /// Records of this inode before index a had their data synced.
    Synced = 7,
    /// a..b in the cache file is stored content.
    Present = 8,
    /// a..b is no longer.
    Absent = 9,
}

impl Kind {
    fn from(byte: u8) -> Option<Kind> {
        use Kind::{Absent, Begin, Data, Forget, Present, Synced, Times, Truncate, Zero};
        [Begin, Data, Truncate, Zero, Times, Forget, Synced, Present, Absent]
            .into_iter()
            .find(|k| *k as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub kind: Kind,
    pub ino: Ino,
    pub generation: u64,
    pub a: u64,
    pub b: u64,
    pub t1: i64,
    pub t2: i64,
}

impl Record {
    pub fn new(kind: Kind, ino: Ino) -> Record {
        Record { kind, ino, generation: 0, a: 0, b: 0, t1: 0, t2: 0 }
    }

    pub fn to_bytes(self, salt: &[u8; 16]) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        out[4] = self.kind as u8;
        let fields = [self.ino.0, self.generation, self.a, self.b, self.t1 as u64, self.t2 as u64];
        for (slot, field) in out[8..].chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        let sum = checksum(salt, &out[CHECKSUM..]);
        out[..CHECKSUM].copy_from_slice(&sum);
        out
    }

    /// `None`: torn or not ours; the journal ends here.
    pub fn parse(bytes: &[u8], salt: &[u8; 16]) -> Option<Record> {
        let mut r = FieldReader(bytes);
        if r.array::<CHECKSUM>()? != checksum(salt, bytes.get(CHECKSUM..RECORD)?) {
            return None;
        }
        let kind = Kind::from(r.u8()?)?;
        r.take(3)?;
        Some(Record {
            kind,
            ino: Ino(r.u64()?),
            generation: r.u64()?,
            a: r.u64()?,
            b: r.u64()?,
            t1: r.i64()?,
            t2: r.i64()?,
        })
    }
}

fn checksum(salt: &[u8; 16], bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(salt);
    hasher.update(bytes);
    let hash = hasher.finalize();
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub flags: u32,
    pub boot: BootId,
    pub salt: [u8; 16],
}

/// Why a segment is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Damaged,
    TooNew(u32),
}

impl Header {
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.flags.to_le_bytes());
        out[16..32].copy_from_slice(&self.boot.0);
        out[32..48].copy_from_slice(&self.salt);
        let sum = checksum(&self.salt, &out[..48]);
        out[48..52].copy_from_slice(&sum);
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Header, BadHeader> {
        let mut r = FieldReader(bytes);
        if r.take(8) != Some(MAGIC) {
            return Err(BadHeader::Damaged);
        }
        match r.u32() {
            Some(VERSION) => {}
            Some(version) if version > VERSION => return Err(BadHeader::TooNew(version)),
            _ => return Err(BadHeader::Damaged),
        }
        let mut fields = || Some((r.u32()?, r.array()?, r.array()?, r.array::<CHECKSUM>()?));
        let (flags, boot, salt, sum) = fields().ok_or(BadHeader::Damaged)?;
        if bytes.get(..48).is_none_or(|head| checksum(&salt, head) != sum) {
            return Err(BadHeader::Damaged);
        }
        Ok(Header { flags, boot: BootId(boot), salt })
    }
}
