//! Cuts keep their sizes, don't look ahead, and find their way back after a change.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

const SIZES: ChunkSizes = ChunkSizes { min: 1 << 10, avg: 4 << 10, max: 16 << 10 };

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn cuts(data: &[u8]) -> Vec<usize> {
    let (mut at, mut cuts) = (0, Vec::new());
    while at < data.len() {
        at += first_cut(&data[at..], &SIZES);
        cuts.push(at);
    }
    cuts
}

fn names(data: &[u8]) -> Vec<ChunkId> {
    let namer = ChunkNamer::new(Zeroizing::new([1; 32]));
    let mut at = 0;
    cuts(data).into_iter().map(|end| namer.name(&data[std::mem::replace(&mut at, end)..end])).collect()
}

/// Noise with stretches of one byte in it, on which no hash ever finds a cut.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let part = (any::<u64>(), any::<bool>(), 0usize..60_000)
        .prop_map(|(seed, flat, len)| if flat { vec![seed as u8; len] } else { noise(seed, len) });
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn sizes_are_kept(data in content()) {
        let mut at = 0;
        let all = cuts(&data);
        for (i, end) in all.iter().enumerate() {
            let len = end - at;
            prop_assert!(len <= SIZES.max as usize);
            prop_assert!(len >= SIZES.min as usize || i + 1 == all.len());
            at = *end;
        }
        prop_assert_eq!(at, data.len());
    }

    /// A reader that sees a window of at least the largest chunk's size cuts as one that sees everything.
    #[test]
    fn a_cut_depends_on_no_more_than_the_largest_chunk(data in content(), beyond in 0usize..40_000) {
        let (mut at, mut through_windows) = (0, Vec::new());
        while at < data.len() {
            let window = &data[at..data.len().min(at + SIZES.max as usize + beyond)];
            at += first_cut(window, &SIZES);
            through_windows.push(at);
        }
        prop_assert_eq!(through_windows, cuts(&data));
    }

    /// A cut that is not the end of what was seen stays where it is when more is seen, or less.
    #[test]
    fn a_cut_before_the_end_is_final(seed in any::<u64>(), len in 1usize..16 << 10, more in 0usize..40_000) {
        let whole = noise(seed, len + more);
        let cut = first_cut(&whole[..len], &SIZES);
        if cut < len {
            prop_assert_eq!(first_cut(&whole, &SIZES), cut);
        }
    }

    #[test]
    fn an_insertion_changes_only_its_neighbourhood(seed in any::<u64>(), at in 0usize..400_000, len in 1usize..200) {
        let data = noise(seed, 400_000);
        let mut changed = data.clone();
        changed.splice(at..at, noise(!seed, len));
        let before: HashSet<ChunkId> = names(&data).into_iter().collect();
        let after = names(&changed);
        let kept_at_front = after.iter().take_while(|id| before.contains(id)).count();
        let kept_at_end = after.iter().rev().take_while(|id| before.contains(id)).count();
        let fresh = after.len().saturating_sub(kept_at_front + kept_at_end);
        // The cut after the insertion is found again within a few chunks; 100 are there.
        prop_assert!(fresh <= 20, "{} of {} chunks are new", fresh, after.len());
    }
}

#[test]
fn the_average_is_near_what_was_asked() {
    let data = noise(5, 4 << 20);
    let average = data.len() / cuts(&data).len();
    assert!((SIZES.avg as usize / 2..SIZES.avg as usize * 2).contains(&average), "{average}");
}

#[test]
fn nothing_is_cut_from_nothing() {
    assert_eq!(first_cut(&[], &SIZES), 0);
}

/// Names under another key tell nothing about each other.
#[test]
fn a_name_depends_on_content_and_key() {
    let one = ChunkNamer::new(Zeroizing::new([1; 32]));
    let two = ChunkNamer::new(Zeroizing::new([2; 32]));
    assert_eq!(one.name(b"a"), one.clone().name(b"a"));
    assert_ne!(one.name(b"a"), one.name(b"b"));
    assert_ne!(one.name(b"a"), two.name(b"a"));
}
