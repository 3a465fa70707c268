//! zstd where it pays. Most of what these users store is JPEG and video, on which zstd costs a
//! millisecond a megabyte and gains nothing: an lz4 probe of a small part says so for microseconds.

use super::{Compression, SealError};
use std::cell::RefCell;

/// The probe looks at this much ...
const PROBE: usize = 64 << 10;
/// ... out of each so much.
const PROBE_EVERY: usize = 1 << 20;
/// Below this size zstd itself is as quick as a probe.
const PROBE_FROM: usize = 4 << 10;
/// Kept compressed only if it saves more than one part in so many.
const GAIN: usize = 33;

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    static PROBED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The compressed content, or `None` when it is better kept as it is.
pub(super) fn pack(plain: &[u8], compression: Compression) -> Option<Vec<u8>> {
    let Compression::Zstd(level) = compression else { return None };
    if plain.is_empty() || (plain.len() >= PROBE_FROM && !promising(plain)) {
        return None;
    }
    let packed = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(have, _)| *have != level) {
            *slot = zstd::bulk::Compressor::new(level).ok().map(|c| (level, c));
        }
        slot.as_mut().and_then(|(_, compressor)| compressor.compress(plain).ok())
    })?;
    (packed.len() + plain.len() / GAIN < plain.len()).then_some(packed)
}

/// Whether lz4 finds anything to gain in a sample of it.
fn promising(plain: &[u8]) -> bool {
    PROBED.with_borrow_mut(|out| {
        out.resize(lz4_flex::block::get_maximum_output_size(PROBE), 0);
        let gains = |sample: &[u8]| {
            let packed = lz4_flex::block::compress_into(sample, out).unwrap_or(sample.len());
            packed + sample.len() / GAIN < sample.len()
        };
        // The middle of each stretch: headers at the start of a file say little about the rest.
        plain.chunks(PROBE_EVERY).map(|part| &part[middle(part.len())]).any(gains)
    })
}

fn middle(len: usize) -> std::ops::Range<usize> {
    let start = len.saturating_sub(PROBE) / 2;
    start..(start + PROBE).min(len)
}

/// Back to exactly `plain_len` bytes.
pub(super) fn unpack(packed: &[u8], plain_len: usize) -> Result<Vec<u8>, SealError> {
    let plain = DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Decompressor::new().ok();
        }
        slot.as_mut().and_then(|decompressor| decompressor.decompress(packed, plain_len).ok())
    });
    plain.filter(|p| p.len() == plain_len).ok_or(SealError::Inflate)
}
