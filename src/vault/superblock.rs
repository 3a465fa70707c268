//! The superblock's bytes (docs/format.md "Superblock").
//!
//! Of every version, now and later, magic and version stand first and a checksum over the rest last: so an
//! older program can say "too new" of any later form, and a damaged copy is never taken for one. The MAC,
//! under the master key, tells that nobody changed what mkfs wrote.

use super::keys::{self, KdfCost, Key};
use super::{FORMAT_VERSION, Parameters};
use crate::seal::{Cipher, Compression};
use crate::types::{ChunkSizes, FieldReader, FsId};

const MAGIC: &[u8; 8] = b"PAILSUPR";
const CHECKSUM: usize = 32;
const MAC: usize = 32;
/// No superblock of any version is longer; nothing longer is read.
pub(super) const SUPERBLOCK_MAX: u64 = 64 << 10;

/// Each slot may cost an Argon2id: more of them are damage or malice.
const SLOTS_MAX: u16 = 16;

const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_ZSTD: u8 = 1;

/// How a slot's secret becomes the key that wraps the master key.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum SlotKind {
    /// The master key itself (`--plain`).
    Open,
    /// Argon2id of a passphrase.
    Passphrase { salt: [u8; 16], cost: KdfCost },
    /// A recovery key.
    Recovery,
}

const SLOT_OPEN: u8 = 0;
const SLOT_PASSPHRASE: u8 = 1;
const SLOT_RECOVERY: u8 = 2;

/// A way to the master key. No `Debug`: an open slot holds it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub id: u32,
    pub kind: SlotKind,
    /// The wrapped master key; of an open slot the key itself.
    pub wrapped: Vec<u8>,
}

/// What the frame with the master key is bound to.
pub(super) fn slot_identity(id: u32) -> String {
    format!("slot/{id:08x}")
}

/// A copy that is whole; whether it is authentic, [`Superblock::is_signed_by`] says.
#[derive(Clone)]
pub(super) struct Superblock {
    pub generation: u64,
    pub fs: FsId,
    pub parameters: Parameters,
    pub slots: Vec<Slot>,
    /// Over everything before it.
    mac: [u8; MAC],
    signed: Vec<u8>,
}

/// Why a copy is not used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Damaged(&'static str),
    TooNew(u32),
}

/// The bytes of a new superblock.
pub(super) fn to_bytes(
    generation: u64,
    fs: FsId,
    parameters: &Parameters,
    slots: &[Slot],
    master: &Key,
) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&fs.0);
    let (algorithm, level) = match parameters.compression {
        Compression::None => (COMPRESSION_NONE, 0),
        Compression::Zstd(level) => (COMPRESSION_ZSTD, level),
    };
    out.push(parameters.cipher as u8);
    out.push(algorithm);
    out.extend_from_slice(&(level as i16).to_le_bytes());
    let sizes = parameters.chunk_sizes;
    for number in [sizes.min, sizes.avg, sizes.max, parameters.pack_size] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&(parameters.label.len() as u16).to_le_bytes());
    out.extend_from_slice(parameters.label.as_bytes());
    out.extend_from_slice(&(slots.len() as u16).to_le_bytes());
    for slot in slots {
        let (kind, salt, cost) = match &slot.kind {
            SlotKind::Open => (SLOT_OPEN, [0; 16], [0; 3]),
            SlotKind::Passphrase { salt, cost } => {
                (SLOT_PASSPHRASE, *salt, [cost.memory, cost.passes, cost.lanes])
            }
            SlotKind::Recovery => (SLOT_RECOVERY, [0; 16], [0; 3]),
        };
        out.push(kind);
        out.extend_from_slice(&slot.id.to_le_bytes());
        cost.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        out.extend_from_slice(&salt);
        out.extend_from_slice(&(slot.wrapped.len() as u16).to_le_bytes());
        out.extend_from_slice(&slot.wrapped);
    }
    let mac = keys::superblock_mac(master, &out);
    out.extend_from_slice(&mac);
    let checksum = blake3::hash(&out);
    out.extend_from_slice(checksum.as_bytes());
    out
}

impl Superblock {
    /// Reads a copy.
    pub fn parse(bytes: &[u8]) -> Result<Superblock, Unusable> {
        let mut start = FieldReader(bytes);
        if start.take(MAGIC.len()) != Some(MAGIC) {
            return Err(Unusable::Damaged("it does not begin as a superblock does"));
        }
        let version = start.u32().ok_or(Unusable::Damaged("it is cut short"))?;
        let (body, checksum) =
            bytes.split_last_chunk::<CHECKSUM>().ok_or(Unusable::Damaged("it is cut short"))?;
        if blake3::hash(body) != *checksum {
            return Err(Unusable::Damaged("its checksum is wrong"));
        }
        match version {
            FORMAT_VERSION => {}
            version if version > FORMAT_VERSION => return Err(Unusable::TooNew(version)),
            _ => return Err(Unusable::Damaged("it has no version that ever was")),
        }
        let (signed, mac) = body.split_last_chunk::<MAC>().ok_or(Unusable::Damaged("it is cut short"))?;
        Self::fields(signed, *mac).ok_or(Unusable::Damaged("a field has no meaning"))
    }

    fn fields(signed: &[u8], mac: [u8; MAC]) -> Option<Superblock> {
        let mut r = FieldReader(signed);
        r.take(MAGIC.len() + 4)?;
        let (generation, fs) = (r.u64()?, FsId(r.array()?));
        let cipher = match r.u8()? {
            c if c == Cipher::Plain as u8 => Cipher::Plain,
            c if c == Cipher::XChaCha20Poly1305 as u8 => Cipher::XChaCha20Poly1305,
            _ => return None,
        };
        let compression = match (r.u8()?, r.u16()? as i16) {
            (COMPRESSION_NONE, _) => Compression::None,
            (COMPRESSION_ZSTD, level) => Compression::Zstd(level.into()),
            _ => return None,
        };
        let chunk_sizes = ChunkSizes { min: r.u32()?, avg: r.u32()?, max: r.u32()? };
        let pack_size = r.u32()?;
        let label_len = r.u16()?;
        let label = String::from_utf8(r.take(label_len.into())?.to_vec()).ok()?;
        let count = r.u16()?;
        if count > SLOTS_MAX {
            return None;
        }
        let slots = (0..count).map(|_| slot(&mut r)).collect::<Option<Vec<Slot>>>()?;
        let parameters = Parameters { label, cipher, chunk_sizes, pack_size, compression };
        // The key lies open exactly when nothing is encrypted: anything between is an attempt to trick us.
        let open = slots.iter().filter(|slot| slot.kind == SlotKind::Open).count();
        let consistent = match cipher {
            Cipher::Plain => open == 1 && slots.len() == 1,
            Cipher::XChaCha20Poly1305 => open == 0,
        };
        (r.0.is_empty() && consistent).then(|| Superblock {
            generation,
            fs,
            parameters,
            slots,
            mac,
            signed: signed.to_vec(),
        })
    }

    /// Whether this is what the holder of the master key wrote.
    pub fn is_signed_by(&self, master: &Key) -> bool {
        // blake3::Hash compares in constant time.
        blake3::Hash::from_bytes(keys::superblock_mac(master, &self.signed))
            == blake3::Hash::from_bytes(self.mac)
    }
}

fn slot(r: &mut FieldReader<'_>) -> Option<Slot> {
    let (kind, id) = (r.u8()?, r.u32()?);
    let cost = KdfCost { memory: r.u32()?, passes: r.u32()?, lanes: r.u32()? };
    let salt = r.array()?;
    let len = r.u16()?;
    let wrapped = r.take(len.into())?.to_vec();
    if kind == SLOT_PASSPHRASE && !cost.is_bearable() {
        return None;
    }
    let kind = match kind {
        SLOT_OPEN => SlotKind::Open,
        SLOT_PASSPHRASE => SlotKind::Passphrase { salt, cost },
        SLOT_RECOVERY => SlotKind::Recovery,
        _ => return None,
    };
    Some(Slot { id, kind, wrapped })
}
