//! A set of byte offsets as disjoint, non-adjacent, non-empty ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Half-open range of byte offsets in a file.
pub type ByteRange = Range<u64>;

/// Disjoint ranges, merged when they touch. All operations cost O(log n + ranges touched).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// start -> end; no two ranges overlap or touch.
    ranges: BTreeMap<u64, u64>,
    /// The sum of their lengths.
    total: u64,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> RangeSet {
        RangeSet::default()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many bytes are in it.
    pub fn bytes(&self) -> u64 {
        self.total
    }

    /// How many separate ranges there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ByteRange> + '_ {
        self.ranges.iter().map(|(s, e)| *s..*e)
    }

    /// Adds a range.
    pub fn insert(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // Everything that overlaps or touches is swallowed.
        while let Some((s, e)) = self.ranges.range(..=end).next_back().map(|(s, e)| (*s, *e)) {
            if e < start {
                break;
            }
            start = start.min(s);
            end = end.max(e);
            self.ranges.remove(&s);
            self.total -= e - s;
        }
        self.ranges.insert(start, end);
        self.total += end - start;
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        while let Some((s, e)) = self.ranges.range(..range.end).next_back().map(|(s, e)| (*s, *e)) {
            if e <= range.start {
                break;
            }
            self.ranges.remove(&s);
            self.total -= e.min(range.end) - s.max(range.start);
            if e > range.end {
                self.ranges.insert(range.end, e);
            }
            if s < range.start {
                self.ranges.insert(s, range.start);
            }
        }
    }

    /// The parts of `range` that are in the set, ascending.
    pub fn within(&self, range: ByteRange) -> Vec<ByteRange> {
        let first = self.ranges.range(..=range.start).next_back().map_or(range.start, |(s, _)| *s);
        self.ranges
            .range(first..range.end.max(first))
            .map(|(s, e)| (*s).max(range.start)..(*e).min(range.end))
            .filter(|r| r.start < r.end)
            .collect()
    }

    /// The parts of `range` that are not in the set, ascending.
    pub fn missing(&self, range: ByteRange) -> Vec<ByteRange> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for present in self.within(range.clone()) {
            if at < present.start {
                gaps.push(at..present.start);
            }
            at = present.end;
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// Whether all of `range` is in the set.
    pub fn contains(&self, range: ByteRange) -> bool {
        range.is_empty()
            || self.ranges.range(..=range.start).next_back().is_some_and(|(_, e)| *e >= range.end)
    }

    /// Whether any byte of `range` is in the set.
    pub fn intersects(&self, range: ByteRange) -> bool {
        !self.within(range).is_empty()
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> RangeSet {
        let mut set = RangeSet::new();
        ranges.into_iter().for_each(|r| set.insert(r));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The set agrees with a plain bitmap after any series of inserts and removes.
        #[test]
        fn agrees_with_a_bitmap(ops in prop::collection::vec((any::<bool>(), 0u64..64, 0u64..64), 0..60)) {
            let mut set = RangeSet::new();
            let mut bits = [false; 64];
            for (add, a, b) in ops {
                let range = a.min(b)..a.max(b);
                bits[range.start as usize..range.end as usize].fill(add);
                if add { set.insert(range) } else { set.remove(range) }
                let got: Vec<bool> = (0..64).map(|i| set.contains(i..i + 1)).collect();
                prop_assert_eq!(&got[..], &bits[..]);
                prop_assert_eq!(set.bytes(), bits.iter().filter(|b| **b).count() as u64);
                // Touching ranges are merged.
                let all: Vec<_> = set.iter().collect();
                prop_assert!(all.windows(2).all(|w| w[0].end < w[1].start));
                let (x, y) = (a.min(b), a.max(b));
                let inside: u64 = set.within(x..y).iter().map(|r| r.end - r.start).sum();
                let outside: u64 = set.missing(x..y).iter().map(|r| r.end - r.start).sum();
                prop_assert_eq!(inside + outside, y - x);
                prop_assert_eq!(inside, bits[x as usize..y as usize].iter().filter(|b| **b).count() as u64);
            }
        }
    }
}
