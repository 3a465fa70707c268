//! What is newer than the store, of one inode, in memory: pure bookkeeping.
//!
//! Invariants: `data` and `zero` are disjoint; no byte of `data` lies at or beyond `size`; everything that
//! changed after the running flush's snapshot is also in `since`, and carries the next generation.

use super::journal::Append;
use super::record::{Kind, Record};
use super::{CacheError, FlushSnapshot, OverlayAttr, Piece, Source};
use crate::types::{ByteRange, Ino, Nanos, RangeSet};

/// Ranges of new data and of zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layer {
    pub data: RangeSet,
    pub zero: RangeSet,
}

impl Layer {
    pub fn write(&mut self, range: ByteRange) {
        self.zero.remove(range.clone());
        self.data.insert(range);
    }

    pub fn zero(&mut self, range: ByteRange) {
        self.data.remove(range.clone());
        self.zero.insert(range);
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.zero.is_empty()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Overlay {
    pub size: u64,
    pub mtime: Nanos,
    pub ctime: Nanos,
    /// What a change made now carries.
    pub generation: u64,
    /// Everything newer than the store.
    pub all: Layer,
    /// The generation that a running flush took.
    pub flushing: Option<u64>,
    /// What changed since that flush's snapshot.
    pub since: Layer,
    /// Whether anything did, sizes and times included.
    pub changed_since: bool,
}

impl Overlay {
    pub fn new(size: u64, mtime: Nanos, ctime: Nanos, generation: u64) -> Overlay {
        Overlay {
            size,
            mtime,
            ctime,
            generation,
            all: Layer::default(),
            flushing: None,
            since: Layer::default(),
            changed_since: false,
        }
    }

    fn changed(&mut self, now: Nanos) {
        self.mtime = now;
        self.ctime = now;
        self.changed_since = true;
    }

    pub fn write(&mut self, range: ByteRange, now: Nanos) {
        self.size = self.size.max(range.end);
        if self.flushing.is_some() {
            self.since.write(range.clone());
        }
        self.all.write(range);
        self.changed(now);
    }

    pub fn punch(&mut self, range: ByteRange, now: Nanos) {
        if self.flushing.is_some() {
            self.since.zero(range.clone());
        }
        self.all.zero(range);
        self.changed(now);
    }

    pub fn truncate(&mut self, size: u64, now: Nanos) {
        self.size = size;
        self.punch(size..u64::MAX, now);
    }

    pub fn times(&mut self, mtime: Nanos, ctime: Nanos) {
        self.mtime = mtime;
        self.ctime = ctime;
        self.changed_since = true;
    }

    pub fn attr(&self) -> OverlayAttr {
        let zero_bytes = self.all.zero.within(0..self.size).iter().map(|r| r.end - r.start).sum();
        OverlayAttr {
            size: self.size,
            mtime: self.mtime,
            ctime: self.ctime,
            data_bytes: self.all.data.bytes(),
            zero_bytes,
        }
    }

    pub fn snapshot(&mut self) -> FlushSnapshot {
        let generation = self.generation;
        self.generation += 1;
        self.flushing = Some(generation);
        self.since = Layer::default();
        self.changed_since = false;
        FlushSnapshot {
            generation,
            size: self.size,
            mtime: self.mtime,
            ctime: self.ctime,
            data: self.all.data.iter().collect(),
            zero: self.all.zero.iter().collect(),
        }
    }

    /// The snapshot is stored: gives the data that is clean now. What is left is what came since.
    pub fn stored(&mut self) -> RangeSet {
        let since = std::mem::take(&mut self.since);
        let before = std::mem::replace(&mut self.all, since);
        self.flushing = None;
        let mut clean = before.data;
        self.all.data.iter().chain(self.all.zero.iter()).for_each(|r| clean.remove(r));
        clean
    }

    /// The snapshot was given up. What came since is no newer than the rest any more: left in `since`, it
    /// would be missing from the records of a new segment.
    pub fn flush_failed(&mut self) {
        self.flushing = None;
        self.since = Layer::default();
        self.changed_since = true;
    }

    pub fn is_settled(&self) -> bool {
        self.flushing.is_none() && !self.changed_since && self.all.is_empty()
    }

    /// Records from which recovery makes this overlay again, each with the generation that it has.
    pub fn to_records(&self, ino: Ino, journal: &mut dyn Append) -> Result<(), CacheError> {
        let mut before = self.all.clone();
        self.since.data.iter().chain(self.since.zero.iter()).for_each(|r| {
            before.data.remove(r.clone());
            before.zero.remove(r);
        });
        let first = self.flushing.unwrap_or(self.generation);
        let (t1, t2) = (self.mtime.0, self.ctime.0);
        let begin = Record { generation: first, a: self.size, t1, t2, ..Record::new(Kind::Begin, ino) };
        journal.append(begin)?;
        let empty = Layer::default();
        let newer = if self.flushing.is_some() { &self.since } else { &empty };
        for (layer, generation) in [(&before, first), (newer, self.generation)] {
            for (set, kind) in [(&layer.zero, Kind::Zero), (&layer.data, Kind::Data)] {
                for range in set.iter() {
                    let record =
                        Record { generation, a: range.start, b: range.end, t1, ..Record::new(kind, ino) };
                    journal.append(record)?;
                }
            }
        }
        // The size and times as they are, after whatever the records above would make of them.
        let generation = if self.changed_since || self.flushing.is_none() { self.generation } else { first };
        let begin = Record { generation, ..begin };
        journal.append(begin)?;
        journal.append(Record { generation, t1, t2, ..Record::new(Kind::Times, ino) })
    }
}

/// Where each part of `range` is to be read from, ascending, without gaps.
pub(super) fn plan(range: ByteRange, present: &RangeSet, over: Option<&Overlay>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let add = |set: &RangeSet, source: Source, pieces: &mut Vec<Piece>| {
        pieces.extend(set.within(range.clone()).into_iter().map(|range| Piece { range, source }));
    };
    if let Some(over) = over {
        add(&over.all.data, Source::Local, &mut pieces);
        add(&over.all.zero, Source::Zero, &mut pieces);
    }
    add(present, Source::Local, &mut pieces);
    pieces.sort_by_key(|p| p.range.start);
    let mut whole: Vec<Piece> = Vec::with_capacity(pieces.len() * 2 + 1);
    let mut at = range.start;
    for piece in pieces {
        if at < piece.range.start {
            whole.push(Piece { range: at..piece.range.start, source: Source::Stored });
        }
        at = piece.range.end;
        match whole.last_mut() {
            Some(last) if last.source == piece.source && last.range.end == piece.range.start => {
                last.range.end = piece.range.end;
            }
            _ => whole.push(piece),
        }
    }
    if at < range.end {
        whole.push(Piece { range: at..range.end, source: Source::Stored });
    }
    whole
}
